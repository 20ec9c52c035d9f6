"""Choose the sentence on the first screen that says what to examine or change first."""

from __future__ import annotations

from reports.data import formats as f
from reports.data import rules
from reports.model import Failure, Report, RunSummary, Suggestion
from reports.render.bodies import gist_of

FEW = 0.05
"""A kind of failure that is a smaller share of a run's failures than this is not shown on the first screen."""

ENOUGH_FOR_SPIKES = f"{rules.WINDOW_REQUESTS} requests and {2 * rules.WINDOW_S} s"


def failure_text(failure: Failure) -> str:
    """Describe a kind of failure in a few words: which requests failed, how often, and what the answer says."""
    how = f"HTTP {failure.status}" if failure.status and failure.status >= 400 else f.outcome(failure.kind)
    said = gist_of(failure.body) if failure.body else failure.message if failure.message != how else ""
    what = f"{f.count(failure.count)} × {how}"
    where = f" of {failure.method} {failure.name}".rstrip() if failure.name else ""
    return f"{what}{where}{f': {said}' if said else ''}"


def worst_failures(run: RunSummary, most: int) -> list[Failure]:
    """Return a run's most frequent kinds of failure, without those that are a small share of all."""
    total = sum(failure.count for failure in run.failures)
    ranked = sorted(run.failures, key=lambda failure: -failure.count)
    return [failure for failure in ranked if failure.name and failure.count >= FEW * total][:most]


def misses_a_ratio(run: RunSummary) -> bool:
    """Whether an objective on a share of the requests, such as the error rate, was missed."""
    return any(objective.unit == "ratio" and objective.verdict == "missed" for objective in run.objectives)


def too_little(run: RunSummary) -> str:
    """Return what makes it impossible to judge the run's p95 over time: too few requests, or a short time; else ""."""
    if run.totals.ok < rules.WINDOW_REQUESTS:
        return "too few requests"
    return "too short a time" if run.duration_s < 2 * rules.WINDOW_S else ""


def first_step(report: Report) -> str:
    """Return a sentence that says what to do first; "" if there is nothing to do.

    For one run, the sentence is about the most frequent failure if an objective on a share of the requests was missed.
    Otherwise it is about the recommendation against a spike, or it says that the run is too short. For two runs that
    are not comparable, it says what must be the same in both.
    """
    if len(report.runs) == 2 and report.comparisons and not report.comparisons[0].comparable:
        unlike = [difference.what for difference in report.comparisons[0].differences if difference.matters]
        return f"Before you decide by their difference, run both with the same {f.listing(unlike)}."
    if len(report.runs) != 1:
        return ""
    run = report.runs[0]
    if misses_a_ratio(run) and (failures := worst_failures(run, 1)):
        return f"Look first at {failure_text(failures[0])}."
    against = [item for item in run.advice if not _is_a_bound(item, run)]
    if run.spikes and against:
        cost = f" ({against[0].cost})" if against[0].cost else ""
        return f"Try first {against[0].option} {against[0].value}: {against[0].why}{cost}."
    if run.totals.ok and run.outcome != "running" and too_little(run):
        few = any(each.q_ratio == 0.95 and not each.enough for each in run.latency)
        p95 = "p95 needs more requests, and " if few else ""
        return f"Run it for longer: {p95}spikes need at least {ENOUGH_FOR_SPIKES}."
    return ""


def _is_a_bound(item: Suggestion, run: RunSummary) -> bool:
    """Whether a recommendation only limits the maximum number of instances, and does not raise it."""
    present = run.limits.get("max instances", "")
    return item.option == "--max-instances" and not (present.isdigit() and int(item.value) > int(present))
