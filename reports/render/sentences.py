"""Say in sentences what a report's numbers mean: the headline, the four cards, the words for causes and verdicts.

Every rendering takes its sentences from here, so that the page, the terminal and Markdown say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from reports.data import formats as f
from reports.model import ComparedLine, Comparison, Objective, Phase, Quantile, Report, RunSummary, TaskError
from reports.verdict import of_runs

MARKS: Mapping[str, str] = {"held": "✓", "missed": "✗", "undecided": "?"}

PHASES: Mapping[str, str] = {
    "warmup": "warm-up",
    "ramp": "ramp",
    "steady": "steady",
    "drain": "drain",
    "all": "whole run",
}

LOAD_MODELS: Mapping[str, str] = {
    "closed": "Closed-loop users: each waits for its answer before it asks again. When the service stalls, they ask "
    "less, so these percentiles understate what independent callers would have waited. "
    "An open-loop scenario (arrival300) does not have this blind spot.",
    "open": "Open-loop load: requests follow a schedule whatever the service does. Service time counts from sending; "
    "response time counts from when the request was due, which is what a caller would have waited.",
    "unknown": "Whether users waited for an answer before asking again is not recorded. If they did (closed loop), "
    "a stall also slowed the asking, and these percentiles understate it.",
}


@dataclass(frozen=True, slots=True)
class Card:
    """One of the four answers on the first screen.

    Attributes:
        title: the question.
        value: the answer in a few words.
        tone: good, bad, unsure or plain.
        lines: what it rests on, one sentence each.
    """

    title: str
    value: str
    tone: Literal["good", "bad", "unsure", "plain"]
    lines: tuple[str, ...]


def verdict(report: Report, *, allow_degraded: bool = False) -> str:
    """Return what the runs come to together: held, missed, undecided or unjudged (see reports/verdict.py)."""
    return of_runs(report.runs, allow_degraded=allow_degraded).kind


def failed_of(run: RunSummary) -> int:
    """Return how many requests failed; in a summary of an older version all that did not succeed."""
    totals = run.totals
    return totals.requests - totals.ok - totals.generator if totals.failed is None else totals.failed


def title(report: Report) -> str:
    """Return what the report is of: a scenario and its target, or the targets compared."""
    names = [run.name for run in report.runs]
    scenarios = list(dict.fromkeys(run.scenario for run in report.runs))
    return f"{f.listing(scenarios)}: {' against '.join(reversed(names)) if len(names) == 2 else f.listing(names)}"


def headline(report: Report) -> str:
    """Return the report in one or two sentences."""
    return " ".join(_run_sentence(run, alone=len(report.runs) == 1) for run in report.runs)


def _run_sentence(run: RunSummary, *, alone: bool) -> str:
    who = "The service" if alone else run.name[:1].upper() + run.name[1:]
    totals = run.totals
    if not totals.requests:
        return f"{who} was sent no request that was recorded."
    users = f" from {f.count(totals.peak_users)} users" if totals.peak_users else ""
    failed = failed_of(run)
    answered = "none failed" if failed == 0 else f"{f.percent(totals.error_ratio)} failed"
    if totals.generator:
        answered += f", {f.count(totals.generator)} not sent for lack of the load generator's own resources"
    if totals.task_errors:
        answered += f", {f.plural(totals.task_errors, 'error')} in the scenario's own code"
    steady = phase_of(run, "steady")
    p95 = quantile_of(steady.latency if steady else run.latency, 0.95)
    when = "once steady" if steady else "over the whole run"
    latency = f", p95 {f.ms(p95.value_ms)} {when}" if p95 and p95.value_ms is not None else ""
    if not totals.ok:
        if totals.generator == totals.requests:
            return (
                f"{who} was sent nothing: the load generator could not send any of {f.count(totals.requests)} requests."
            )
        return f"{who} took {f.plural(totals.requests, 'request')}{users}: every one failed."
    spikes = f.plural(len(run.spikes), "p95 spike") if run.spikes else "no p95 spike"
    causes = [spike.cause for spike in run.spikes]
    because = f" ({'; '.join(dict.fromkeys(causes))})" if causes else ""
    return f"{who} took {f.plural(totals.requests, 'request')}{users}: {answered}{latency}, {spikes}{because}."


def cards(report: Report) -> tuple[Card, Card, Card, Card]:
    """Return the four cards of the first screen."""
    return _held(report), _spikes(report), _difference(report), _cost(report)


def _held(report: Report) -> Card:
    verdicts = verdict(report)
    several = len(report.runs) > 1
    lines = objective_lines(report)
    lines += [
        f"{run.name if several else 'The run'} is {run.outcome}." for run in report.runs if run.outcome != "complete"
    ]
    if verdicts == "unjudged":
        failed = sum(failed_of(run) for run in report.runs)
        total = sum(run.totals.requests for run in report.runs)
        value = "No failures" if failed == 0 else f"{f.count(failed)} failed"
        lines.insert(
            0, f"{f.percent(failed / total)} of {f.plural(total, 'request')} failed." if total else "No request."
        )
        lines.append(NO_OBJECTIVE)
        return Card("Did it hold?", value, "unsure" if failed or not total else "plain", tuple(lines))
    words: dict[str, tuple[str, Literal["good", "bad", "unsure"]]] = {
        "held": ("Yes", "good"),
        "missed": ("No", "bad"),
        "undecided": ("Undecided", "unsure"),
    }
    value, tone = words[verdicts]
    if all(one.implied for run in report.runs for one in run.objectives):
        lines.append(NO_OBJECTIVE)
    return Card("Did it hold?", value, tone, tuple(lines))


NO_OBJECTIVE = 'No other objective was set: add --slo "p95(steady) < 300ms".'


def task_error_lines(report: Report) -> list[str]:
    """Return a sentence for each kind of exception that the scenario's own code raised, most frequent first."""
    return [
        f"{f'{run.name}: ' if len(report.runs) > 1 else ''}The scenario's own code raised {one.exception} "
        f"{f.plural(one.count, 'time')} in {_place(one)}{f': {one.message}' if one.message else ''}."
        for run in report.runs
        for one in run.task_errors
    ]


def _place(error: TaskError) -> str:
    lines = [line.strip() for line in error.traceback.splitlines() if line.strip().startswith("File ")]
    at = f" ({lines[-1].removeprefix('File ')})" if lines else ""
    name = ".".join(part for part in (error.user_class, error.task) if part) or error.where
    return name + at


def objective_lines(report: Report) -> list[str]:
    """Return each objective once, with what every run measured and whether that held."""
    told: dict[str, list[str]] = {}
    for run in report.runs:
        for one in run.objectives:
            of = f" {run.name}" if len(report.runs) > 1 else ""
            text = f"{one.text} (implied)" if one.implied else one.text
            told.setdefault(text, []).append(f"{MARKS[one.verdict]}{of} {measured(one)}")
    return [f"{text}: {', '.join(found)}." for text, found in told.items()]


def measured(objective: Objective) -> str:
    """Return what an objective was judged on, with its unit."""
    if objective.value is None:
        return "no data"
    if objective.unit == "ms":
        return f.ms(objective.value)
    if objective.unit == "count":
        return f.count(objective.value)
    if objective.unit == "usd":
        return f.usd(objective.value)
    return f.percent(objective.value) if objective.unit == "ratio" else f"{f.decimal(objective.value)}/s"


def _spikes(report: Report) -> Card:
    found = [(run, spike) for run in report.runs for spike in run.spikes]
    slow = tuple(run.slow_first.text for run in report.runs if run.slow_first)
    if not found and not any(run.totals.ok for run in report.runs):
        return Card("p95 spikes", "Not known", "unsure", ("No successful request to look at.",))
    if not found:
        return Card("p95 spikes", "None", "good", ("p95 never rose above about 1.3 × its surroundings.", *slow))
    run, worst = max(found, key=lambda pair: pair[1].peak_ms)
    of = f" ({run.name})" if len(report.runs) > 1 else ""
    lines = (
        f"Worst: {f.ms(worst.peak_ms)}, {f.times(worst.ratio)} the calm level, {f.elapsed(worst.onset_s)} in{of}.",
        f"Cause: {worst.cause} ({worst.confidence} confidence).",
    )
    return Card("p95 spikes", f.plural(len(found), "spike"), "bad", lines)


def _difference(report: Report) -> Card:
    if not report.comparisons:
        return _latency(report.runs[0])
    comparison = report.comparisons[0]
    heading = f"{comparison.b_name} against {comparison.a_name}"
    line = main_line(comparison)
    if line is None or line.difference_ratio is None:
        return Card(heading, "No p95 to compare", "unsure", tuple(comparison.notes[:1]))
    lines = [f"{phase(line.scope).capitalize()}: {f.ms(line.a_ms)} → {f.ms(line.b_ms)}."]
    if line.low_ratio is None:
        lines.append(f"No interval: {line.why or 'there is too little to make one'}")
    else:
        lines.append(f"95 % interval {f.change_interval(line.low_ratio, line.high_ratio)}.")
        lines.append(verdict_sentence(line, comparison))
    unfair = [f"{one.what} {one.a} against {one.b}" for one in comparison.differences if one.matters]
    if unfair:
        lines.append(f"Not a fair comparison: {'; '.join(unfair)}.")
    tones: dict[str, Literal["good", "bad", "unsure"]] = {"slower": "bad", "faster": "good", "equivalent": "good"}
    return Card(heading, f"p95 {f.change(line.difference_ratio)}", tones.get(line.verdict, "unsure"), tuple(lines))


def main_line(comparison: Comparison) -> ComparedLine | None:
    """Return the line the card shows: p95 of the steady phase, else of the whole run."""
    p95 = {line.scope: line for line in comparison.lines if line.statistic == "p95"}
    return p95.get("steady") or p95.get("all") or next(iter(p95.values()), None)


def verdict_sentence(line: ComparedLine, comparison: Comparison) -> str:
    """Return what a compared line comes to."""
    a, b = comparison.a_name, comparison.b_name
    if line.verdict == "inconclusive":
        needed = f"; about {f.seconds(line.needed_s)} of steady load would tell" if line.needed_s else ""
        return f"Inconclusive: the interval is wider than the ±5 % margin{needed}."
    if line.verdict == "equivalent":
        return f"Equivalent: {b} is within ±5 % of {a}."
    return f"{b} is {line.verdict} than {a} beyond the ±5 % margin."


def _latency(run: RunSummary) -> Card:
    steady = phase_of(run, "steady")
    latency = steady.latency if steady else run.latency
    p50, p95, p99 = (quantile_of(latency, q) for q in (0.5, 0.95, 0.99))
    if p95 is None or p95.value_ms is None:
        return Card("Latency", "Nothing answered", "unsure", ("No successful request to measure.",))
    lines = [f"p50 {f.ms(p50.value_ms if p50 else None)}, p99 {f.ms(p99.value_ms if p99 else None)}."]
    lines.append(f"p95 interval {f.interval_ms(p95.low_ms, p95.high_ms)} ms.")
    if run.response:
        response = quantile_of(run.response, 0.95)
        lines.append(f"From when it was due: p95 {f.ms(response.value_ms if response else None)} (whole run).")
    elif run.load_model == "closed":
        lines.append("Closed-loop users: a stall is understated.")
    if run.totals.timeouts:
        lines.append(
            f"{f.plural(run.totals.timeouts, 'time-out')} apart, {f.at_least(run.totals.timeout_at_least_ms)}."
        )
    return Card(
        "Latency, steady phase" if steady else "Latency, whole run", f"p95 {f.ms(p95.value_ms)}", "plain", tuple(lines)
    )


def _cost(report: Report) -> Card:
    priced = [(run, run.cost) for run in report.runs if run.cost]
    if not priced:
        local = all(run.capabilities.on_this_machine for run in report.runs)
        why = "This machine bills nothing per request." if local else "No price is known for this target."
        return Card("Cost", "Not priced", "plain", (why,))
    run, cost = priced[-1]
    would = "Cloud Run would have billed this" if run.capabilities.on_this_machine else "Billed by Cloud Run, estimated"
    of = f" ({run.name})" if len(report.runs) > 1 else ""
    lines = (
        f"{f.usd(cost.per_1000_predictions_usd)} per 1,000 predictions.",
        f"{would}{of}; the assumptions are under Cost.",
    )
    return Card("Cost of the run", f.usd(cost.run_usd), "plain", lines)


def phase(name: str) -> str:
    """Return a phase, or another scope of a comparison, in words."""
    return PHASES.get(name, name)


def phase_of(run: RunSummary, name: str) -> Phase | None:
    """Return the run's phase of that name, if it had requests in it."""
    return next((one for one in run.phases if one.name == name and one.requests), None)


def quantile_of(latency: list[Quantile], q_ratio: float) -> Quantile | None:
    """Return one percentile of a list, None when it is not in it."""
    return next((one for one in latency if one.q_ratio == q_ratio), None)


def load_models(report: Report) -> list[tuple[str, str]]:
    """Return what each kind of load in the report hides or shows: (the runs it holds for, sentence)."""
    told: dict[str, list[str]] = {}
    for run in report.runs:
        told.setdefault(LOAD_MODELS.get(run.load_model, LOAD_MODELS["unknown"]), []).append(run.name)
    return [(f.listing(names) if len(report.runs) > 1 else "", sentence) for sentence, names in told.items()]


@dataclass(frozen=True, slots=True)
class PercentileRow:
    """One percentile across the runs: service time, and response time where the run was open-loop."""

    q_ratio: float
    cells: tuple[tuple[Quantile | None, Quantile | None], ...]


def rows(report: Report) -> list[PercentileRow]:
    """Return the percentile table: a row per percentile, a pair of cells per run."""
    asked = sorted({q.q_ratio for run in report.runs for q in run.latency})
    return [
        PercentileRow(q, tuple((quantile_of(r.latency, q), quantile_of(r.response or [], q)) for r in report.runs))
        for q in asked
    ]


def timeouts(report: Report) -> list[str]:
    """Return, for each run with time-outs, how many and what is known of how long they waited."""
    return [
        f"{f'{run.name}: ' if len(report.runs) > 1 else ''}{f.plural(run.totals.timeouts, 'time-out')}, "
        f"each {f.at_least(run.totals.timeout_at_least_ms)}, stand apart: how long an answer would have taken is not "
        "known, so they are in no percentile."
        for run in report.runs
        if run.totals.timeouts
    ]
