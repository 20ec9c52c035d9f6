"""Lay out what a run shows about the service: capacity, settings, endpoints, instances and cost."""

from __future__ import annotations

from reports.data import formats as f
from reports.model import Report, RunSummary, Suggestion
from reports.render.columns import table_of
from reports.render.tree import Beside, Block, Cell, Charts, Column, Heading, Points, Section, Table, Words


def _lead(report: Report, run: RunSummary) -> str:
    return run.name if len(report.runs) > 1 else ""


def capacity(report: Report) -> Section:
    """Return where throughput stopped growing, and the settings recommended by the runs."""
    unknown = "Not known: requests in flight were not recorded."
    blocks: list[Block] = [
        Words(run.capacity.text if run.capacity else unknown, lead=_lead(report, run)) for run in report.runs
    ]
    blocks.append(Beside((Charts(("capacity-rate",)), Charts(("capacity-p95",)))))
    blocks += [
        Words(
            f"Its instances are not a Cloud Run setting ({run.not_priced.rstrip('.')}): no concurrency and no "
            "maximum can be recommended from them. Run it with --cpu 1 to get these.",
            lead=_lead(report, run),
        )
        for run in report.runs
        if run.not_priced
    ]
    advised = [(run, suggestion) for run in report.runs for suggestion in run.advice]
    if advised:
        columns = (Column("setting"), Column("why", wide=True), Column("from", wide=True), Column("cost", wide=True))
        run_column = (Column("run", wide=True),) if len(report.runs) > 1 else ()
        rows = tuple(
            (*((Cell(run.name),) if run_column else ()), *_advice_cells(suggestion)) for run, suggestion in advised
        )
        blocks += [Heading("Recommendations"), Table("Recommendations", (*run_column, *columns), rows)]
    return Section("capacity", "Capacity", tuple(blocks), nav="Capacity")


def _advice_cells(advice: Suggestion) -> tuple[Cell, ...]:
    return (
        Cell(f"{advice.option} {advice.value}", code=True),
        Cell(advice.why),
        Cell(advice.arithmetic, small=tuple(advice.assumptions)),
        Cell(advice.cost or f.ABSENT),
    )


def endpoints(report: Report) -> Section:
    """Return each endpoint's numbers."""
    rows = [(run, endpoint) for run in report.runs for endpoint in run.endpoints]
    return Section(
        "endpoints",
        "By endpoint",
        (table_of("Endpoints", rows, name_runs=len(report.runs) > 1),),
        nav="Endpoints",
    )


def instances(report: Report) -> Section:
    """Return each instance, as its answers describe it."""
    rows = [(run, instance) for run in report.runs for instance in run.instances]
    blocks: list[Block] = [table_of("Instances", rows, name_runs=len(report.runs) > 1)]
    if not rows:
        blocks.append(Words("Not known: the answers name no instance (header x-instance-id)."))
    return Section("instances", "Instances", tuple(blocks), nav="Instances")


def cost(report: Report) -> Section:
    """Return the cost of each run, with the assumptions."""
    blocks: list[Block] = []
    for run in report.runs:
        if run.cost is None:
            continue
        said = (
            f"{f.usd(run.cost.run_usd)} for the run, {f.usd(run.cost.per_1000_predictions_usd)} per 1,000 predictions."
        )
        blocks += [Words(said, lead=_lead(report, run)), Points(tuple(run.cost.assumptions))]
    if not blocks:
        why = (
            "the target is not billed by request, its limits are not known, or Cloud Run does not offer such a setting"
        )
        blocks.append(Words(f"Not priced: {why} (below 1 vCPU the concurrency must be 1)."))
    return Section("cost", "Cost", tuple(blocks), nav="Cost")
