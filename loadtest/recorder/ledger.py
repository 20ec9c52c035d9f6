"""Count the requests and rows that every worker began, sent and lost, and compute how many can be missing at most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from ..recording.frames import Frame
from ..recording.run import RefusalRecord, TotalsDifferenceRecord, WorkerRecord

FLUSH_S = 1.0
"""Workers flush once a second. A killed worker loses at most the rows of one second, and its requests in flight."""

MAX_GAP_ROWS = 100_000_000
"""The maximum number of rows that lost frames can contain. If a worker reports a larger number, its frame is
rejected."""


@dataclass(slots=True)
class _Account:
    host: str = ""
    pid: int | None = None
    next_seq: int = 0
    received: int = 0
    gap_rows: int = 0
    densest_flush: int = 0
    begun: int | None = None
    resent: int = 0
    most_begun_at_once: int = 0
    users: int = 0
    in_flight: int = 0
    rows_sent: int | None = None
    refused_rows: int = 0
    offset_us: float | None = None
    uncertainty_us: float | None = None
    lost_at: datetime | None = None
    lost_why: str | None = None
    ended_at: datetime | None = None
    ended_why: str = ""


@dataclass(slots=True)
class Ledger:
    """Count the requests begun, and the rows sent and received, per worker.

    The class only does bookkeeping; it uses no clock and no I/O.
    """

    accounts: dict[str, _Account] = field(default_factory=dict)

    def joined(self, worker: str, *, host: str, pid: int | None) -> None:
        """Open an account. If the worker joins again, only its host and pid change."""
        account = self.accounts.setdefault(worker, _Account())
        account.host, account.pid = host, pid

    def received(self, frame: Frame) -> bool:
        """Enter a received frame. Return False if the same frame was entered before.

        If frame numbers are skipped, `rows_before` says how many rows the lost frames contained.

        Raises:
            ValueError: the frame contradicts the frames before it.
        """
        account = self.accounts.setdefault(frame.worker, _Account())
        if frame.seq < account.next_seq:
            return False
        gap = frame.rows_before - (account.received + account.gap_rows)
        if gap < 0 or gap > MAX_GAP_ROWS or (gap and frame.seq == account.next_seq):
            raise ValueError(f"frame {frame.seq} of worker {frame.worker} claims {frame.rows_before} rows before it")
        account.gap_rows += gap
        account.next_seq = frame.seq + 1
        account.received += frame.rows
        account.densest_flush = max(account.densest_flush, frame.rows)
        if frame.begun is not None:
            self.begun(frame.worker, frame.begun)
        return True

    def unwritten(self, frame: Frame) -> None:
        """Record that an entered frame could not be stored after all."""
        account = self.accounts[frame.worker]
        account.received -= frame.rows
        account.gap_rows += frame.rows

    def begun(self, worker: str, count: int) -> None:
        """Record how many requests the worker has begun so far."""
        account = self.accounts.setdefault(worker, _Account())
        account.most_begun_at_once = max(account.most_begun_at_once, count - (account.begun or 0))
        account.begun = count

    def reported(self, worker: str, *, users: int, in_flight: int | None, resent: int = 0) -> None:
        """Record the worker's numbers of users, of requests that await an answer, and of requests sent again.

        `in_flight` is None if the worker does not know how many requests await an answer.
        """
        account = self.accounts.setdefault(worker, _Account())
        account.resent = max(account.resent, resent)
        account.users = users
        account.in_flight = users if in_flight is None else in_flight

    def clock(self, worker: str, *, offset_us: float, uncertainty_us: float) -> None:
        """Record a measurement of the worker's clock. The measurement with the smallest uncertainty is kept."""
        account = self.accounts.setdefault(worker, _Account())
        if account.uncertainty_us is None or uncertainty_us < account.uncertainty_us:
            account.offset_us, account.uncertainty_us = offset_us, uncertainty_us

    def finished(self, worker: str, *, rows_sent: int, begun: int | None = None, refused_rows: int = 0) -> None:
        """Record the worker's own counts after its last frame.

        Args:
            worker: its name.
            rows_sent: number of rows in the worker's frames.
            begun: number of requests that the worker began; each request is one of these rows or one of `refused_rows`.
            refused_rows: number of requests for which the worker counted a refusal instead of writing a row.
        """
        account = self.accounts.setdefault(worker, _Account())
        account.rows_sent = rows_sent
        account.refused_rows = refused_rows
        if begun is not None:
            account.begun = begun

    def ended(self, worker: str, *, at: datetime, why: str) -> None:
        """Record that the worker has sent all its rows and ends before it was asked to."""
        account = self.accounts.setdefault(worker, _Account())
        if account.ended_at is None:
            account.ended_at, account.ended_why = at, why

    def lost(self, worker: str, *, at: datetime, why: str) -> None:
        """Record that the worker is lost."""
        account = self.accounts.setdefault(worker, _Account())
        if account.lost_at is None and account.ended_at is None:
            account.lost_at, account.lost_why = at, why

    def found(self, worker: str) -> None:
        """Record that a worker that counted as lost reports again.

        The report contains the rows that the worker has kept until now.
        """
        account = self.accounts.setdefault(worker, _Account())
        account.lost_at = account.lost_why = None

    def is_gone(self, worker: str) -> bool:
        """Whether the worker was lost or has ended, and so sends nothing more."""
        account = self.accounts[worker]
        return account.lost_at is not None or account.ended_at is not None

    def records(self) -> list[WorkerRecord]:
        """Return one record per worker, in the order in which they joined."""
        return [self._record(name, account) for name, account in self.accounts.items()]

    def reasons(self, *, start: datetime) -> list[str]:
        """Return a sentence for every reason that makes the run degraded; none if no row is missing."""
        return list(self._reasons(start))

    def _record(self, name: str, account: _Account) -> WorkerRecord:
        return WorkerRecord(
            name=name,
            host=account.host,
            pid=account.pid,
            clock_offset_us=account.offset_us,
            clock_uncertainty_us=account.uncertainty_us,
            rows_sent=account.rows_sent,
            rows_received=account.received,
            lost_at=account.lost_at,
            lost_why=account.lost_why,
            rows_missing_at_most=self._missing_at_most(account),
            begun=account.begun,
            resent=account.resent,
        )

    @staticmethod
    def _missing_at_most(account: _Account) -> int:
        """Return the number of rows that may be missing: exact if the worker reported its count, else an upper bound.

        For a lost worker the bound is the number of requests that it had begun by its last frame and whose rows it had
        not sent, plus the rows of two more frames. One of these frames may have been in transit, and the other frame
        was not made yet. Each of these two frames is assumed to have as many rows as the largest number of requests
        that the worker began in one interval. If the number of requests begun is not known, the bound is twice the
        largest frame, plus one request per user.
        """
        if account.rows_sent is not None:
            return max(0, account.rows_sent - account.received)
        if account.lost_at is None:
            return account.gap_rows
        if account.begun is None:
            return account.gap_rows + 2 * account.densest_flush + max(account.in_flight, account.users)
        open_then = max(0, account.begun - account.received)
        return open_then + 2 * max(account.most_begun_at_once, account.densest_flush)

    def _reasons(self, start: datetime) -> Iterable[str]:
        for name, account in self.accounts.items():
            missing = self._missing_at_most(account)
            if account.lost_at is not None:
                yield (
                    f"worker {name} was lost {_when(account.lost_at, start)} ({account.lost_why}): "
                    f"at most {missing} of its rows are missing"
                )
                continue
            if account.ended_at is not None:
                yield f"worker {name} ended {_when(account.ended_at, start)}: {account.ended_why}"
            if missing:
                yield f"{missing} rows of worker {name} did not arrive"
            yield from self._unbalanced(name, account)

    @staticmethod
    def _unbalanced(name: str, account: _Account) -> Iterable[str]:
        """Yield a sentence for each worker whose own counts do not agree (requests begun ≠ rows sent + refused)."""
        if account.rows_sent is None or account.begun is None:
            return
        accounted = account.rows_sent + account.refused_rows
        if account.begun != accounted:
            yield f"worker {name} began {account.begun} requests but reported only {accounted} as sent or refused"


def _when(at: datetime, start: datetime) -> str:
    elapsed_s = (at - start).total_seconds()
    return "before the load began" if elapsed_s < 0 else f"at {elapsed_s:.0f} s"


def reasons_for_refusals(refusals: Iterable[RefusalRecord]) -> list[str]:
    """Return a sentence for every kind of refusal that caused missing rows."""
    return [
        f"{record.count} request{'s' if record.count > 1 else ''} could not be recorded: {record.name}"
        for record in refusals
        if record.lost
    ]


def reasons_for_differences(differences: Iterable[TotalsDifferenceRecord]) -> list[str]:
    """Return a sentence for every endpoint for which Locust counted more requests than there are rows."""
    return [
        f"Locust's own totals count {difference.locust} requests of {difference.method} {difference.name}, the rows "
        f"{difference.rows}: the scenario counted some without a request event"
        for difference in differences
        if difference.locust > difference.rows
    ]
