"""Follow a run from outside by reading the files that its master writes."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from ..core import saturation
from ..recording.folder import RunFolder
from ..recording.frames import FAILED, OUTCOMES, SIDES, Frame, SpoolReader
from ..recording.load_lines import LOAD_COLUMNS

WINDOW_S = 5.0
"""The live line shows the requests of this last period. The period is long enough for a p95 at 10 requests/s, and short
enough to see a spike begin."""

SILENT_S = 6.0
"""If the last line of a worker is older than this, the live line leaves out the worker, because the worker is lost
together with its users."""


@dataclass(frozen=True, slots=True)
class SideSnapshot:
    """The current state of one of two targets. The fields are the same as in ProgressSnapshot."""

    requests_per_s: float
    p95_ms: float | None
    failed: int


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """The current state of a run.

    Attributes:
        requests, failed: counts since the start.
        requests_per_s, p50_ms, p95_ms: over the last WINDOW_S; the percentiles of successful requests are None if there
            are none.
        users: running users; None before the first report.
        workers: number of workers that have joined.
        elapsed_s: time since the load began; None before that.
        saturated: a sentence with the reason for each worker that was saturated in its last report.
        in_flight: requests that wait for an answer; None before the first report.
        oldest_s: how long the oldest of these requests has waited.
        load_start_ns: when the load began, in UTC ns; None before that.
        sides: the state of each side of a run against two targets; empty before their first requests.
    """

    requests: int
    failed: int
    requests_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    users: int | None
    workers: int
    elapsed_s: float | None
    saturated: tuple[str, ...]
    in_flight: int | None = None
    oldest_s: float | None = None
    load_start_ns: int | None = None
    sides: tuple[SideSnapshot, ...] = ()


@dataclass(frozen=True, slots=True)
class Recent:
    """The requests of one frame: latency, outcome, end, server time and side of each, and when the frame was read.

    `server_us` is -1 if the answer did not state it. `side` is 0 in a run with one target, else an index into SIDES.
    `frame` is the source frame, or None.
    """

    read_s: float
    latency_us: np.ndarray[tuple[int], np.dtype[np.int64]]
    outcome: np.ndarray[tuple[int], np.dtype[np.uint8]]
    end_ns: np.ndarray[tuple[int], np.dtype[np.int64]]
    server_us: np.ndarray[tuple[int], np.dtype[np.int64]]
    side: np.ndarray[tuple[int], np.dtype[np.uint8]]
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """The result of one evaluation of a run in progress.

    Attributes:
        now_s: the time of the evaluation, on a monotonic clock.
        snapshot: the state of the run.
        new: the requests since the last evaluation, by frame.
        frames: these frames.
        lines: the lines of `load.csv` since the last evaluation.
    """

    now_s: float
    snapshot: ProgressSnapshot
    new: tuple[Recent, ...] = ()
    frames: tuple[Frame, ...] = ()
    lines: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Report:
    """A worker's newest line of `load.csv`, and the time at which it was read (monotonic)."""

    read_s: float
    line: dict[str, str]

    def number(self, name: str) -> int:
        return int(self.line[name] or 0)

    def oldest_s(self, now_s: float) -> float:
        """Return how long the worker's oldest request in flight has waited, assuming that it is still waiting."""
        then_s = float(self.line["oldest_s"] or 0)
        return then_s + now_s - self.read_s if then_s and now_s > self.read_s else then_s


class Follower:
    """Read the spool and `load.csv` while they grow. Only the rows of the last WINDOW_S are kept."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.requests = 0
        self.failed = 0
        self._by_side = np.zeros((2, len(SIDES)), np.int64)  # numbers of requests and of failed requests
        self._spool = SpoolReader(folder.spool)
        self._load_offset = 0
        self._load_start: datetime | None = None
        self._joined = 0
        self._recent: deque[Recent] = deque()
        self._workers: dict[str, _Report] = {}
        self._first_seen: tuple[float, float] | None = None

    def look(self, now_s: float) -> Look:
        """Return the state of the run at `now_s` (a monotonic clock), and the data since the last evaluation."""
        frames, new = self._read_spool(now_s)
        lines = self._read_load(now_s)
        while self._recent and self._recent[0].read_s < now_s - WINDOW_S:
            self._recent.popleft()
        elapsed_s = self._elapsed_s(now_s)
        reports = [report for report in self._workers.values() if now_s - report.read_s <= SILENT_S]
        ok = [recent.latency_us[recent.outcome == 0] for recent in self._recent]
        latency_us = np.concatenate(ok) if ok else np.empty(0, np.int64)
        p50_us, p95_us = np.percentile(latency_us, (50, 95)) if latency_us.size else (None, None)
        snapshot = ProgressSnapshot(
            requests=self.requests,
            failed=self.failed,
            requests_per_s=sum(recent.outcome.size for recent in self._recent) / WINDOW_S,
            p50_ms=None if p50_us is None else float(p50_us) / 1000,
            p95_ms=None if p95_us is None else float(p95_us) / 1000,
            users=sum(report.number("users") for report in reports) if reports else None,
            workers=self._joined,
            elapsed_s=elapsed_s,
            saturated=tuple(_saturated(reports)),
            in_flight=sum(report.number("in_flight") for report in reports) if reports else None,
            oldest_s=max((report.oldest_s(now_s) for report in reports), default=None),
            load_start_ns=None if self._load_start is None else round(self._load_start.timestamp() * 1e9),
            sides=tuple(map(self._side, (1, 2))) if self._by_side[0, 1:].any() else (),
        )
        return Look(now_s, snapshot, new, frames, lines)

    def _side(self, side: int) -> SideSnapshot:
        """Return the state of one of two targets."""
        recent = [rows for rows in self._recent if (rows.side == side).any()]
        ok = [rows.latency_us[(rows.side == side) & (rows.outcome == 0)] for rows in recent]
        latency_us = np.concatenate(ok) if ok else np.empty(0, np.int64)
        return SideSnapshot(
            requests_per_s=sum(int((rows.side == side).sum()) for rows in recent) / WINDOW_S,
            p95_ms=float(np.percentile(latency_us, 95)) / 1000 if latency_us.size else None,
            failed=int(self._by_side[1, side]),
        )

    def _read_spool(self, now_s: float) -> tuple[tuple[Frame, ...], tuple[Recent, ...]]:
        if not self.folder.spool.exists():
            return (), ()
        frames = tuple(self._spool)
        new = tuple(recent_of(frame, now_s) for frame in frames)
        for recent in new:
            self.requests += recent.outcome.size
            failed = is_failed(recent.outcome)
            self.failed += int(failed.sum())
            for row, sides in enumerate((recent.side, recent.side[failed])):
                self._by_side[row] += np.bincount(sides, minlength=len(SIDES))
        self._recent.extend(new)
        return frames, new

    def _read_load(self, now_s: float) -> tuple[dict[str, str], ...]:
        if not self.folder.load.exists():
            return ()
        with self.folder.load.open(encoding="utf-8") as file:
            file.seek(self._load_offset)
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        self._load_offset += len(whole.encode())
        lines = tuple(line for line in csv.DictReader(whole.splitlines(), LOAD_COLUMNS) if line["worker"] != "worker")
        for line in lines:
            self._workers[line["worker"]] = _Report(now_s, line)
        return lines

    def _elapsed_s(self, now_s: float) -> float | None:
        """Return the time since the load began.

        The first value comes from the wall clock, and all later values from the monotonic clock.
        """
        if self._load_start is None:
            run = self.folder.read_run()
            self._load_start, self._joined = run.load_start, len(run.workers)
        if self._load_start is None:
            return None
        if self._first_seen is None:
            self._first_seen = (now_s, max(0.0, (datetime.now(UTC) - self._load_start).total_seconds()))
        return self._first_seen[1] + now_s - self._first_seen[0]


def _saturated(reports: Sequence[_Report]) -> list[str]:
    found = []
    for line in (report.line for report in reports):
        cpu_ratio, lag_ms = float(line["cpu_ratio"]), float(line["loop_lag_ms"])
        own_code_ms = float(line.get("own_code_ms") or 0)
        if own_code_ms > saturation.LAG_MS:
            found.append(
                f"worker {line['worker']} was blocked for {own_code_ms:.0f} ms by a listener of the scenario, so no "
                f"user could run during that time"
            )
        elif cpu_ratio >= saturation.CPU_RATIO:
            found.append(f"worker {line['worker']} uses {cpu_ratio:.0%} of a core: add workers")
        elif lag_ms > saturation.LAG_MS:
            why = "its own process was computing" if cpu_ratio >= 0.5 else "this machine is busy"
            found.append(f"worker {line['worker']} was {lag_ms:.0f} ms late: {why}")
    return found


def is_failed(outcome: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return the outcome codes that count as failed: all except `ok` and `generator`."""
    return np.isin(outcome, _FAILED)


_FAILED = [code for code, name in enumerate(OUTCOMES) if name in FAILED]


def recent_of(frame: Frame, now_s: float) -> Recent:
    """Return the requests of a frame that is read at `now_s`."""
    start_ns = np.frombuffer(frame.columns["start"], np.int64)
    latency_us = np.frombuffer(frame.columns["latency_us"], np.int64)
    return Recent(
        read_s=now_s,
        latency_us=latency_us,
        outcome=np.frombuffer(frame.columns["outcome"], np.uint8),
        end_ns=start_ns + latency_us * 1000,
        server_us=np.frombuffer(frame.columns["server_us"], np.int64),
        side=np.frombuffer(frame.columns["side"], np.uint8),
        frame=frame,
    )
