"""Write the sentences of a report: the headline, the answers, and the limits of percentiles and spikes.

Every format takes its sentences from here, so that the page, the terminal and Markdown say the same. Limits are defined
in reports/data/rules.py, and inserted into the sentences from there.
"""

from __future__ import annotations

from collections.abc import Mapping

from reports.data import formats as f
from reports.data import rules
from reports.data.history import Change, History
from reports.model import (
    Objective,
    Phase,
    Quantile,
    Report,
    RunSummary,
    TaskError,
)
from reports.render import comparing
from reports.render.first_step import ENOUGH_FOR_SPIKES, failure_text, misses_a_ratio, too_little, worst_failures
from reports.render.tree import Card, Tone
from reports.verdict import of_report, regression_sentence

MARKS: Mapping[str, str] = {"held": "✓", "missed": "✗", "undecided": "?"}

VERDICT_TONES: Mapping[str, Tone] = {"held": "good", "missed": "bad", "undecided": "unsure", "unjudged": "unsure"}

LOAD_MODELS: Mapping[str, str] = {
    "closed": "Users wait for each answer before they ask again (closed loop). When the service stalls, they send "
    "fewer requests, so real callers would see worse than these percentiles during a stall. An open-loop scenario "
    "(arrival300) shows that.",
    "open": "Requests follow a schedule whatever the service does (open loop). Service time begins when the "
    "request is sent. Response time begins when it is due, so it is how long a caller would have waited.",
    "unknown": "Whether users waited for an answer before asking again is not recorded. If they did (closed loop), "
    "real callers would see worse during a stall.",
}

NO_OBJECTIVE = 'No objective of your own was set: add --slo "p95(steady) < 300ms".'


def settled() -> str:
    """Return the explanation of the warm-up table."""
    return (
        f"Settled: from then on p95 stays within {100 * (rules.SETTLED_RATIO - 1):.0f} % (or {rules.SETTLED_MS:g} ms) "
        f"of its baseline, the usual p95 of {rules.WINDOW_S} s of the steady phase without spikes. New instances are "
        f"younger than {f.seconds(rules.YOUNG_S)}."
    )


def not_a_spike() -> str:
    """Return a sentence on what the search for spikes does not count."""
    return (
        f"Rises under {100 * (rules.ON_RATIO - 1):.0f} % or under {rules.ON_MS:g} ms, single seconds, and rises of "
        f"fewer than {rules.MIN_SLOW_REQUESTS} slow requests do not count."
    )


def failed_of(run: RunSummary) -> int:
    """Return the number of failed requests. For a summary of an older version, all unsuccessful requests count."""
    totals = run.totals
    return totals.requests - totals.ok - totals.generator if totals.failed is None else totals.failed


def title(report: Report) -> str:
    """Return the report's title: a scenario and its target, or the compared targets."""
    names = [run.name for run in report.runs]
    scenarios = list(dict.fromkeys(run.scenario for run in report.runs))
    if len(names) > 3:
        names = [*names[:2], f"{len(names) - 2} more"]
        return f"{f.listing(scenarios)}: {f.listing(names)}"
    return f"{f.listing(scenarios)}: {' against '.join(reversed(names)) if len(names) == 2 else f.listing(names)}"


# ---- the headline


def headlines(report: Report) -> list[str]:
    """Return a sentence on each run. With more than two runs, the table of runs replaces the sentences."""
    return [_run_sentence(run, alone=len(report.runs) == 1) for run in report.runs] if len(report.runs) <= 2 else []


def _run_sentence(run: RunSummary, *, alone: bool) -> str:
    who = "The service" if alone else run.name[:1].upper() + run.name[1:]
    totals = run.totals
    if not totals.requests:
        return f"No request to {'the service' if alone else run.name} was recorded."
    users = f" from {f.plural(totals.peak_users, 'user')}" if totals.peak_users else ""
    took = f"{who} took {f.plural(totals.requests, 'request')}{users}: "
    if totals.generator == totals.requests:
        return f"{who} was sent nothing: the load generator could not send any of {f.count(totals.requests)} requests."
    if not totals.ok:
        return f"{took}every one failed."
    failed = failed_of(run)
    parts = ["none failed" if failed == 0 else f"{f.percent(totals.error_ratio)} failed"]
    if run.answers and run.answers.wrong:
        parts.append(f"{f.plural(run.answers.wrong, 'answer')} differed from those before the load")
    if totals.generator:
        parts.append(f"{f.count(totals.generator)} could not be sent by the load generator")
    if totals.task_errors:
        parts.append(f"{f.plural(totals.task_errors, 'error')} in the scenario's own code")
    p95 = quantile_of(main_latency(run), 0.95)
    if p95 and p95.value_ms is not None:
        parts.append(f"p95 {f.ms(p95.value_ms)} {'once steady' if phase_of(run, 'steady') else 'over the whole run'}")
    parts.append(_spike_words(run))
    return f"{took}{', '.join(parts)}."


def _spike_words(run: RunSummary) -> str:
    outages = f", {f.plural(len(run.outages), 'outage')}" if run.outages else ""
    if not run.spikes:
        if lack := too_little(run):
            return f"{lack} to look for spikes{outages}"
        none = "no p95 spike found" if has_baseline(run) else "no baseline to measure p95 spikes against"
        return none + outages
    causes = "; ".join(dict.fromkeys(spike.cause for spike in run.spikes))
    return f"{f.plural(len(run.spikes), 'p95 spike')} ({causes}){outages}"


def has_baseline(run: RunSummary) -> bool:
    """Whether the run has a baseline. Without one, the report cannot say "no spike"."""
    return run.baseline is None or run.baseline.known


# ---- how runs ended


def endings(report: Report) -> list[str]:
    """Return a sentence for each run that is not complete."""
    several = len(report.runs) > 1
    return [_ending(run, several=several) for run in report.runs if run.outcome != "complete"]


def _ending(run: RunSummary, *, several: bool) -> str:
    who = run.name if several else "This run"
    reasons = f": {'. '.join(reason.rstrip('.') for reason in run.reasons)}" if run.reasons else ""
    if run.outcome == "running":
        return f"{who} is still in progress: these are its first {f.seconds(run.duration_s)}."
    if run.outcome == "interrupted":
        planned = f" of {f.elapsed(run.planned_s)}" if run.planned_s and run.planned_s > run.duration_s else ""
        return f"{who} was stopped at {f.elapsed(run.duration_s)}{planned}{reasons}."
    return f"{who} is {run.outcome}{reasons}."


# ---- the answers of the first screen


def cards(report: Report) -> tuple[Card, ...]:
    """Return the answers of the first screen."""
    difference = comparing.card(report.comparisons[0]) if report.comparisons else _latency(report.runs[0])
    return _held(report), _spikes(report), difference, _cost(report)


def _held(report: Report) -> Card:
    kind = of_report(report).kind
    lines = [f"{MARKS[regression.verdict]} {regression_sentence(regression)}." for regression in report.regressions]
    lines += objective_lines(report)
    several = len(report.runs) > 1
    lines += _why_failed(report) if kind == "missed" else []
    lines += [
        f"{run.name if several else 'The run'} is {run.outcome}{': ' * bool(run.reasons)}{'; '.join(run.reasons[:2])}."
        for run in report.runs
        if run.outcome not in ("complete", "running")
    ]
    if kind == "unjudged":
        lines.insert(0, _failed_sentence(report))
    if kind != "missed" and all(objective.implied for run in report.runs for objective in run.objectives):
        lines.append(NO_OBJECTIVE)
    if kind == "undecided" and all(run.outcome == "running" for run in report.runs):
        held = all(objective.verdict == "held" for run in report.runs for objective in run.objectives)
        return Card("Does it hold?", "So far" if held else "Not known yet", "unsure", tuple(lines))
    values = {"held": "Yes", "missed": "No", "undecided": "Undecided", "unjudged": "Not judged"}
    return Card("Did it hold?", values[kind], VERDICT_TONES[kind], tuple(lines))


def _why_failed(report: Report) -> list[str]:
    """Return the most frequent kinds of failure of each run that misses an objective on a ratio."""
    most = 3 if len(report.runs) == 1 else 1
    several = len(report.runs) > 1
    return [
        f"{f'{run.name}: ' if several else ''}{failure_text(failure)}."
        for run in report.runs
        if misses_a_ratio(run)
        for failure in worst_failures(run, most)
    ]


def _failed_sentence(report: Report) -> str:
    failed = sum(failed_of(run) for run in report.runs)
    total = sum(run.totals.requests for run in report.runs)
    if not total:
        return "No request was recorded."
    share = f.percent(failed / total)
    return f"{f.count(failed)} of {f.plural(total, 'request')} failed ({share})." if failed else "No request failed."


def objective_lines(report: Report) -> list[str]:
    """Return each objective once, with every run's value and whether that run met it."""
    found: dict[str, list[str]] = {}
    for run in report.runs:
        for objective in run.objectives:
            of = f" {run.name}" if len(report.runs) > 1 else ""
            text = f"{objective.text} (implied)" if objective.implied else objective.text
            found.setdefault(text, []).append(f"{MARKS[objective.verdict]}{of} {measured(objective)}")
    return [f"{text}: {', '.join(values)}." for text, values in found.items()]


def measured(objective: Objective) -> str:
    """Return the measured value of an objective, with its unit."""
    if objective.value is None:
        return "no data"
    units = {"ms": f.ms, "count": f.count, "usd": f.usd, "ratio": f.percent}
    return units[objective.unit](objective.value) if objective.unit in units else f"{f.decimal(objective.value)}/s"


def _spikes(report: Report) -> Card:
    found = [(run, spike) for run in report.runs for spike in run.spikes]
    if not found:
        return _no_spikes(report)
    run, worst = max(found, key=lambda pair: pair[1].peak_ms)
    of = f" ({run.name})" if len(report.runs) > 1 else ""
    lines = (
        f"Worst: {f.ms(worst.peak_ms)} at {f.elapsed(worst.onset_s)}{of}, baseline {f.ms(worst.baseline_ms)}.",
        f"Cause: {worst.cause} ({worst.confidence} confidence).",
        *worst.evidence[:1],
        *_outage_lines(report),
    )
    return Card("p95 spikes", f.plural(len(found), "spike"), "bad", lines)


def _no_spikes(report: Report) -> Card:
    lines = no_spike_lines(report)
    if not any(run.totals.ok for run in report.runs):
        return Card("p95 spikes", "Not known", "unsure", ("No successful request to look at.",))
    if any(too_little(run) for run in report.runs):
        return Card("p95 spikes", "Not known", "unsure", (*lines[:1], *_outage_lines(report)))
    never = [run.baseline.text for run in report.runs if run.baseline and not run.baseline.known]
    if never:
        return Card("p95 spikes", "Not known", "unsure", (never[0], *_outage_lines(report)))
    return Card("p95 spikes", "None found", "", (*lines[:-1][:2], *_outage_lines(report)))


def _outage_lines(report: Report) -> tuple[str, ...]:
    """Return the worst outage of each run.

    An outage need not raise the latency of the requests that are still answered.
    """
    worst = [
        max(run.outages, key=lambda outage: (outage.failed, outage.end_s - outage.onset_s))
        for run in report.runs
        if run.outages
    ]
    return tuple(f"{'Outage' if outage.share_ratio >= 0.5 else 'Failing'}: {outage.text}" for outage in worst)


def no_spike_lines(report: Report) -> list[str]:
    """Return the sentences for a run without a spike: its worst single second, and what does not count as a spike."""
    several, lines = len(report.runs) > 1, []
    for run in report.runs:
        lead = f"{run.name}: " if several else ""
        if run.spikes or not run.totals.ok:
            continue
        if lack := too_little(run):
            lines.append(
                f"{lead}{f.plural(run.totals.ok, 'successful request')} in {f.seconds(run.duration_s)}: "
                f"{lack} to tell a spike from chance (at least {ENOUGH_FOR_SPIKES})."
            )
        elif run.baseline and not run.baseline.known:
            lines.append(f"{lead}{run.baseline.text}")
        elif run.worst_second:
            worst = run.worst_second
            lines.append(
                f"{lead}The worst single second: p95 {f.ms(worst.p95_ms)} of {f.plural(worst.requests, 'request')} at "
                f"{f.elapsed(worst.at_s)}; in the usual second it is {f.ms(worst.usual_ms)}."
            )
    return [*lines, not_a_spike()] if lines else []


def change_sentence(history: History, change: Change) -> str:
    """Return a sentence on a change of level in a series of runs: where it is, how large, and what changed there."""
    run = history.runs[change.at]
    moved = "rose" if change.ratio > 0 else "fell"
    by = f.change(abs(change.ratio)).removeprefix("+")
    said = f"p95 {moved} by {by} ({f.ms(change.before_ms)} → {f.ms(change.after_ms)}) with run {run.id} of {run.day}"
    what = f.listing(list(change.what)) if change.what else "nothing that runs record"
    return f"{said}; what changed there: {what}."


def _latency(run: RunSummary) -> Card:
    p50, p95, p99 = (quantile_of(main_latency(run), q) for q in (0.5, 0.95, 0.99))
    if p95 is None or p95.value_ms is None:
        return Card("Latency", "Nothing answered", "unsure", ("No successful request to measure.",))
    lines = [f"p50 {f.ms(p50.value_ms if p50 else None)}, p99 {f.ms(p99.value_ms if p99 else None)}."]
    if not p95.enough:
        lines.append("Too few requests to rely on p95.")
    elif p95.low_ms is not None:
        lines.append(f"p95 interval {f.interval_ms(p95.low_ms, p95.high_ms)} ms.")
    if run.response:
        response = quantile_of(run.response, 0.95)
        lines.append(f"From the due time: p95 {f.ms(response.value_ms if response else None)} (whole run).")
    elif run.load_model == "closed":
        lines.append("Users wait for each answer, so real callers would see worse during a stall.")
    if said := timeouts(run):
        lines.append(said)
    heading = "Latency, steady phase" if phase_of(run, "steady") else "Latency, whole run"
    return Card(heading, f"p95 {f.ms(p95.value_ms)}", "", tuple(lines))


def _cost(report: Report) -> Card:
    priced = [(run, run.cost) for run in report.runs if run.cost]
    if not priced:
        local = all(run.capabilities.on_this_machine for run in report.runs)
        why = "This machine bills nothing per request." if local else "No price is known for this target."
        unpriced = next((run.not_priced for run in report.runs if run.not_priced), "")
        if unpriced:
            why = f"Not a Cloud Run setting: {unpriced}"
        return Card("Cost", "Not priced", "", (why,))
    run, cost = priced[-1]
    would = "Cloud Run would have billed this" if run.capabilities.on_this_machine else "Billed by Cloud Run, estimated"
    of = f" ({run.name})" if len(report.runs) > 1 else ""
    lines = (
        f"{f.usd(cost.per_1000_predictions_usd)} per 1,000 predictions.",
        f"{would}{of}; the assumptions are under Cost.",
    )
    return Card("Cost of the run", f.usd(cost.run_usd), "", lines)


# ---- parts of a run


def phase_of(run: RunSummary, name: str) -> Phase | None:
    """Return the run's phase of that name, if it had requests in it."""
    return next((phase for phase in run.phases if phase.name == name and phase.requests), None)


def quantile_of(latency: list[Quantile], q_ratio: float) -> Quantile | None:
    """Return one percentile of a list; None if the list does not contain it."""
    return next((row for row in latency if row.q_ratio == q_ratio), None)


def main_latency(run: RunSummary) -> list[Quantile]:
    """Return the percentiles that "once steady" refers to: from the steady phase, or else from the whole run."""
    steady = phase_of(run, "steady")
    return steady.latency if steady else run.latency


def load_models(report: Report) -> list[tuple[str, str]]:
    """Return each load model of the report: the names of its runs, and a sentence on what it hides or shows."""
    found: dict[str, list[str]] = {}
    for run in report.runs:
        found.setdefault(LOAD_MODELS.get(run.load_model, LOAD_MODELS["unknown"]), []).append(run.name)
    return [(f.listing(names) if len(report.runs) > 1 else "", sentence) for sentence, names in found.items()]


def timeouts(run: RunSummary) -> str:
    """Return how many requests timed out, and the shortest time that they waited; "" if no request timed out."""
    if not run.totals.timeouts:
        return ""
    requests = f.plural(run.totals.timeouts, "more request")
    after = "" if run.totals.timeout_at_least_ms is None else f" after {f.ms(run.totals.timeout_at_least_ms)} or longer"
    return f"{requests} timed out{after} and {'is' if run.totals.timeouts == 1 else 'are'} not in these percentiles."


def task_error_sentence(error: TaskError) -> str:
    """Return a sentence on one kind of exception of the scenario's own code, with the innermost line of that code."""
    name = ".".join(part for part in (error.user_class, error.task) if part) or error.where
    lines = [line.strip() for line in error.traceback.splitlines() if line.strip().startswith("File ")]
    at = f" ({lines[-1].removeprefix('File ')})" if lines else ""
    message = f": {error.message}" if error.message else ""
    return f"The scenario's own code raised {error.exception} {f.plural(error.count, 'time')} in {name}{at}{message}."
