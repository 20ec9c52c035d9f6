"""Make six kinds of report for visual inspection: plain, spikes, a comparison, failures, endpoints, 5 s."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from loadtest.recording.run import FailedBodyRecord
from reports.model import Report
from reports.summary.build import build_report
from tests.reports.folders import plan, write_rows
from tests.simulator import Event, Kind, Story, simulate

NAMES = ("/predict", "/search", "/items/{id}", "/cart", "/login", "/health", "/report", "/upload")
SHARES = (0.4, 0.2, 0.1, 0.1, 0.08, 0.06, 0.04, 0.02)
USUAL_MS = (20, 35, 8, 50, 90, 1.5, 220, 600)

CALM = Story(seconds=180, users=60.0, ramp_s=30, kind="local")
SPIKES = Story(
    seconds=240,
    users=60.0,
    ramp_s=30,
    events=(Event(Kind.COLD_ZERO, 0, 6, wait_s=5.0), Event(Kind.SCALE_OUT, 120, 40, factor=6.0)),
)
UNPROCESSABLE = '{"detail": [{"type": "missing", "loc": ["body", "income"], "msg": "Field required", "input": {}}]}'


def six_kinds(home: Path) -> dict[str, Report]:
    """Return a report of each kind by its name. The runs of these reports are in folders below `home`."""
    plain, spikes = simulate(home / "plain", CALM, 1).path, simulate(home / "spikes", SPIKES, 2).path
    return {
        "plain": build_report([plain]),
        "spikes": build_report([spikes]),
        "comparison": build_report([plain, spikes]),
        "failures": build_report([failing(home / "failures")]),
        "endpoints": build_report([endpoints(home / "endpoints")]),
        "short": build_report([simulate(home / "short", Story(seconds=5, users=8.0), 3).path]),
    }


def endpoints(home: Path) -> Path:
    """Return a run of eight endpoints, of which one slows down for 14 s and another fails for 12 s."""
    random = np.random.default_rng(3)
    count = 24_000
    start_s = np.sort(random.uniform(0, 120, count))
    which = random.choice(len(NAMES), count, p=SHARES)
    latency_us = (1000 * np.array(USUAL_MS)[which] * random.lognormal(0, 0.35, count)).astype(int)
    latency_us[(start_s > 70) & (start_s < 84) & (which == 1)] *= 9
    failed = (random.random(count) < 0.002) | ((which == 3) & (start_s > 40) & (start_s < 52) & (which % 2 == 1))
    return _written(home, latency_us, start_s, which, np.where(failed, 500, 200), bodies=())


def failing(home: Path) -> Path:
    """Return a run in which requests are refused by validation, by overload and by a broken endpoint."""
    random = np.random.default_rng(4)
    count = 9_000
    start_s = np.sort(random.uniform(0, 90, count))
    which = random.choice(3, count, p=(0.7, 0.2, 0.1))
    latency_us = (1000 * np.array((25, 40, 8))[which] * random.lognormal(0, 0.4, count)).astype(int)
    status = np.full(count, 200)
    status[(which == 1) & (random.random(count) < 0.27)] = 422
    status[(which == 0) & (start_s > 50) & (start_s < 65) & (random.random(count) < 0.6)] = 503
    status[(which == 2) & (random.random(count) < 0.9)] = 500
    bodies = (
        FailedBodyRecord(method="POST", name=NAMES[1], status=422, body=UNPROCESSABLE),
        FailedBodyRecord(method="POST", name=NAMES[2], status=500, body="Internal Server Error"),
        FailedBodyRecord(method="POST", name=NAMES[0], status=503, body='{"error": {"message": "queue is full"}}'),
    )
    return _written(home, latency_us, start_s, which, status, bodies=bodies)


def _written(
    home: Path,
    latency_us: np.ndarray,
    start_s: np.ndarray,
    which: np.ndarray,
    status: np.ndarray,
    *,
    bodies: Sequence[FailedBodyRecord],
) -> Path:
    seconds = float(start_s.max())
    folder = write_rows(
        home,
        latency_us=latency_us.tolist(),
        start_s=start_s.tolist(),
        name=[NAMES[at] for at in which],
        outcome=["ok" if code == 200 else "http_error" for code in status],
        status=status.tolist(),
        error=[None if code == 200 else f"HTTP {code}" for code in status],
        bytes=(40 + 300 * which).tolist(),
        record={"scenario": plan((0, 0), (seconds / 10, 60), (seconds, 60)), "failed_bodies": list(bodies)},
    )
    return folder.path
