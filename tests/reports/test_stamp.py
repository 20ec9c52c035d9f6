"""A page that is up to date is not made again. A page whose content could change is made again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtest.cli.report import Format, report
from loadtest.recording.folder import RunFolder
from tests.simulator import Story, simulate

RUN = "20260817T101500Z-ramp-local"


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short runs, and the page of one that misses an objective."""
    home = tmp_path_factory.mktemp("reported") / "runs"
    for number, name in enumerate((RUN, "20260817T102000Z-ramp-local")):
        simulate(home / name, Story(seconds=30, users=5.0, kind="local"), number)
    folder = RunFolder(home / RUN)
    folder.write_run(folder.read_run().model_copy(update={"objectives": ["p95 < 1ms"]}))
    ask(home)
    return home


@pytest.fixture
def runs(reported: Path, tmp_path: Path) -> Path:
    """The same runs, with a page in their folder."""
    home = Path(shutil.copytree(reported, tmp_path / "runs"))
    assert ask(home) == 1
    return home


def ask(runs: Path, **options: object) -> int:
    given = {"format": Format.HTML, "open_it": False, "out_file": None, **options}
    return report([RUN], runs=runs, **given)  # type: ignore[arg-type] # the verb's own options


def made_at(path: Path) -> int:
    """Return values that change when the file is written again."""
    return path.stat().st_ino


def test_a_page_that_is_up_to_date_stays_and_its_verdict_is_the_exit_code(runs: Path) -> None:
    folder = RunFolder(runs / RUN)
    before = [made_at(path) for path in (folder.report, folder.summary, runs / "index.html")]
    assert ask(runs) == 1
    assert [made_at(path) for path in (folder.report, folder.summary, runs / "index.html")] == before


def relabel(folder: RunFolder) -> None:
    folder.write_run(folder.read_run().model_copy(update={"label": "other"}))


CHANGES: dict[str, Callable[[RunFolder], object]] = {
    "the record": relabel,
    "a file that was not there": lambda folder: folder.failures.write_text("type,count\n"),
    "a byte of a file changed in the same second": lambda folder: folder.load.write_bytes(
        folder.load.read_bytes().replace(b"0", b"1", 1)
    ),
    "the page": lambda folder: folder.report.write_text(folder.report.read_text().replace("p95", "p59", 1)),
    "the summary": lambda folder: folder.summary.write_text(folder.summary.read_text() + " "),
    "no summary": lambda folder: folder.summary.unlink(),
    "no page": lambda folder: folder.report.unlink(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_the_page_is_made_again(runs: Path, what: str) -> None:
    folder = RunFolder(runs / RUN)
    kept = runs.parent / "kept.html"
    kept.hardlink_to(folder.report)  # its inode is not reused for the new page
    CHANGES[what](folder)
    ask(runs)
    assert made_at(folder.report) != made_at(kept)


def test_other_prices_make_a_page_that_the_next_report_replaces(runs: Path) -> None:
    """Prices are an option of one report, not of the run."""
    before = (runs / RUN / "report.html").read_bytes()
    assert ask(runs, free_tier=True) == 1
    assert b"<!-- missed" not in (runs / RUN / "report.html").read_bytes()
    ask(runs)
    assert (runs / RUN / "report.html").read_bytes()[-100:].count(b"<!-- missed") == before.count(b"<!-- missed") == 1


def test_the_list_of_all_runs_is_renewed_beside_a_page_that_stays(runs: Path) -> None:
    """A run that was deleted by hand disappears from the list."""
    shutil.rmtree(runs / "20260817T102000Z-ramp-local")
    ask(runs)
    assert "20260817T102000Z" not in (runs / "index.html").read_text()


def test_a_comparison_that_is_gone_does_not_keep_a_report_from_its_verdict(runs: Path) -> None:
    """The link leads to no file, as if another process had just deleted the comparison's page."""
    (runs / "compare-a-with-b.html").symlink_to(runs / "nowhere")
    assert ask(runs) == 1
