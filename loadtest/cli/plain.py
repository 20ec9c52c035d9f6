"""Run verbs without the parser, whose import takes longer than they do: lists, and pages that are up to date."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def run_plain(arguments: Sequence[str]) -> int | None:
    """Run `scenarios`, `runs` or `report RUN`, with --runs at most; return the exit code, None if it needs the parser.

    A report needs it unless its page is up to date.
    """
    words, runs = list(arguments), Path("runs")
    if len(words) > 2 and words[-2] == "--runs":
        runs, words = Path(words[-1]), words[:-2]
    if any(word.startswith("-") or not word for word in (*words, str(runs))):
        return None
    if words == ["scenarios"] == list(arguments):
        from .scenarios import list_scenarios

        return list_scenarios()
    if words == ["runs"]:
        from .run_list import print_runs

        return print_runs(runs)
    if words[:1] == ["report"] and len(words) == 2:
        return page_up_to_date(runs, words[1])
    return None


def page_up_to_date(runs: Path, name: str) -> int | None:
    """Print the path of the run's page if it is up to date, and return the exit code of its verdict."""
    from ..api import page_sources, verdict_of_page
    from ..core.exit_codes import of_verdict
    from ..recording.listing import find_path
    from ..recording.paths import RunPaths
    from .terminal import visible, write_lines

    folder = RunPaths(find_path(runs, name))
    verdict = verdict_of_page(folder, page_sources([folder]))
    if verdict is None:
        return None
    write_lines([visible(str(folder.report))])
    return of_verdict(verdict)
