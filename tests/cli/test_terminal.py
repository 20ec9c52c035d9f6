"""Terminal output escapes control characters, replaces signs that the encoding lacks, and needs no reader."""

from __future__ import annotations

import ast
import contextlib
import os
import pty
import subprocess
import sys
from dataclasses import replace

import pytest

from loadtest.cli.terminal import visible
from loadtest.fleet.progress import recent_of
from loadtest.runs.watch import _ended_early, _recorded_until_s
from tests.conftest import ROOT
from tests.recording.frames import record
from tests.recording.live import flushed, load_line, looked


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line in which `lt` is the command line of this checkout."""
    line = f'lt() {{ {sys.executable} {ROOT / "lt.py"} "$@"; }}; {line}'
    env = {**os.environ, **environment}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=env, check=False, timeout=100)


def test_control_characters_are_shown_and_never_sent() -> None:
    assert visible("a\x1b[31mb\x9b\u202e\tc\nd") == "a\\x1b[31mb\\x9b\\u202e\tc\nd"
    done = shell("lt report $'\\e[31mred' --runs /nonexistent-\\\x1b")
    assert (done.returncode, "\x1b" in done.stderr + done.stdout) == (2, False)


OURS = {"color", "check.mark", "check.name", "running.url", "running.api_port", "__version__", "counted"}
"""Expressions that need no escape, because their values are numbers or texts of this project."""


def test_no_text_of_others_is_read_as_markup() -> None:
    """With a folder called `[/]` and a worker called `[red]`, every foreign text next to our markup is escaped."""
    found = []
    for path in sorted((ROOT / "loadtest" / "cli").glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "print"):
                continue
            if any(word.arg == "markup" for word in call.keywords) or not call.args:
                continue
            texts = [part for part in ast.walk(call.args[0]) if isinstance(part, ast.FormattedValue)]
            for text in (ast.unparse(part.value) for part in texts):
                if text not in OURS and not text.startswith(("escape(", "len(")):
                    found.append(f"{path.name}:{call.lineno} {text}")
    assert not found


def test_an_odd_folder_of_runs_is_named_as_it_is() -> None:
    done = shell("lt runs --runs '/nonexistent/[/][red]x'")
    assert (done.returncode, "/nonexistent/[/][red]x/" in done.stderr) == (0, True), done


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
def test_a_master_that_ends_before_the_plan_is_reported(
    elapsed_s: float | None, planned_s: float | None, said: str
) -> None:
    """If the master ends within a second of the plan's end, or if there is no plan, nothing is printed."""
    why = _ended_early(elapsed_s, planned_s, record()) or ""
    assert said in why
    assert bool(why) is bool(said)


def test_a_status_and_progress_are_shown_on_a_real_terminal() -> None:
    """A live display replaces stdout and stderr. Writing through this display ends properly, and no output is lost."""
    program = """
from loadtest.cli.console import TerminalConsole
from loadtest.cli.terminal import out, talk
from rich.live import Live
console = TerminalConsole()
with console.status("waiting for it"):
    console.say("a sentence")
with Live("a block", console=talk, transient=True, refresh_per_second=20):
    out.print("a table")
    print("of somebody else")
console.say("the end")
"""
    main, terminal = pty.openpty()
    with os.fdopen(main, "rb", buffering=0) as shown:
        process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=terminal, stderr=terminal)
        os.close(terminal)
        text = b""
        with contextlib.suppress(OSError):  # Linux's error for the end of a terminal
            while part := shown.read(65536):
                text += part
        assert process.wait(30) == 0, text.decode()
    for expected in (b"waiting for it", b"a sentence", b"a block", b"a table", b"of somebody else", b"the end"):
        assert expected in text


def test_looks_that_came_late_do_not_end_a_run_early() -> None:
    """The last look was at 0.2 s, then the machine was busy.

    The rows recorded since then show that the load went on to 2 s.
    """
    late = looked(9.0, flushed(2), [load_line(0), load_line(1)])
    assert _recorded_until_s(0.2, replace(late, lines=())) == 0.2
    assert _recorded_until_s(0.2, late) == 2.0
    with_rows = replace(late, lines=(), new=(recent_of(flushed(2)[1], 9.0),))
    found = _recorded_until_s(0.2, with_rows)
    assert found is not None
    assert 1 < found <= 2
    assert _recorded_until_s(None, replace(late, snapshot=replace(late.snapshot, load_start_ns=None))) is None
