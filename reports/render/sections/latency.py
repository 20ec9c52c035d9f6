"""Lay out latency: over time, by phase, by percentile, at the beginning, and compared with another run."""

from __future__ import annotations

from collections.abc import Iterator

from reports.data import formats as f
from reports.data.timeline import CHARTS
from reports.model import ComparedLine, Comparison, Report
from reports.render import comparing, sentences
from reports.render.columns import quantile_cell, table_of
from reports.render.tree import Beside, Block, Cell, Charts, Column, Section, Table, Words

CHARTS_EXPLAINED = (
    "In every chart, t = 0 is the start of the load. Red bands are spikes. A grey strip along the top means that "
    "the load generator was saturated. A break in a line means that nothing was measured there. Drag across a chart to "
    "zoom all charts; double-click for the whole run."
)


def over_time(report: Report) -> Section:
    """Return the charts over time and the numbers of each phase."""
    drawn = tuple(chart.id for chart in CHARTS if not chart.main)
    phases = [(run, phase) for run in report.runs for phase in run.phases]
    blocks = (
        Charts(drawn, explained=CHARTS_EXPLAINED),
        table_of("Numbers by phase", phases, name_runs=len(report.runs) > 1),
    )
    return Section("over-time", "Over time, phase by phase", blocks, nav="Over time", brief=True)


def comparisons(report: Report) -> Iterator[Section]:
    """Return a section for each pair of sides: whether the comparison is fair, and what differs by how much."""
    for number, pair in enumerate(report.comparisons, 1):
        heading = f"{pair.b_name} against {pair.a_name}"
        nav = "Compared" if len(report.comparisons) == 1 else f"Compared {number}"
        yield Section(f"compared-{number}", heading, tuple(_pair(pair)), nav=nav, brief=True)


def _pair(pair: Comparison) -> Iterator[Block]:
    if pair.unlike:
        yield Words(f"Not a fair comparison: {'; '.join(pair.unlike)}.", tone="bad")
    elif pair.comparable:
        yield Words("No condition was found that makes the comparison unfair.", tone="muted")
    yield Table("Differences with intervals", _compared_columns(pair), tuple(_compared_row(pair)))
    yield from (Words(note, tone="muted") for note in pair.notes)
    columns = (Column("what differs"), Column(pair.a_name, wide=True), Column(pair.b_name, wide=True))
    rows = tuple(
        (Cell(difference.what, tone="bad" if difference.matters else ""), Cell(difference.a), Cell(difference.b))
        for difference in pair.differences
    )
    yield Table("What differs between the runs", columns, rows)


def _compared_columns(pair: Comparison) -> tuple[Column, ...]:
    return (
        Column("where"),
        Column("statistic"),
        Column(pair.a_name, number=True),
        Column(pair.b_name, number=True),
        Column("difference", number=True),
        Column("95 % interval", number=True),
        Column(f"verdict ({comparing.margin()})", wide=True),
    )


def _compared_row(pair: Comparison) -> Iterator[tuple[Cell, ...]]:
    for line in pair.lines:
        yield (
            Cell(f.phase(line.scope)),
            Cell(line.statistic),
            *(
                Cell(comparing.compared_value(line, ms, value))
                for ms, value in ((line.a_ms, line.a_value), (line.b_ms, line.b_value))
            ),
            Cell(comparing.compared_change(line)),
            Cell(comparing.compared_interval(line)),
            _verdict_cell(line, pair),
        )


def _verdict_cell(line: ComparedLine, pair: Comparison) -> Cell:
    if line.verdict == "inconclusive":
        return Cell(comparing.verdict_text(line, pair), tone="unsure")
    return Cell(line.verdict, tone=comparing.COMPARED_TONES.get(line.verdict, ""))


def percentiles(report: Report) -> Section:
    """Return latency at each percentile, and a note on what the percentiles do not include."""
    several = len(report.runs) > 1
    blocks: list[Block] = [Beside((Charts(("curve",)), _percentile_table(report)))]
    for run in report.runs:
        if said := sentences.timeouts(run):
            blocks.append(Words(said, lead=run.name if several else ""))
    blocks += [Words(sentence, lead=names) for names, sentence in sentences.load_models(report)]
    blocks.append(
        Words(
            "Read p95 as “95 % of the successful requests took this long or less”. The 95 % "
            "interval is in brackets or in small type. If a number is in italics, or its interval has no upper end, "
            "there are too few requests to rely on it.",
            tone="muted",
        )
    )
    return Section("percentiles", "Latency by percentile", tuple(blocks), nav="Percentiles")


def _percentile_table(report: Report) -> Table:
    columns = [Column("percentile")]
    for run in report.runs:
        lead = f"{run.name}: " if len(report.runs) > 1 else ""
        columns.append(Column(f"{lead}service time", number=True))
        if run.response is not None:
            columns.append(Column(f"{lead}response time", number=True))
    rows = []
    for q in sorted({row.q_ratio for run in report.runs for row in run.latency}):
        cells = [Cell(f.quantile(q))]
        for run in report.runs:
            cells.append(quantile_cell(sentences.quantile_of(run.latency, q)))
            if run.response is not None:
                cells.append(quantile_cell(sentences.quantile_of(run.response, q)))
        rows.append(tuple(cells))
    return Table("Percentiles", tuple(columns), tuple(rows))


def warm_up(report: Report) -> Section:
    """Return how each run began."""
    rows = [(run, run.warmup) for run in report.runs]
    table = table_of("Warm-up", rows, name_runs=len(report.runs) > 1)
    return Section("warm-up", "Warm-up", (table, Words(sentences.settled(), tone="muted")), nav="Warm-up")
