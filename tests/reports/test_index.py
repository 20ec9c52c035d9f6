"""The page of all runs shows trends with their objective and comparisons, and is never older than the last verb."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.api import write_page
from loadtest.cli.runs import label, remove
from loadtest.recording.folder import RunFolder
from loadtest.recording.run import Run
from reports.render.index import INDEX, comparison_pages, limit_of
from reports.summary.build import build_report
from tests.reports.folders import run_record, write_rows


def recorded(home: Path, count: int, *, objectives: list[str]) -> list[RunFolder]:
    """Return runs of one scenario with their reports; the last one has the objectives."""
    folders = []
    for at in range(count):
        folder = write_rows(home / f"of-{at}", latency_us=[10_000 + 1000 * at] * 300)
        moved = RunFolder(home / f"2026081{at}T101500000Z-ramp300-local")
        folder.path.rename(moved.path)
        run = run_record(moved.path.name, objectives=objectives if at == count - 1 else [])
        moved.write_run(Run.model_validate(run.model_dump() | {"label": f"v{at}"}))
        write_page(build_report([moved.path]), [moved])
        folders.append(moved)
    return folders


def page_of(home: Path) -> str:
    return (home / INDEX).read_text(encoding="utf-8")


def test_the_index_lists_comparisons_and_follows_every_verb(tmp_path: Path) -> None:
    first, second, third = recorded(tmp_path, 3, objectives=["p95(steady) < 30ms"])
    assert "Comparisons" not in page_of(tmp_path)
    write_page(build_report([first.path, second.path]), [first, second])
    (page,) = comparison_pages(tmp_path)
    assert f'<a href="{page.link}">{page.title}</a>' in page_of(tmp_path)
    assert page.title == "ramp300: v1 against v0"
    label(str(third.path), "renamed", runs=tmp_path)
    assert "(renamed)" in page_of(tmp_path)
    remove([str(third.path)], runs=tmp_path, yes=True)
    assert third.path.name not in page_of(tmp_path)


def test_a_folder_without_an_index_gets_none_from_a_label(tmp_path: Path) -> None:
    (folder,) = recorded(tmp_path, 1, objectives=[])
    (tmp_path / INDEX).unlink()
    label(str(folder.path), "main", runs=tmp_path)
    assert not (tmp_path / INDEX).exists()


@pytest.mark.parametrize(
    ("objectives", "limit_ms"),
    [
        (["p95(steady) < 300ms", "p95 < 200ms"], 200.0),
        (["p95(POST /predict) < 10ms", "p99 < 10ms", "p95(ramp) < 10ms", "p95 < 1s for 10s", "p95 > 1ms"], None),
        (["p95 <= 0.5s", "no objective"], 500.0),
        ([], None),
    ],
)
def test_the_line_is_the_strictest_objective_on_the_same_number(objectives: list[str], limit_ms: float | None) -> None:
    found = limit_of(objectives)
    assert (None if found is None else found.limit) == limit_ms
