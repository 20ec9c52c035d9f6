"""Lay out how the numbers were obtained: versions, command, workers, fetched series, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reports.data import formats as f
from reports.data import rules
from reports.model import DataFile, Report, RunSummary
from reports.render.columns import table_of
from reports.render.tree import Block, Cell, Facts, Heading, Section, Words


def how(report: Report) -> Section:
    """Return each run's record."""
    blocks = [block for run in report.runs for block in _of_run(report, run)]
    blocks.append(
        Words(
            "Percentiles come from every single request (docs/numbers.md gives each formula), never from averages. "
            "What is not known is written as “–”, never as zero.",
            tone="muted",
        )
    )
    return Section("measured", "How measured", tuple(blocks), nav="How measured")


def _of_run(report: Report, run: RunSummary) -> Iterator[Block]:
    if len(report.runs) > 1:
        yield Heading(run.name)
    yield table_of(
        "What happened to the recording", [(run, incident) for incident in run.measured.incidents], name_runs=False
    )
    yield Facts(tuple((name, cell) for name, cell in _facts(run) if cell.text))
    yield table_of(f"Workers of {run.name}", [(run, worker) for worker in run.measured.workers], name_runs=False)
    series = [(run, metric) for metric in run.measured.cloud_series]
    yield table_of(
        f"Series fetched from the platform for {run.name}",
        series,
        name_runs=False,
        folded=f"Series fetched from the platform ({len(series)})",
    )


def _facts(run: RunSummary) -> Iterator[tuple[str, Cell]]:
    measured = run.measured
    label = f" ({run.label})" if run.label else ""
    yield "Run", Cell(f"{run.id}{label}, {run.outcome}")
    yield "Scenario", Cell(f"{run.scenario}{f': {run.description}' if run.description else ''}")
    load = f"{run.load_model} loop" if run.load_model != "unknown" else "open or closed loop: not recorded"
    yield "Load", Cell(load)
    if measured.refused:
        dropped = f"{f.plural(measured.refused, 'arrival')} dropped: too many requests were in flight"
        yield "Dropped", Cell(dropped, tone="bad")
    if measured.connects_repeated:
        repeated = (
            f"{f.plural(measured.connects_repeated, 'first packet')} of connections sent again, each after 1 s or "
            "longer: a listen backlog was full, or a packet was lost"
        )
        yield "Connections", Cell(repeated, tone="unsure")
    limits = "".join(f", {_limit(name, value)}" for name, value in run.limits.items() if value != "False")
    place = "".join(f", {part}" for part in (run.service, run.region) if part)
    revision = f", revision {run.revision}" if run.revision else ""
    if len(run.revisions) > 1:
        revision = f", revisions {f.listing(run.revisions)} (its traffic moved during the run)"
    yield "Target", Cell(f"{run.target}, {run.url}{limits}{place}{revision}")
    if measured.cpu_why:
        meaning = "The service then has to scale out on this machine as it would in the cloud."
        yield "CPU of an instance", Cell(f"Chosen by measurement: {measured.cpu_why}. {meaning}")
    yield "Requests", Cell(_requests(run))
    yield "Data", Cell("; ".join(_data_file(file) for file in measured.data_files))
    yield "Load generator", _generator(run)
    if (measured.machine_busy_ratio or 0) >= rules.MACHINE_SHARE:
        share = f.percent(measured.machine_busy_ratio)
        waits = (
            "everything on it waited for CPU, so the machine may have caused latencies and differences, not the service"
        )
        yield "Machine", Cell(f"its CPU was full in {share} of the seconds: {waits}", tone="unsure")
    yield "Options", Cell(_listed(measured.options))
    yield "Command", Cell(measured.command, code=True)
    commit = f", commit {measured.git_commit}" if measured.git_commit else ""
    yield "Versions", Cell(f"{_listed(measured.versions)}{commit}")
    yield "Host", Cell(_listed(measured.host))
    yield "Not known", Cell(" ".join(measured.missing))


def _requests(run: RunSummary) -> str:
    kinds = [f"{f.count(number)} {f.outcome(kind)}" for kind, number in run.totals.failures.items() if number]
    if run.totals.generator:
        kinds.append(f"{f.count(run.totals.generator)} {f.outcome('generator')}")
    return ", ".join([f"{f.count(run.totals.requests)} recorded", f"{f.count(run.totals.ok)} successful", *kinds])


def _data_file(file: DataFile) -> str:
    """Return how many rows of a file were sent.

    If a worker that had some of these rows was lost, only a bound is known.
    """
    rows = f"{f.plural(file.rows, 'row')} of {file.name}"
    if not file.not_sent_at_most:
        return f"{rows}: each sent once"
    if file.not_sent_at_most == file.rows:
        return f"{rows}: each to be sent once; perhaps none was sent"
    return f"{rows}: each sent once; at most {f.count(file.not_sent_at_most)} not sent"


def _generator(run: RunSummary) -> Cell:
    if not run.measured.saturated_s:
        return Cell("never saturated")
    return Cell(
        f"saturated for {f.seconds(run.measured.saturated_s)}: in those seconds it may have measured its own delay",
        tone="unsure",
    )


def _listed(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _limit(name: str, value: str) -> str:
    """Return a limit of the service with its unit."""
    if value == "True":
        return name
    return {"cpu": f"{value} vCPU", "memory mib": f"{value} MiB", "timeout s": f"timeout {value} s"}.get(
        name, f"{name} {value}"
    )
