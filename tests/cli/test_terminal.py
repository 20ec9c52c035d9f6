"""What is printed: control characters are shown, signs are spelled where they must be, a lost reader ends nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from loadtest.cli.terminal import visible
from loadtest.runs.watch import _ended_early
from tests.conftest import ROOT


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line in which `lt` is the command line of this checkout."""
    line = f'lt() {{ {sys.executable} {ROOT / "lt.py"} "$@"; }}; {line}'
    env = {**os.environ, **environment}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=env, check=False, timeout=100)


def test_control_characters_are_shown_and_never_sent() -> None:
    assert visible("a\x1b[31mb\x9b\u202e\tc\nd") == "a\\x1b[31mb\\x9b\\u202e\tc\nd"
    done = shell("lt report $'\\e[31mred' --runs /nonexistent-\\\x1b")
    assert (done.returncode, "\x1b" in done.stderr + done.stdout) == (2, False)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("lt runs --runs /nonexistent >&-", 0),
        ("lt runs --runs /nonexistent 2>&-", 0),
        ("lt runs --runs /nonexistent <&- >&- 2>&-", 0),
        ("lt --version > /dev/full", 4),
        ("lt --version 2> /dev/full", 0),
    ],
)
def test_a_stream_that_is_closed_or_full_leaves_no_traceback(line: str, code: int) -> None:
    done = shell(line)
    assert (done.returncode, "Traceback" in done.stderr, "Exception" in done.stderr) == (code, False, False), (
        done.stderr
    )


def test_an_encoding_without_our_signs_gets_them_spelled() -> None:
    done = shell("lt doctor --workers 1", PYTHONIOENCODING="ascii")
    assert "Traceback" not in done.stderr
    assert "ok python" in done.stdout


@pytest.mark.parametrize(
    ("elapsed_s", "planned_s", "said"),
    [(4.2, 10.0, "0:04 of 0:10"), (9.5, 10.0, ""), (4.2, None, ""), (None, 10.0, "")],
)
def test_a_master_that_ends_before_the_plan_is_said(
    elapsed_s: float | None, planned_s: float | None, said: str
) -> None:
    """Within a second of the plan's end, and without a plan, nothing is."""
    why = _ended_early(elapsed_s, planned_s) or ""
    assert said in why
    assert bool(why) is bool(said)
