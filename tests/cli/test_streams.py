"""A run whose terminal disappears, is full, or accepts only ASCII continues to its end and writes its report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.recording.catalogue import find_run
from loadtest.recording.run import Outcome
from tests.conftest import ROOT, counting_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

RUN = f"'{sys.executable}' '{ROOT / 'lt.py'}' run -s ramp300 --users 2 --spawn-rate 2 --duration 6s --workers 1 --yes"

SHELLS = {
    "one line is read": ('{run} 2>"$err" | head -1', {}, {}),
    "nobody reads": ('{run} 2>"$err" | true', {}, {}),
    "both are closed": ("{run} >&- 2>&-", {}, {}),
    "stdin is closed": ('{run} <&- >"$out" 2>"$err"', {}, {}),
    "all three are closed": ("{run} <&- >&- 2>&-", {}, {}),
    "stdout is full": ('{run} >/dev/full 2>"$err"', {}, {4}),
    "both are full": ("{run} >/dev/full 2>/dev/full", {}, {4}),
    "ASCII": ('{run} >"$out" 2>"$err"', {"PYTHONIOENCODING": "ascii"}, {}),
    "the C locale": ('{run} >"$out" 2>"$err"', {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {}),
    "TMPDIR is no folder": ('{run} >"$out" 2>"$err"', {"TMPDIR": "/proc/nonexistent"}, {}),
    "TMPDIR is long": ('{run} >"$out" 2>"$err"', {"TMPDIR": "{long}"}, {}),
}
"""The shell text around the command, the environment variables, and the exit codes that differ from 0."""


@pytest.mark.parametrize("name", SHELLS)
def test_a_run_continues_whatever_happens_to_its_terminal(name: str, tmp_path: Path) -> None:
    """The run is complete, every request is recorded, the page exists, and there is no traceback."""
    typed, variables, codes = SHELLS[name]
    long = tmp_path / ("long" * 30)
    long.mkdir()
    files = {"out": str(tmp_path / "out"), "err": str(tmp_path / "err")}
    environment = os.environ | files | {key: value.format(long=long) for key, value in variables.items()}
    with counting_server() as there:
        command = typed.format(run=f"{RUN} -t {there.url} --runs '{tmp_path / 'runs'}'")
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=200,
            check=False,
        )
        said = done.stdout + done.stderr
        said += "".join(Path(path).read_text(errors="replace") for path in files.values() if Path(path).exists())
        folder = find_run(tmp_path / "runs", "latest")
        assert len(folder.read_rows(["start"])) == there.count() > 0
    assert folder.read_run().outcome is Outcome.COMPLETE, said
    assert folder.report.exists(), said
    assert "Traceback" not in said
    assert done.returncode in (codes or {0}), said
