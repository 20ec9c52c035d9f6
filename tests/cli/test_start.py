"""Starting `lt` imports only modules that the verb uses. (benchmarks/startup.py measures the times.)"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from loadtest.cli.parser import make_app
from loadtest.cli.verbs import EXIT_CODES, VERBS, overview
from tests.conftest import lt
from tests.recording.frames import frames, record, spooled

ROOT = Path(__file__).parents[2]


def imported(*words: str) -> set[str]:
    """Return the modules that `lt WORDS` has imported by its end."""
    code = (
        f"import sys, runpy; sys.argv = ['lt.py', *{words!r}]\n"
        "try: runpy.run_path('lt.py', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print('MODULES', *sys.modules)"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES")[2].split())


@pytest.mark.parametrize("words", [(), ("--help",), ("--version",)])
def test_help_and_version_import_no_parser_and_no_verb(words: tuple[str, ...]) -> None:
    """typer and rich are not imported (they take 0.2 s of CPU together), and no module of a verb is imported."""
    found = imported(*words)
    assert not {"typer", "rich", "pydantic", "numpy", "loadtest.cli.parser"} & found
    assert not {f"loadtest.cli.{verb.place.partition(':')[0]}" for verb in VERBS.values()} & found


def test_lists_and_pages_that_are_made_import_no_parser_and_no_reader_of_rows(tmp_path: Path) -> None:
    """The runs' records are as lt wrote them, the scenarios are already described, and the page is up to date."""
    folder = spooled(tmp_path, frames(2), record())
    folder.ensure_sealed()
    of_runs = ("--runs", str(tmp_path))
    made = lt("report", "latest", *of_runs)
    assert made.out == f"{folder.report}\n"
    again = lt("report", "latest", *of_runs)
    assert (again.out, again.code) == (made.out, made.code)
    assert lt("scenarios").code == 0  # cached from here on
    for words in (("runs", *of_runs), ("report", "latest", *of_runs), ("scenarios",)):
        assert not {"typer", "rich.console", "pydantic", "pyarrow", "numpy"} & imported(*words)


def test_a_page_of_one_run_imports_no_comparison_and_no_generator(tmp_path: Path) -> None:
    """The package with the chart script is not imported either. The files of that package are read directly."""
    folder = spooled(tmp_path, frames(2), record())
    folder.ensure_sealed()
    found = imported("report", "latest", "--runs", str(tmp_path))
    assert folder.report.exists()
    assert not {"typer", "rich.console", "pandas", "youplot", "locust", "gevent", "grpc"} & found
    assert not {f"reports.analysis.{name}" for name in ("comparison", "interleaved", "paired", "regression")} & found


@pytest.mark.parametrize("verb", ["scenarios", "worker", "serve"])
def test_a_verb_imports_no_other_verb(verb: str) -> None:
    own = VERBS[verb].place.partition(":")[0]
    others = {f"loadtest.cli.{verb.place.partition(':')[0]}" for verb in VERBS.values()} - {f"loadtest.cli.{own}"}
    assert not others & imported(verb, "--help")


def test_the_overview_has_the_verbs_own_summaries() -> None:
    """Each summary is the first paragraph of the verb's docstring, and each option of `lt` is listed."""
    group = typer.main.get_command(make_app())
    said = {name: " ".join((verb.help or "").split("\n\n")[0].split()) for name, verb in group.commands.items()}  # type: ignore[attr-defined]
    assert {name: verb.summary for name, verb in VERBS.items()} == said
    options = {word for option in group.params for word in option.opts if not option.hidden}  # type: ignore[attr-defined]
    assert options
    assert all(f"  {word} " in overview(100) for word in options | {"--help"})


@pytest.mark.parametrize("width", [1, 30, 80, 120])
def test_the_overview_keeps_to_the_terminals_width(width: int) -> None:
    """No line below the first is wider than the terminal (60 columns if that is narrower), and no text is left out."""
    text = overview(width)
    assert max(len(line) for line in text.splitlines()[1:]) <= max(width, 60)
    assert "".join(EXIT_CODES.split()) in "".join(text.split())
    assert all(verb.summary.split()[0] in text for verb in VERBS.values())
