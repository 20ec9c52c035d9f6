"""The notebook runs from top to bottom, and shows what it describes."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
import pytest

from loadtest.recording.folder import RunFolder
from tests.conftest import ROOT


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_notebook_runs_plots_and_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook runs in an empty folder, with the kernel of this environment.

    It has two recorded runs, one plot and one comparison.
    """
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "the notebook is kept without outputs"
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    done = client.execute()
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    plots = [output for output in outputs if "image/png" in output.get("data", {})]
    tables = [output.data["text/plain"] for output in outputs if "text/html" in output.get("data", {})]
    text = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    runs = [RunFolder(path).read_run() for path in sorted((tmp_path / "runs").iterdir()) if path.is_dir()]
    assert [(run.label, run.outcome.value) for run in runs] == [("2 users", "complete"), ("8 users", "complete")]
    assert len(plots) == 1
    assert ("2 users" in tables[0], "held" in tables[0]) == (True, True)
    assert "8 users" in text
