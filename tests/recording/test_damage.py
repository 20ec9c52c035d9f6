"""Whole run folders cut short and with bits flipped: read as far as sound, or refused with a sentence, never worse."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from loadtest.core.errors import LoadTestError
from loadtest.recording.folder import RunFolder
from loadtest.recording.rows import METRICS_SCHEMA
from loadtest.recording.run import PlanPoint, ScenarioRecord
from reports.summary.build import build_report
from tests.recording.frames import T0, T0_NS, frames, record, spooled

ROWS = 600
CASES_PER_FILE = 25

Damage = Callable[[bytes, random.Random], bytes]


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def flip(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) * 8)
    return content[: at // 8] + bytes([content[at // 8] ^ 1 << at % 8]) + content[at // 8 + 1 :]


def flip_the_end(content: bytes, chance: random.Random) -> bytes:
    """Flip a bit of the last 2 kB, where Parquet keeps what everything else is found by."""
    kept = max(0, len(content) - 2048)
    return content[:kept] + flip(content[kept:], chance)


def run_folder(place: Path) -> RunFolder:
    """Return an unsealed run with every file that a reader opens."""
    plan = [PlanPoint(at_s=0, users=0), PlanPoint(at_s=3, users=50), PlanPoint(at_s=6, users=50)]
    scenario = ScenarioRecord(name="ramp300", plan=plan)
    folder = spooled(place, frames(ROWS // 10, failed=1), record(scenario=scenario, objectives=["p95 < 300ms"]))
    begin_s = int(T0.timestamp())
    folder.append_load(
        [
            {
                "time_s": begin_s + at,
                "worker": "w1",
                "planned_users": f"{at * 10}",
                "users": at * 10,
                "in_flight": 1,
                "cpu_ratio": "0.100",
                "loop_lag_ms": "0.3",
                "refused": 0,
            }
            for at in range(6)
        ]
    )
    points = [
        {
            "metric": "run.googleapis.com/container/instance_count",
            "kind": "GAUGE",
            "unit": "1",
            "labels": '{"state": "active", "revision_name": "one"}',
            "start": T0_NS + at * 10**9,
            "end": T0_NS + at * 10**9,
            "value": float(at),
            "distribution": None,
        }
        for at in range(6)
    ]
    folder.write_metrics(
        pa.table({name: [point[name] for point in points] for name in METRICS_SCHEMA.names}, schema=METRICS_SCHEMA)
    )
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Return the files of one run by name, before and after it was sealed."""
    folder = run_folder(tmp_path_factory.mktemp("sound"))
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    folder.seal()
    return {"unsealed": before, "sealed": {path.name: path.read_bytes() for path in folder.path.iterdir()}}


@pytest.mark.parametrize("damage", [cut, flip, flip_the_end])
@pytest.mark.parametrize(
    ("state", "name"),
    [
        ("unsealed", "requests.spool"),
        ("unsealed", "run.json"),
        ("sealed", "run.json"),
        ("sealed", "requests.parquet"),
        ("sealed", "load.csv"),
        ("sealed", "metrics.parquet"),
    ],
)
def test_a_damaged_run_is_read_as_far_as_sound_or_refused(
    state: str, name: str, damage: Damage, sound: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    """Whatever a file has become, reading and reporting it returns rows that were sent, or raises a LoadTestError."""
    chance = random.Random(f"{state}/{name}/{damage.__name__}")
    for case in range(CASES_PER_FILE):
        home = tmp_path / f"{case}"
        home.mkdir()
        for other, content in sound[state].items():
            (home / other).write_bytes(content if other != name else damage(content, chance))
        folder = RunFolder(home)
        with suppress(LoadTestError):
            folder.ensure_sealed()
            rows = folder.read_rows()
            assert len(rows) <= ROWS
            assert set(rows.latency_us) <= {1000 * (row + 1) for row in range(10)}
        with suppress(LoadTestError):
            assert build_report([home]).runs[0].totals.requests <= ROWS
