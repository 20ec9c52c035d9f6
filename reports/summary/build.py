"""Build the report of run folders: read each, analyse it, compare the sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from loadtest import __version__
from loadtest.core.margins import Margin
from loadtest.recording.folder import RunFolder
from loadtest.recording.run import DecisionRecord, Outcome, Run
from loadtest.recording.sides import sides_of
from reports import model
from reports.analysis.analysis import Analysis, analyse
from reports.data import formats
from reports.data.memory import give_back_large_blocks
from reports.data.timeline import step_for
from reports.summary.summary import run_summary


def report_of(folder: RunFolder, run: Run) -> model.Report:
    """Return the report of one run without sealing the run, which may still go on. Two targets give two sides.

    Raises:
        RunFolderError: it cannot be read.
    """
    return _report([analyse(*side) for side in sides_of(folder, run)])


def build_report(
    folders: Sequence[Path],
    *,
    notes: Sequence[str] = (),
    prices: Mapping[str, object] | None = None,
    baseline: int = 0,
    margins: Sequence[Margin] = (),
) -> model.Report:
    """Return the report of one or more runs. The first run's side is compared with each other side.

    Runs with one label (or, without labels, one target) form one side and are resampled as a whole.

    Args:
        folders: the runs' folders, the baseline first.
        notes: sentences that the reader should see first.
        prices: fields of `core.prices.Prices`. They replace the listed prices and the prices that a run recorded.
        baseline: how many of the first folders form the first side, whatever their labels. With 0, it consists of all
            folders that have the label (or target) of the first one.
        margins: how much slower than the first side the others may be.

    Raises:
        RunFolderError: a run is still running, or cannot be read.
    """
    give_back_large_blocks()
    by_folder = [_analysed(RunFolder(folder), prices or {}) for folder in folders]
    found = [side for sides in by_folder for side in sides]
    baseline = sum(len(sides) for sides in by_folder[:baseline])
    return _report(found, notes=notes, baseline=baseline, margins=margins)


def _report(
    found: Sequence[Analysis], *, notes: Sequence[str] = (), baseline: int = 0, margins: Sequence[Margin] = ()
) -> model.Report:
    names = run_names(found)
    step_s = max(step_for(summary.series.seconds) for summary in found)
    runs = [run_summary(analysis, name=name, step_s=step_s) for analysis, name in zip(found, names, strict=True)]
    comparisons, regressions = _compared(found, names, runs, baseline, margins) if len(found) > 1 else ([], [])
    return model.Report(
        made_by=f"lt {__version__}",
        made_at=datetime.now(UTC).replace(microsecond=0),
        notes=list(notes),
        runs=runs,
        comparisons=comparisons,
        regressions=regressions,
        baseline=comparisons[0].a if comparisons and (baseline or regressions) else [],
    )


def run_names(found: Sequence[Analysis]) -> list[str]:
    """Return each run's name in the report: the name of its side, with the time of day if the side has several runs."""
    sides = [_side(summary) for summary in found]
    times = [f"{side} {formats.utc(analysis.run.start)}" for side, analysis in zip(sides, found, strict=True)]
    names = [side if sides.count(side) == 1 else time for side, time in zip(sides, times, strict=True)]
    repeated = Counter(names)
    names = [
        name if repeated[name] == 1 else f"{name} ({analysis.run.id})"
        for name, analysis in zip(names, found, strict=True)
    ]
    copies = Counter(names)  # two folders may have the same id, and without separate names they would be one run
    return [name if copies[name] == 1 else f"{name} no. {at}" for at, name in enumerate(names, 1)]


def _analysed(folder: RunFolder, prices: Mapping[str, object]) -> list[Analysis]:
    """Analyse a run. If it has two targets, analyse each side."""
    run = folder.ensure_sealed()
    run = run.model_copy(update={"prices": {**run.prices, **prices}})
    return [analyse(*side) for side in sides_of(folder, run)]


def _is_one_run(found: Sequence[Analysis]) -> bool:
    """Whether these are the two targets of one run."""
    return len(found) == 2 and all(summary.folder.share < 1 for summary in found) and found[0].run.id == found[1].run.id


def _decision(margin: Margin, found: Analysis) -> DecisionRecord | None:
    """Return the decision on this margin that ended a run against two targets; None if there is none."""
    return next(
        (decision for decision in found.run.decisions if found.folder.share < 1 and decision.margin == margin.text),
        None,
    )


def _side(found: Analysis) -> str:
    return found.run.label or found.run.target.kind


def _compared(
    found: Sequence[Analysis],
    names: Sequence[str],
    runs: Sequence[model.RunSummary],
    baseline: int,
    margins: Sequence[Margin],
) -> tuple[list[model.Comparison], list[model.Regression]]:
    """Return the comparisons of several runs, and their verdicts on the margins."""
    from reports.analysis.interleaved import recorded_margins  # imported only for comparisons
    from reports.analysis.regression import judge_regression

    margins = margins or (recorded_margins(found[0].run.options) if _is_one_run(found) else ())
    comparisons = _comparisons(found, names, baseline)
    judged = [
        judge_regression(margin, comparison, runs, _decision(margin, found[0]))
        for comparison in comparisons
        for margin in margins
    ]
    return comparisons, judged


def _comparisons(found: Sequence[Analysis], names: Sequence[str], baseline: int) -> list[model.Comparison]:
    from reports.analysis.comparison import Side, compare
    from reports.analysis.interleaved import compare_sides

    if _is_one_run(found) and not baseline:
        first, second = (Side(name, {name: analysis}) for name, analysis in zip(names, found, strict=True))
        looked_at = found[0].run.options.get("until_decided") or found[0].run.outcome is Outcome.RUNNING
        return [compare_sides(first, second, always_valid=bool(looked_at))]
    sides: dict[str, list[int]] = {}
    for at, analysis in enumerate(found[baseline:], start=baseline):
        sides.setdefault(_side(analysis), []).append(at)
    if baseline:
        label = _side(found[0])
        sides = {f"{label} (baseline)" if label in sides else label: list(range(baseline)), **sides}
    elif len(sides) == 1 and len(found) > 1:  # one label for all: compare the first run with each other run
        sides = {name: [at] for at, name in enumerate(names)}
    first, *others = (Side(name, {names[at]: found[at] for at in places}) for name, places in sides.items())
    return [compare(first, other) for other in others]
