"""The cases that need Locust run in separate processes, because importing Locust patches the whole process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# The plugin that reruns failed tests starts a thread before Locust patches the process. The process would then never
# end.
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:rerunfailures")


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.glob("*/*_cases.py")), ids=lambda path: path.stem)
def test_the_cases_that_need_locust_in_the_process_pass(path: Path) -> None:
    """Every `*_cases.py` passes in a process whose sockets and threads Locust has patched, as in a worker."""
    done = subprocess.run([*PYTEST, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
