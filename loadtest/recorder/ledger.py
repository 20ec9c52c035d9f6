"""Keep account of what every worker sent, what arrived, and the most that can be missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from ..recording.frames import Frame
from ..recording.run import WorkerRecord

FLUSH_S = 1.0
"""Workers flush once a second: a killed one takes along at most this much of its rows, and what was in flight."""


@dataclass(slots=True)
class _Account:
    host: str = ""
    pid: int | None = None
    next_seq: int = 0
    received: int = 0
    gap_rows: int = 0
    densest_flush: int = 0
    users: int = 0
    in_flight: int = 0
    rows_sent: int | None = None
    offset_us: float | None = None
    uncertainty_us: float | None = None
    lost_at: datetime | None = None
    lost_why: str | None = None


@dataclass(slots=True)
class Ledger:
    """Rows sent and received per worker. Pure bookkeeping: no clock, no I/O."""

    accounts: dict[str, _Account] = field(default_factory=dict)

    def joined(self, worker: str, *, host: str, pid: int | None) -> None:
        """Open an account; joining again changes nothing but the process behind it."""
        account = self.accounts.setdefault(worker, _Account())
        account.host, account.pid = host, pid

    def received(self, frame: Frame) -> bool:
        """Enter a frame that arrived; False when it was entered before and must not be recorded twice.

        A frame that skips numbers tells by `rows_before` how many rows the lost ones held.
        """
        account = self.accounts.setdefault(frame.worker, _Account())
        if frame.seq < account.next_seq:
            return False
        account.gap_rows += frame.rows_before - (account.received + account.gap_rows)
        account.next_seq = frame.seq + 1
        account.received += frame.rows
        account.densest_flush = max(account.densest_flush, frame.rows)
        return True

    def unwritten(self, frame: Frame) -> None:
        """Note that a frame that was entered could not be kept after all."""
        account = self.accounts[frame.worker]
        account.received -= frame.rows
        account.gap_rows += frame.rows

    def reported(self, worker: str, *, users: int, in_flight: int | None) -> None:
        """Note how many users the worker runs, and how many requests await an answer when it knows."""
        account = self.accounts.setdefault(worker, _Account())
        account.users = users
        account.in_flight = users if in_flight is None else in_flight

    def clock(self, worker: str, *, offset_us: float, uncertainty_us: float) -> None:
        """Note a measurement of the worker's clock; the one with the smallest uncertainty is kept."""
        account = self.accounts.setdefault(worker, _Account())
        if account.uncertainty_us is None or uncertainty_us < account.uncertainty_us:
            account.offset_us, account.uncertainty_us = offset_us, uncertainty_us

    def finished(self, worker: str, *, rows_sent: int) -> None:
        """Note the worker's own count after its last frame."""
        self.accounts.setdefault(worker, _Account()).rows_sent = rows_sent

    def lost(self, worker: str, *, at: datetime, why: str) -> None:
        """Note that the worker will not be heard again."""
        account = self.accounts.setdefault(worker, _Account())
        if account.lost_at is None:
            account.lost_at, account.lost_why = at, why

    def found(self, worker: str) -> None:
        """Note that a worker taken for lost is heard again; what it kept meanwhile arrives with it."""
        account = self.accounts.setdefault(worker, _Account())
        account.lost_at = account.lost_why = None

    def records(self) -> list[WorkerRecord]:
        """Return one record per worker, in the order they joined."""
        return [self._record(name, account) for name, account in self.accounts.items()]

    def reasons(self, *, start: datetime) -> list[str]:
        """Return a sentence for everything that makes the run degraded; none when every row is accounted for."""
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
        )

    @staticmethod
    def _missing_at_most(account: _Account) -> int:
        """Return the rows that may be missing: exact when the worker said its count, else a bound.

        The bound is the densest flush seen (what one flush interval held at the worst) twice — the frame being
        filled and the one that may have been on its way — and the requests in flight.
        """
        if account.rows_sent is not None:
            return max(0, account.rows_sent - account.received)
        if account.lost_at is None:
            return account.gap_rows
        return account.gap_rows + 2 * account.densest_flush + max(account.in_flight, account.users)

    def _reasons(self, start: datetime) -> Iterable[str]:
        for name, account in self.accounts.items():
            missing = self._missing_at_most(account)
            if account.lost_at is not None:
                elapsed_s = (account.lost_at - start).total_seconds()
                yield (
                    f"worker {name} was lost at {elapsed_s:.0f} s ({account.lost_why}): "
                    f"at most {missing} of its rows are missing"
                )
            elif missing:
                yield f"{missing} rows of worker {name} did not arrive"
