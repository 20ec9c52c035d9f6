"""The verb `metrics`: fetch (again) the Cloud Run series of a recorded run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .deploy import EndpointOption, ProjectOption, RegionOption
from .runs import RunsOption

if TYPE_CHECKING:
    from ..platforms.cloudrun.calls import RetryPolicy
    from ..recording.folder import RunFolder
    from ..recording.run import Run


def metrics(
    run: Annotated[
        str, typer.Argument(help="The run: its id, a prefix of it, its label, `latest`, or a path.")
    ] = "latest",
    service: Annotated[
        str | None, typer.Option("--service", help="In place of the run's own service.", show_default=False)
    ] = None,
    project: ProjectOption = None,
    region: RegionOption = None,
    endpoint: EndpointOption = None,
    runs: RunsOption = Path("runs"),
) -> int:
    """Fetch the series of a run's Cloud Run service, wait until they cover the run, and store them with it.

    What was stored before is replaced once everything has come. A report made again then uses the new series.

    Examples:
        python lt.py metrics latest

        python lt.py metrics 20260817T101500Z-ramp300-cloud --project my-project --region europe-west2
    """
    from ..core.errors import UsageError
    from ..platforms.cloudrun.clients import Clients
    from ..recording.catalogue import find_run
    from .terminal import talk

    folder = find_run(runs, run)
    record = folder.ensure_sealed()
    target = record.target
    if target.kind == "emulator" and endpoint is None:
        raise UsageError(
            f"{record.id} ran on a local Cloud Run; its series were fetched with it. Give `--endpoint HOST:PORT` to "
            "fetch them again, where it still is there."
        )
    target.service = service or target.service
    target.region = region or target.region
    target.project = project or target.project or Clients(endpoint).project
    fetch_into(folder, record, endpoint=endpoint)
    talk.print(f"[green]✓[/] stored in {folder.metrics}; make the report again: python lt.py report {record.id}")
    return 0


def fetch_into(
    folder: RunFolder, record: Run, *, endpoint: str | None, retry_policy: RetryPolicy | None = None
) -> None:
    """Fetch the series of the run's window with a progress line, store them in its folder, and say what came.

    `retry_policy` bounds each call.

    Raises:
        UsageError: the record names no service, project or region, or the run never ended.
        CloudError: Google refused, did not answer, or has no point; what was stored before is as it was.
    """
    from ..core.errors import UsageError
    from ..platforms.cloudrun.metrics import EITHER_SIDE, Ingestion, fetch
    from .terminal import talk

    if record.end is None:
        raise UsageError(f"{record.id} has no end yet: stop it first (Ctrl-C in its terminal).")
    with talk.status("asking Cloud Monitoring") as line:

        def show(ingestion: Ingestion) -> None:
            until = f"{ingestion.covered_until:%H:%M:%S}" if ingestion.covered_until else "nothing yet"
            line.update(
                f"waiting for Cloud Monitoring: has {until}, wanted {ingestion.wanted_until:%H:%M:%S} UTC "
                f"({ingestion.waited_s:.0f} s of at most {ingestion.limit_s:.0f} s)"
            )

        table = fetch(
            record.target,
            record.load_start or record.start,
            record.end,
            served_until=_last_answer(folder),
            endpoint=endpoint,
            on_progress=show,
            retry_policy=retry_policy,
        )
    folder.write_metrics(table)
    if endpoint is None and datetime.now(UTC) < record.end + EITHER_SIDE:
        after = f"what came after the run is there in 5 min: python lt.py metrics {record.id}"
        talk.print(after, markup=False)
    series = len(set(zip(table["metric"].to_pylist(), table["labels"].to_pylist(), strict=True)))
    talk.print(f"{table.num_rows} points of {series} series of {record.target.service}")


def _last_answer(folder: RunFolder) -> datetime | None:
    """Return when the run's last request was answered, but for 429: those never reach an instance, nor its series."""
    import pyarrow.compute as pc

    last_ns = 0
    for batch in folder.row_batches(["start", "latency_us", "status"]):
        served = batch.filter(pc.and_kleene(pc.is_valid(batch["status"]), pc.not_equal(batch["status"], 429)))
        if served.num_rows:
            took_ns = pc.multiply(served["latency_us"], 1000)
            last_ns = max(last_ns, pc.max(pc.add(served["start"].cast("int64"), took_ns)).as_py())
    return datetime.fromtimestamp(last_ns / 1e9, UTC) if last_ns else None
