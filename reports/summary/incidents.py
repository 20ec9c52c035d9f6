"""Write a sentence for each incident of a recording: refusals, clock jumps, pauses, workers without rows."""

from __future__ import annotations

from collections.abc import Iterator

from loadtest.recording.run import RefusalRecord, Run, TotalsDifferenceRecord, UnrecordedWorkerRecord
from reports.data import formats as f
from reports.model import Incident


def incidents(run: Run) -> list[Incident]:
    """Return a sentence for each incident in `run.json`."""
    return [Incident(kind=kind, text=text) for kind, text in _sentences(run)]


def _sentences(run: Run) -> Iterator[tuple[str, str]]:
    yield from (("refusal", _refusal(refusal)) for refusal in run.refusals)
    yield from (("totals difference", _difference(difference)) for difference in run.totals_differences)
    for jump in run.clock_jumps:
        way, by = "forward" if jump.by_s > 0 else "back", f.seconds(abs(jump.by_s))
        yield "clock jump", f"The clock of {jump.process} was set {way} by {by} at {f.utc(jump.at)} UTC."
    for pause in run.pauses:
        stretch = f"{f.seconds(pause.for_s)} from {f.utc(pause.at)} UTC on"
        if pause.held_by:
            yield "pause", f"{pause.held_by} blocked {pause.process} for {stretch}: no user ran."
        else:
            yield "pause", f"{pause.process} was paused for {stretch}."
    yield from (("unrecorded worker", _worker(worker)) for worker in run.unrecorded_workers)
    if resent := sum(worker.resent for worker in run.workers):
        yield (
            "resent",
            (
                f"The clients sent a request again by themselves {f.plural(resent, 'time')}, because the service had "
                "closed its connection: the service may have read that many more requests than there are rows."
            ),
        )
    if run.starts_not_known:
        clients = f.listing(run.starts_not_known)
        text = f"{clients} report a request when it ends: the requests in flight at the end of the run are not known."
        yield "starts not known", text


def _refusal(record: RefusalRecord) -> str:
    example = f", such as {record.example}" if record.example else ""
    then = "these requests are missing" if record.lost else "the value was left out of its row"
    return f"{record.name}, {f.plural(record.count, 'time')}{example}: {then}."


def _difference(record: TotalsDifferenceRecord) -> str:
    counted = f"{f.plural(record.locust, 'request')} ({f.count(record.locust_failed)} failed)"
    held = f"{f.count(record.rows)} ({f.count(record.rows_failed)} failed)"
    return f"{record.method} {record.name}: Locust counted {counted}, the rows hold {held}."


def _worker(record: UnrecordedWorkerRecord) -> str:
    sent = "an unknown number of requests" if record.requests is None else f.plural(record.requests, "request")
    users = f.plural(record.users, "user")
    return f"{record.name}: {record.why.rstrip('.')}; its {users} sent {sent} that are not recorded."
