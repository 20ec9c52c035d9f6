"""The cases of the fast client and user, run in a process of their own: importing Locust patches the whole process."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_the_cases_that_need_locust_in_the_process_pass() -> None:
    """`tests/loadtest/client_cases.py` passes where Locust has patched sockets and threads, as in a worker."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/loadtest/client_cases.py"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
