"""Follow a run from outside: read what its master has written since the last look."""

from __future__ import annotations

import csv
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from ..recording.folder import RunFolder
from ..recording.frames import Frame, SpoolReader
from ..recording.load_lines import LOAD_COLUMNS

WINDOW_S = 5.0
"""What "now" means in the live line: long enough for a p95 at 10 requests/s, short enough to see a spike begin."""

SATURATED_CPU_RATIO = 0.9
SATURATED_LAG_MS = 50.0
"""A worker above either is busy with itself: what it measures then may be its own delay."""


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """How the run is doing now.

    Attributes:
        requests, failed: since the start.
        requests_per_s, p50_ms, p95_ms: over the last WINDOW_S; percentiles of successful latency, None without any.
        users: running now; None before the first report.
        workers: that have joined.
        elapsed_s: since load began; None before it.
        saturated: workers busy with themselves in their last report, with why.
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


@dataclass(frozen=True, slots=True)
class Recent:
    """The requests that ended in one frame: when it was read, and per request latency, outcome, end and server time.

    `server_us` is -1 where the answer carried none.
    """

    read_s: float
    latency_us: np.ndarray[tuple[int], np.dtype[np.int64]]
    outcome: np.ndarray[tuple[int], np.dtype[np.uint8]]
    end_ns: np.ndarray[tuple[int], np.dtype[np.int64]]
    server_us: np.ndarray[tuple[int], np.dtype[np.int64]]


class Follower:
    """Reads the spool and `load.csv` as they grow; keeps only the last WINDOW_S of rows."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.requests = 0
        self.failed = 0
        self._spool = SpoolReader(folder.spool)
        self._load_offset = 0
        self._load_start: datetime | None = None
        self._joined = 0
        self._recent: deque[Recent] = deque()
        self._workers: dict[str, dict[str, str]] = {}

    def look(self, now_s: float) -> tuple[ProgressSnapshot, tuple[Recent, ...]]:
        """Return how the run is doing at `now_s` (a monotonic clock), and what came in since the last look."""
        new = self._read_spool(now_s)
        self._read_load()
        while self._recent and self._recent[0].read_s < now_s - WINDOW_S:
            self._recent.popleft()
        elapsed_s = self._elapsed_s()
        ok = [recent.latency_us[recent.outcome == 0] for recent in self._recent]
        latency_us = np.concatenate(ok) if ok else np.empty(0, np.int64)
        p50_us, p95_us = np.percentile(latency_us, (50, 95)) if latency_us.size else (None, None)
        snapshot = ProgressSnapshot(
            requests=self.requests,
            failed=self.failed,
            requests_per_s=sum(recent.outcome.size for recent in self._recent) / WINDOW_S,
            p50_ms=None if p50_us is None else float(p50_us) / 1000,
            p95_ms=None if p95_us is None else float(p95_us) / 1000,
            users=sum(int(line["users"]) for line in self._workers.values()) if self._workers else None,
            workers=self._joined,
            elapsed_s=elapsed_s,
            saturated=tuple(self._saturated()),
        )
        return snapshot, new

    def _read_spool(self, now_s: float) -> tuple[Recent, ...]:
        if not self.folder.spool.exists():
            return ()
        new = tuple(_recent(frame, now_s) for frame in self._spool)
        for recent in new:
            self.requests += recent.outcome.size
            self.failed += int((recent.outcome != 0).sum())
        self._recent.extend(new)
        return new

    def _read_load(self) -> None:
        if not self.folder.load.exists():
            return
        with self.folder.load.open(encoding="utf-8") as file:
            file.seek(self._load_offset)
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        self._load_offset += len(whole.encode())
        for line in csv.DictReader(whole.splitlines(), LOAD_COLUMNS):
            if line["worker"] != "worker":
                self._workers[line["worker"]] = line

    def _elapsed_s(self) -> float | None:
        if self._load_start is None:
            run = self.folder.read_run()
            self._load_start, self._joined = run.load_start, len(run.workers)
        return None if self._load_start is None else (datetime.now(UTC) - self._load_start).total_seconds()

    def _saturated(self) -> list[str]:
        found = []
        for name, line in self._workers.items():
            if float(line["cpu_ratio"]) >= SATURATED_CPU_RATIO:
                found.append(f"worker {name} uses {float(line['cpu_ratio']):.0%} of a core: add workers")
            elif float(line["loop_lag_ms"]) > SATURATED_LAG_MS:
                found.append(f"worker {name} was {float(line['loop_lag_ms']):.0f} ms late: this machine is busy")
        return found


def _recent(frame: Frame, now_s: float) -> Recent:
    start_ns = np.frombuffer(frame.columns["start"], np.int64)
    latency_us = np.frombuffer(frame.columns["latency_us"], np.int64)
    return Recent(
        read_s=now_s,
        latency_us=latency_us,
        outcome=np.frombuffer(frame.columns["outcome"], np.uint8),
        end_ns=start_ns + latency_us * 1000,
        server_us=np.frombuffer(frame.columns["server_us"], np.int64),
    )
