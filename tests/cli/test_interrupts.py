"""At every moment, up to the last moment of the process, an interrupt ends a verb with the right exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT

AT_THE_VERY_END = """
import os, sys, time
from loadtest.cli.interrupts import end_at_once, survive_the_end

class Slow:
    def __del__(self, sleep=time.sleep, write=os.write):
        write(1, b"ending\\n")
        sleep(1)

survive_the_end()
end_at_once()
slow = Slow()
sys.exit(3)
"""


@pytest.mark.parametrize("what", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_as_the_interpreter_ends_does_not_change_the_exit_code(what: signal.Signals) -> None:
    """At that moment, Python has already restored the system's default signals, which would kill the process."""
    with subprocess.Popen(
        [sys.executable, "-c", AT_THE_VERY_END],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ending\n"
        os.kill(process.pid, what)
        assert process.wait(timeout=20) == 3
