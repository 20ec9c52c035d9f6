"""Decide whether a run held: the one verdict that every format and the exit code use."""

from __future__ import annotations

from collections.abc import Sequence

from reports.model import Objective, Regression, Report, RunSummary, RunVerdict

GENERATOR_MATTERS_RATIO = 0.01
"""If more than 1 % of the requests could not be sent, the service did not get the planned load. The implied objective
on errors has the same limit."""


def decide(
    objectives: Sequence[Objective],
    *,
    outcome: str,
    reasons: Sequence[str] = (),
    generator_ratio: float = 0.0,
    allow_degraded: bool = False,
) -> RunVerdict:
    """Return the verdict on a run: missed, else undecided, else held; unjudged if it has no objective.

    A missed objective stays missed, no matter how the run ended, because missing rows cannot improve it. A run that is
    not complete is otherwise undecided, whatever its objectives say about the recorded part.

    Args:
        objectives: the run's judged objectives, including the implied one.
        outcome: `complete`, `degraded`, `interrupted` or `running`.
        reasons: why it is not complete.
        generator_ratio: share of its requests that the load generator itself could not send.
        allow_degraded: whether a degraded run may still hold.
    """
    missed = [f"{objective.text}: {objective.why}" for objective in objectives if objective.verdict == "missed"]
    if missed:
        return RunVerdict(kind="missed", why=missed)
    open_points = [f"{objective.text}: {objective.why}" for objective in objectives if objective.verdict == "undecided"]
    allowed = ("complete", "degraded") if allow_degraded else ("complete",)
    if outcome not in allowed:
        open_points.append(f"the run is {outcome}{': ' * bool(reasons)}{'; '.join(reasons)}")
    if generator_ratio > GENERATOR_MATTERS_RATIO and not allow_degraded:
        open_points.append(f"the load generator itself could not send {generator_ratio:.1%} of the requests")
    if open_points:
        return RunVerdict(kind="undecided", why=open_points)
    if not objectives:
        return RunVerdict(kind="unjudged", why=["no objective was set, and the implied one is off"])
    return RunVerdict(kind="held", why=[f"{objective.text}: {objective.why}" for objective in objectives])


def of_run(run: RunSummary, *, allow_degraded: bool = False) -> RunVerdict:
    """Return the verdict of a run from its part of the report."""
    return decide(
        run.objectives,
        outcome=run.outcome,
        reasons=run.reasons,
        generator_ratio=generator_ratio(run),
        allow_degraded=allow_degraded,
    )


def generator_ratio(run: RunSummary) -> float:
    """Return the share of a run's requests that the load generator itself could not send; 0 without any request."""
    return run.totals.generator / run.totals.requests if run.totals.requests else 0.0


def of_runs(runs: Sequence[RunSummary], *, allow_degraded: bool = False) -> RunVerdict:
    """Return the verdict of several runs together: the worst of them. It is "held" only if each run is."""
    found = [of_run(run, allow_degraded=allow_degraded) for run in runs]
    for kind in ("missed", "undecided", "unjudged", "held"):
        those = [(run.name, verdict) for run, verdict in zip(runs, found, strict=True) if verdict.kind == kind]
        if those:
            names = len(runs) > 1
            why = [f"{name}: {said}" if names else said for name, verdict in those for said in verdict.why]
            return those[0][1].model_copy(update={"why": why})
    raise ValueError("no run to decide about")


def of_report(report: Report, *, allow_degraded: bool = False) -> RunVerdict:
    """Return the verdict of a report: on all its runs, and on the margins of its comparisons.

    A run that is only a baseline counts only in the comparison; its own missed objectives are already known.
    """
    judged = [run for run in report.runs if run.name not in report.baseline]
    found = [
        *(
            RunVerdict(kind=regression.verdict, why=[regression_sentence(regression)])
            for regression in report.regressions
        ),
        of_runs(judged or report.runs, allow_degraded=allow_degraded),
    ]
    worst = next(
        kind
        for kind in ("missed", "undecided", "held", "unjudged")
        if kind in [regression.kind for regression in found]
    )
    those = [regression for regression in found if regression.kind == worst]
    return those[0].model_copy(update={"why": [said for regression in those for said in regression.why]})


def regression_sentence(regression: Regression) -> str:
    """Return a judged margin as one sentence. If it is undecided, the sentence says what would decide it."""
    said = f"{regression.text} of {regression.b_name} against {regression.a_name}: {regression.why}"
    return f"{said}. {regression.would_decide.rstrip('.')}" if regression.would_decide else said
