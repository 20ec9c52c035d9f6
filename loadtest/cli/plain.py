"""Run the simplest verbs without the parser, which takes longer to import than these verbs take to run."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from pathlib import Path


def run_plain(arguments: Sequence[str]) -> int | None:
    """Run `scenarios`, `runs` or `report RUN` with no option other than --runs.

    Return the exit code; None if the parser is needed.
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
        return report_one(runs, words[1])
    return None


def spare_start() -> None:
    """Switch off work of libraries that a report does not need. Call this before the libraries are imported.

    This function saves 0.12 s of the 0.7 s of CPU that a small report takes. The function switches off the threads of
    OpenBLAS, which wait for work in a loop, and Pydantic's search for plug-ins in all installed packages. The function
    also prevents garbage collections while modules are imported.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(100_000)


def report_one(runs: Path, name: str) -> int:
    """Make the page of a run unless it is up to date, print its path, and return the exit code for its verdict."""
    from ..api import page_sources, verdict_of_page, write_page
    from ..core.exit_codes import of_verdict
    from ..recording.listing import find_path
    from ..recording.paths import RunPaths
    from .terminal import visible, write_lines

    folder = RunPaths(find_path(runs, name))
    sources = page_sources([folder])
    verdict = verdict_of_page(folder, sources)
    if verdict is None:
        spare_start()
        from reports.summary.build import build_report
        from reports.verdict import of_report

        made = build_report([folder.path])
        write_page(made, [folder], sources=sources)
        verdict = of_report(made).kind
    write_lines([visible(str(folder.report))])
    return of_verdict(verdict)
