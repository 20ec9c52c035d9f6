"""Set a report out as headings, sentences and tables of words, for the renderings that have no charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.data import formats as f
from reports.model import Comparison, Phase, Quantile, Report, RunSummary, Warmup
from reports.render import sentences

SHOWN = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of words. `numbers` says which columns hold numbers, which stand to the right."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with sentences and tables under it; `short` is what the end of a run shows."""

    heading: str
    blocks: tuple[str | Table, ...]
    short: bool = False


def outline(report: Report) -> list[Section]:
    """Return the report as sections, in the order of the page, empty ones left out."""
    sections = [
        Section("In short", _in_short(report), short=True),
        Section("p95 spikes and why", _spikes(report), short=True),
        Section("Phase by phase", (_phases(report),), short=True),
        *(Section(f"{pair.b_name} against {pair.a_name}", _compared(pair), short=True) for pair in report.comparisons),
        Section("Latency by percentile", _percentiles(report)),
        Section("Warm-up", (_warmup(report),)),
        Section("Capacity", _capacity(report)),
        Section("By endpoint", (_endpoints(report),)),
        Section("Failures", _failures(report), short=True),
        Section("Instances", (_instances(report),)),
        Section("Cost", _cost(report)),
        Section("How measured", tuple(line for run in report.runs for line in _measured(run))),
    ]
    return [section for section in (_filled(section) for section in sections) if section.blocks]


def _filled(section: Section) -> Section:
    blocks = tuple(block for block in section.blocks if not isinstance(block, Table) or block.rows)
    return Section(section.heading, blocks, section.short)


def _table(report: Report, heads: Sequence[str], rows: Sequence[tuple[str, ...]], numbers: Sequence[int]) -> Table:
    """Return a table whose first column is the run; with a single run that column goes."""
    if len(report.runs) > 1:
        return Table(("run", *heads), tuple(rows), frozenset(at + 1 for at in numbers))
    return Table(tuple(heads), tuple(row[1:] for row in rows), frozenset(numbers))


def _in_short(report: Report) -> tuple[str, ...]:
    cards = [
        f"{card.title}{'' if card.title.endswith('?') else ':'} {card.value}. {' '.join(card.lines)}"
        for card in sentences.cards(report)
    ]
    left = [
        f"{run.name} is {run.outcome}{': ' * bool(run.reasons)}{'. '.join(run.reasons)}."
        for run in report.runs
        if run.outcome != "complete"
    ]
    return (*report.notes, sentences.headline(report), *cards, *left, *sentences.task_error_lines(report))


def _spikes(report: Report) -> tuple[str | Table, ...]:
    rows = [
        (
            run.name,
            f"{f.elapsed(spike.onset_s)} – {f.elapsed(spike.end_s)}",
            f"{f.utc(run.load_start, spike.onset_s)} UTC",
            f.ms(spike.peak_ms),
            f.interval_ms(spike.peak_low_ms, spike.peak_high_ms),
            f.times(spike.ratio),
            f.count(spike.requests),
            f"{f.decimal(spike.extra_waiting_request_s)} request-s",
            f"{spike.cause} ({spike.confidence})",
        )
        for run in report.runs
        for spike in run.spikes
    ]
    heads = ("when", "UTC", "peak p95", "interval, ms", "× calm", "requests", "extra waiting", "why")
    evidence = [
        f"{f.elapsed(spike.onset_s)} {spike.cause}: {' '.join(spike.evidence)}"
        for run in report.runs
        for spike in run.spikes
    ]
    slow = [run.slow_first.text for run in report.runs if run.slow_first]
    return (_table(report, heads, rows, (2, 3, 4, 5, 6)), *evidence, *slow)


def _three(latency: list[Quantile]) -> tuple[str, ...]:
    found = [sentences.quantile_of(latency, q) for q in SHOWN]
    return tuple(f.ms(q.value_ms if q else None) for q in found)


def _phase_row(run: RunSummary, phase: Phase) -> tuple[str, ...]:
    when = f"{f.elapsed(phase.start_s)} – {f.elapsed(phase.end_s)}"
    counts = (f.count(phase.requests), f.decimal(phase.throughput_per_s), f.count(phase.failures))
    return (run.name, sentences.phase(phase.name), when, *counts, *_three(phase.latency))


def _phases(report: Report) -> Table:
    rows = [_phase_row(run, phase) for run in report.runs for phase in run.phases]
    heads = ("phase", "when", "requests", "answered per s", "failed", "p50", "p95", "p99")
    return _table(report, heads, rows, (2, 3, 4, 5, 6, 7))


def _compared(pair: Comparison) -> tuple[str | Table, ...]:
    rows = tuple(
        (
            sentences.phase(line.scope),
            line.statistic,
            f.ms(line.a_ms),
            f.ms(line.b_ms),
            f.change(line.difference_ratio),
            f.change_interval(line.low_ratio, line.high_ratio),
            line.verdict + (f" (about {f.seconds(line.needed_s)} of load would tell)" if line.needed_s else ""),
        )
        for line in pair.lines
    )
    heads = ("where", "statistic", pair.a_name, pair.b_name, "difference", "95 % interval", "verdict (±5 %)")
    unlike = [
        f"{'Unfair' if one.matters else 'Different'}: {one.what}: {one.a} against {one.b}." for one in pair.differences
    ]
    return (Table(heads, rows, frozenset({2, 3, 4, 5})), *unlike, *pair.notes)


def _cell(quantile: Quantile | None) -> str:
    if quantile is None or quantile.value_ms is None:
        return f.ABSENT
    interval = "" if quantile.low_ms is None else f" ({f.interval_ms(quantile.low_ms, quantile.high_ms)})"
    return f.ms(quantile.value_ms) + interval


def _percentiles(report: Report) -> tuple[str | Table, ...]:
    heads = ["percentile"]
    for run in report.runs:
        name = f"{run.name}: " if len(report.runs) > 1 else ""
        heads += (
            [f"{name}service time", f"{name}response time"] if run.response is not None else [f"{name}service time"]
        )
    rows = []
    for row in sentences.rows(report):
        cells = [f.quantile(row.q_ratio)]
        for run, (service, response) in zip(report.runs, row.cells, strict=True):
            cells += [_cell(service), _cell(response)] if run.response is not None else [_cell(service)]
        rows.append(tuple(cells))
    models = [f"{names}: {said}" if names else said for names, said in sentences.load_models(report)]
    return (Table(tuple(heads), tuple(rows), frozenset(range(1, len(heads)))), *models, *sentences.timeouts(report))


def _warm_row(name: str, warm: Warmup) -> tuple[str, ...]:
    settled = "did not settle" if warm.settled_s is None else f.seconds(warm.settled_s)
    waiting = (
        f.ABSENT if warm.extra_waiting_request_s is None else f"{f.decimal(warm.extra_waiting_request_s)} request-s"
    )
    levels = (f.ms(warm.peak_p95_ms), f.ms(warm.steady_p95_ms), waiting, f.count(warm.young_requests))
    return (name, f.seconds(warm.first_answer_s), settled, *levels)


def _warmup(report: Report) -> Table:
    heads = ("run", "first answer", "p95 settled", "highest p95", "steady p95", "extra waiting", "on young instances")
    rows = tuple(_warm_row(run.name, run.warmup) for run in report.runs)
    return Table(heads, rows, frozenset(range(1, 7)))


def _capacity(report: Report) -> tuple[str | Table, ...]:
    said = [
        (f"{run.name}: " if len(report.runs) > 1 else "") + run.capacity.text for run in report.runs if run.capacity
    ]
    rows = [
        (run.name, f"{one.option} {one.value}", one.why, one.arithmetic, one.cost or f.ABSENT)
        for run in report.runs
        for one in run.advice
    ]
    return (*said, _table(report, ("what to set", "why", "arithmetic", "costs"), rows, ()))


def _endpoints(report: Report) -> Table:
    rows = [
        (
            run.name,
            f"{one.method} {one.name}".strip(),
            f.count(one.requests),
            f.decimal(one.throughput_per_s),
            f.count(one.failures),
            *_three(one.latency),
        )
        for run in report.runs
        for one in run.endpoints
    ]
    heads = ("endpoint", "requests", "answered per s", "failed", "p50", "p95", "p99")
    return _table(report, heads, rows, (1, 2, 3, 4, 5, 6))


def _failures(report: Report) -> tuple[Table, ...]:
    rows = [
        (
            run.name,
            one.kind.replace("_", " "),
            str(one.status or f.ABSENT),
            one.message,
            f.count(one.count),
            f.elapsed(one.first_s),
            f.elapsed(one.last_s),
        )
        for run in report.runs
        for one in run.failures
    ]
    return (_table(report, ("kind", "status", "message", "count", "first", "last"), rows, (3, 4, 5)),)


def _instances(report: Report) -> Table:
    rows = [
        (
            run.name,
            one.name,
            f.elapsed(one.first_seen_s),
            f.count(one.requests),
            f.ms(one.first_latency_ms),
            f.ms(one.median_ms),
        )
        for run in report.runs
        for one in run.instances
    ]
    return _table(report, ("instance", "first seen", "requests", "first latency", "median"), rows, (1, 2, 3, 4))


def _cost(report: Report) -> tuple[str, ...]:
    return tuple(
        f"{run.name}: {f.usd(run.cost.run_usd)} for the run, {f.usd(run.cost.per_1000_predictions_usd)} per 1,000 "
        f"predictions. {' '.join(run.cost.assumptions)}"
        for run in report.runs
        if run.cost
    )


def _measured(run: RunSummary) -> Iterator[str]:
    how = run.measured
    yield f"{run.name}: {run.id}, {run.outcome}, {run.load_model} loop, {run.target} at {run.url}."
    versions = ", ".join(f"{name} {version}" for name, version in how.versions.items())
    if versions:
        yield f"Versions: {versions}{f', commit {how.git_commit}' if how.git_commit else ''}."
    if how.command:
        yield f"Command: {how.command}"
    for worker in how.workers:
        rows = f"{f.count(worker.rows_sent)} rows sent, {f.count(worker.rows_received)} received"
        lost = (
            f", lost at {worker.lost} (at most {f.count(worker.rows_missing_at_most)} missing)" if worker.lost else ""
        )
        yield f"Worker {worker.name}: {rows}, clock offset {f.ms(worker.clock_offset_ms)}{lost}."
    if how.saturated_s:
        yield f"The load generator was saturated for {f.seconds(how.saturated_s)}: those seconds may measure it."
    if how.refused:
        yield f"{f.plural(how.refused, 'arrival')} refused, because too many requests were in flight."
    yield from how.missing
