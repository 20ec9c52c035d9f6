"""The library imports names when they are used, and the examples of its page run unchanged."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import loadtest
from loadtest.api import RecordedRun
from tests.conftest import ROOT, counting_server

HEAVY = {"locust", "gevent", "grpc", "pandas", "pyarrow", "numpy", "pydantic", "google"}


def test_importing_it_patches_nothing_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, socket\nbefore = socket.socket\nimport loadtest\ndir(loadtest)\n"
        f"assert not {HEAVY!r} & set(sys.modules), {HEAVY!r} & set(sys.modules)\n"
        "loadtest.run, loadtest.report, loadtest.open_run, loadtest.UsageError\n"
        f"assert not {HEAVY!r} & set(sys.modules), {HEAVY!r} & set(sys.modules)\n"
        "assert socket.socket is before"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there_and_no_other() -> None:
    """This runs in a separate process, because importing a user class patches the process."""
    code = "import loadtest\nfor name in loadtest.__all__: getattr(loadtest, name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        _ = loadtest.nosuch
    assert (ROOT / "loadtest" / "py.typed").exists()


@pytest.mark.slow
def test_the_examples_of_the_page_run_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/library.md runs from top to bottom, in one interpreter, in an empty folder."""
    page = (ROOT / "docs" / "library.md").read_text("utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(examples) >= 4
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "docs/library.md", "exec"), names)
    run = names["run"]
    assert isinstance(run, RecordedRun)
    names["test_the_service_holds"](tmp_path)  # type: ignore[operator] # a function of the page
    assert len(run.rows) == run.summary.totals.requests > 0
    assert (run.record.outcome.value, run.failures.empty, run.metrics.empty, run.load.empty) == (
        "complete",
        True,
        True,
        False,
    )


@pytest.mark.slow
def test_a_run_works_in_a_thread(tmp_path: Path) -> None:
    """Only the main thread can handle signals, and a run does not need them."""
    done: list[RecordedRun] = []
    with counting_server() as server:
        options = {"target": server.url, "users": 1, "duration": "1s", "workers": 1, "runs": tmp_path}
        thread = threading.Thread(target=lambda: done.append(loadtest.run("ramp300", **options)))
        thread.start()
        thread.join(60)
        assert [len(run.rows) for run in done] == [server.count()]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"target": "moon"}, "`--target moon`"),
        ({"nosuch": 1}, "no option `nosuch`"),
        ({"target": "http://192.0.2.1"}, "is on another machine"),
    ],
)
def test_invalid_arguments_raise_our_own_errors(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(loadtest.UsageError, match=re.escape(sentence)):
        loadtest.run("ramp300", **options)
    with pytest.raises(loadtest.UsageError, match="There is no format `pdf`"):
        loadtest.report("x", format="pdf")
    with pytest.raises(loadtest.UnknownRunError):
        loadtest.open_run("nosuch", runs="/nonexistent")
