"""Lay out the first answers: whether the run held, which requests failed, where p95 spiked and why."""

from __future__ import annotations

from collections.abc import Iterator

from reports.data import formats as f
from reports.data.timeline import CHARTS
from reports.model import Comparison, Outage, Report, RunSummary, Spike
from reports.render import comparing, sentences
from reports.render.columns import quantile_cell, table_of
from reports.render.first_step import first_step
from reports.render.sparkline import p95_over_time
from reports.render.tree import Block, Cards, Cell, Charts, Column, Section, Table, Words
from reports.verdict import of_run

MAIN_CHART = next(chart.id for chart in CHARTS if chart.main)


def in_short(report: Report) -> Section:
    """Return the answers, a table of the runs if there are several, and p95 over time."""
    blocks: list[Block] = [Words(note, tone="unsure") for note in (*report.notes, *sentences.endings(report))]
    if headlines := sentences.headlines(report):
        blocks.append(Words(" ".join(filter(None, (*headlines, first_step(report))))))
    blocks.append(Cards(sentences.cards(report)))
    lines = tuple(line for run in report.runs if (line := p95_over_time(run)))
    chart = Charts((MAIN_CHART,), lines=lines)
    if len(report.runs) > 2:  # a table of many runs is easier to read than their lines
        blocks += [_runs(report), chart]
    elif len(report.runs) == 2:
        blocks += [chart, _runs(report)]
    else:
        blocks.append(chart)
    return Section("in-short", "In short", tuple(blocks), brief=True, first=True)


def _runs(report: Report) -> Table:
    """Return a row per run with the numbers that decide the verdict. With more than two runs, add their differences."""
    several = len(report.runs) > 2
    against = {name: comparison for comparison in report.comparisons for name in comparison.b} if several else {}
    columns = (
        Column("run", wide=True),
        Column("verdict"),
        Column("requests", number=True),
        Column("failed", number=True),
        Column("answered per s", number=True),
        Column("p50", number=True),
        Column("p95", number=True),
        Column("p99", number=True),
        *((Column(f"p95 against {report.comparisons[0].a_name}", number=True),) if against else ()),
        Column("spikes", number=True),
        Column("cost", number=True),
    )
    rows = tuple(_run_row(run, several, (against.get(run.name),) if against else ()) for run in report.runs)
    return Table("Runs side by side", columns, rows)


def _run_row(run: RunSummary, several: bool, against: tuple[Comparison | None, ...]) -> tuple[Cell, ...]:
    kind = of_run(run).kind
    failed = sentences.failed_of(run)
    steady = sentences.phase_of(run, "steady")
    rate = steady.throughput_per_s if steady else run.totals.throughput_per_s
    latency = sentences.main_latency(run)
    when = f"{f.day(run.load_start)}, {f.seconds(run.duration_s)}"
    return (
        Cell(run.name, small=(when,) if several else ()),
        Cell(f"{sentences.MARKS.get(kind, '')} {kind}".strip(), tone=sentences.VERDICT_TONES[kind]),
        Cell(f.count(run.totals.requests)),
        Cell(f.percent(run.totals.error_ratio), tone="bad" if failed else ""),
        Cell(f.decimal(rate)),
        *(quantile_cell(sentences.quantile_of(latency, q)) for q in (0.5, 0.95, 0.99)),
        *map(comparing.cell, against),
        Cell(f.count(len(run.spikes))),
        Cell(f.usd(run.cost.run_usd) if run.cost else f.ABSENT),
    )


def _failed_answers(report: Report) -> Iterator[Block]:
    """Yield what is known about failed requests that were answered. For more than two runs, yield a table."""
    failed = [run for run in report.runs if run.failed_latency and sentences.failed_of(run)]
    if len(report.runs) > 2:
        if failed:
            heads = [f.quantile(q.q_ratio) for q in failed[0].failed_latency]
            columns = (Column("run", wide=True), *(Column(head, number=True) for head in heads))
            rows = tuple((Cell(run.name), *(Cell(f.ms(q.value_ms)) for q in run.failed_latency)) for run in failed)
            yield Table("How long failed requests that were answered took", columns, rows)
        return
    for run in report.runs:
        lead = run.name if len(report.runs) > 1 else ""
        if run.totals.throttled:
            counts = ", ".join(f"{status} × {f.count(count)}" for status, count in run.totals.throttled.items())
            yield Words(f"Answers that refuse a request because of too much load: {counts}.", lead=lead)
        if run in failed:
            took = ", ".join(f"{f.quantile(q.q_ratio)} {f.ms(q.value_ms)}" for q in run.failed_latency)
            yield Words(f"Failed requests that were answered took {took}.", lead=lead)


def failures(report: Report) -> Section:
    """Return the failures by endpoint and message, and the errors of the scenario's own code."""
    several = len(report.runs) > 1
    blocks: list[Block] = []
    failed = [(run, failure) for run in report.runs for failure in run.failures]
    blocks.append(table_of("Failures by endpoint and message", failed, name_runs=several))
    if not failed:
        blocks.append(Words("No request failed."))
    blocks += _failed_answers(report)
    blocks += [
        Words(sentences.task_error_sentence(error), tone="bad", lead=run.name if several else "")
        for run in report.runs
        for error in run.task_errors
    ]
    return Section("failures", "Failures", tuple(blocks), nav="Failures", brief=True)


def spikes(report: Report) -> Section:
    """Return each spike with its cause. If there is none, return how strong the evidence for that is."""
    blocks: list[Block] = [_outage_table(report), _spike_table(report)]
    blocks += [Words(line, tone="muted") for line in sentences.no_spike_lines(report)]
    several = len(report.runs) > 1
    blocks += [
        Words(run.slow_first.text, lead=run.name if several else "", tone="muted")
        for run in report.runs
        if run.slow_first
    ]
    return Section("spikes", "p95 spikes and why", tuple(blocks), nav="Spikes", brief=True)


def _spike_table(report: Report) -> Table:
    several = len(report.runs) > 1
    columns = (
        Column("no."),
        *((Column("run", wide=True),) if several else ()),
        Column("when"),
        Column("peak p95", number=True),
        Column("baseline", number=True),
        Column("requests", number=True),
        Column("callers waited longer", number=True),
        Column("why", wide=True),
    )
    numbered = enumerate(((run, spike) for run in report.runs for spike in run.spikes), 1)
    rows = tuple(tuple(_spike_row(number, run, spike, several=several)) for number, (run, spike) in numbered)
    return Table("Spikes", columns, rows, stacked=True)


def _spike_row(number: int, run: RunSummary, spike: Spike, *, several: bool) -> Iterator[Cell]:
    yield Cell(str(number))
    if several:
        yield Cell(run.name)
    yield _when(run, spike)
    yield Cell(f.ms(spike.peak_ms), small=(f.interval_ms(spike.peak_low_ms, spike.peak_high_ms),))
    yield Cell(f.ms(spike.baseline_ms), small=(f.times(spike.ratio),))
    yield Cell(f.count(spike.requests))
    each = f.seconds(spike.extra_waiting_request_s / spike.requests) if spike.requests else f.ABSENT
    yield Cell(f"{f.decimal(spike.extra_waiting_request_s)} s", small=(f"{each} each",))
    causes = " + ".join([spike.cause, *(cause.cause for cause in spike.also)])
    evidence = [*spike.evidence, *(sentence for cause in spike.also for sentence in cause.evidence)]
    yield Cell(causes, small=(f"{spike.confidence} confidence",), more=tuple(evidence))


def _when(run: RunSummary, event: Spike | Outage) -> Cell:
    """Return when a spike or an outage began and ended; "…" if the run ended first."""
    return Cell(
        f"{f.elapsed(event.onset_s)} – {f.elapsed(event.end_s)}{'…' if event.cut else ''}",
        small=(f"{f.utc(run.load_start, event.onset_s)} UTC",),
        zoom=(event.onset_s, event.end_s),
    )


def _outage_table(report: Report) -> Table:
    several = len(report.runs) > 1
    columns = (
        *((Column("run", wide=True),) if several else ()),
        Column("when"),
        Column("what"),
        Column("failed", number=True),
        Column("of", number=True),
        Column("who was hit", wide=True),
        Column("why", wide=True),
    )
    rows = tuple(
        (
            *((Cell(run.name),) if several else ()),
            _when(run, outage),
            Cell(outage.kind, tone="bad"),
            Cell(f.count(outage.failed)),
            Cell(f.count(outage.requests), small=(f.percent(outage.share_ratio),)),
            Cell(", ".join(outage.endpoints) or "all endpoints"),
            Cell(
                outage.cause or "not known",
                small=(f"{outage.confidence} confidence",) if outage.confidence else (),
                more=tuple(outage.evidence),
            ),
        )
        for run in report.runs
        for outage in run.outages
    )
    return Table("Outages", columns, rows, stacked=True)
