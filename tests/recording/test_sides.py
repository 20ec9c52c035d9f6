"""One side of a run against two targets can be read like a separate run."""

from __future__ import annotations

import dataclasses
import json
from array import array
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgpack
import pyarrow as pa
import pytest

from loadtest.api import RecordedRun
from loadtest.core.cloud_metrics import INSTANCE_COUNT
from loadtest.core.console import LogConsole
from loadtest.core.errors import CloudError, RunFolderError
from loadtest.emulator.model import Point as Sampled
from loadtest.emulator.model import Series, ServiceKey
from loadtest.platforms.base import TargetOptions
from loadtest.platforms.cloudrun.series import Point, table_of
from loadtest.platforms.interleaved import Interleaved
from loadtest.recording import frames as framed
from loadtest.recording.frames import decode_frame, encode_frame
from loadtest.recording.housekeeping import delete_run
from loadtest.recording.run import PlanPoint, ScenarioRecord, SideRecord, TargetRecord
from loadtest.recording.sides import sides_of
from tests.emulator.fake import FakeEmulator
from tests.emulator.surface_server import grpc_endpoint
from tests.recording.frames import frame, record, spooled


def test_each_side_gives_its_rows_its_target_and_half_of_the_users(tmp_path: Path) -> None:
    """10 rows have the sides a, b, b, none, a, b, … Each side returns its own rows, and no row without a side."""
    side = [1, 2, 2, 0, 1, 2, 1, 1, 2, 1]
    of_two = dataclasses.replace(frame(), columns={**frame().columns, "side": array("B", side)})
    run = record(
        scenario=ScenarioRecord(name="x", plan=[PlanPoint(at_s=0, users=10)]),
        sides=[SideRecord(name=name, target=TargetRecord(kind="url", url=f"http://{name}")) for name in "ab"],
    )
    folder = spooled(tmp_path, [of_two], run)
    sealed = folder.ensure_sealed()
    for number, (view, of_view) in enumerate(sides_of(folder, sealed), 1):
        starts = [value for batch in view.row_batches(["latency_us"]) for value in batch.column(0).to_pylist()]
        assert sorted(starts) == [1000 * (row + 1) for row, at in enumerate(side) if at == number]
        assert (of_view.label, of_view.target.url) == ("ab"[number - 1], f"http://{'ab'[number - 1]}")
        assert of_view.scenario.plan[0].users == 5
        assert view.share == 0.5


def points(service: str, revision: str) -> pa.Table:
    """Return a point of a revision in the form in which it is fetched for a service."""
    return table_of(
        [
            Point(
                metric=f"of {service}",
                kind="GAUGE",
                unit=None,
                labels=json.dumps({"revision_name": revision}),
                start=1,
                end=1,
                value=1.0,
                distribution=None,
            )
        ]
    )


@pytest.mark.parametrize(
    ("services", "revisions"),
    [(("one", "two"), [None, None]), (("one", "one"), ["r1", "r2"])],
    ids=["two services", "two revisions of one"],
)
def test_each_side_keeps_the_series_of_its_service_or_of_its_revision(
    services: tuple[str, str], revisions: list[str | None], tmp_path: Path
) -> None:
    """`only_revision` says which series are fetched: those of all revisions, unless both sides are the same service."""
    targets = [
        TargetRecord(kind="cloud", url=f"http://{revision}", service=service, revision=revision)
        for service, revision in zip(services, ("r1", "r2"), strict=True)
    ]
    run = record(sides=[SideRecord(name=target.url, target=target) for target in targets])
    folder = spooled(tmp_path, [frame()], run)
    sealed = folder.ensure_sealed()
    assert RecordedRun(folder).metrics.empty
    sides = [side for side, _ in sides_of(folder, sealed)]
    assert [side.only_revision for side in sides] == revisions
    for side, target in zip(sides, targets, strict=True):
        side.write_metrics(points(str(target.service), str(target.revision)))
    for side, target in zip(sides, targets, strict=True):
        found = side.read_metrics()
        assert found is not None
        assert [json.loads(labels)["revision_name"] for labels in found.labels] == [target.revision]
        assert list(found.metric) == [f"of {target.service}"]
    assert folder.read_metrics() is None, "neither side's are the run's"
    assert list(RecordedRun(folder).metrics.side) == ["a", "b"]
    assert delete_run(folder) == []


@pytest.mark.parametrize("names", [("r1", "r2"), ("r2", "r1")])
def test_two_revisions_of_one_service_are_fetched_one_for_each_side(tmp_path: Path, names: tuple[str, str]) -> None:
    """Cloud Monitoring has series of r1, and of r3, which neither side called. Those of r2 have not arrived."""
    end = datetime.now(UTC) - timedelta(hours=1)
    start = end - timedelta(minutes=4)
    place = {"service": "ml", "project": "demo", "region": "europe-west2"}
    targets = [TargetRecord(kind="cloud", url=f"http://{of}", revision=of, **place) for of in names]
    sides = [SideRecord(name=target.url, target=target) for target in targets]
    folder = spooled(tmp_path, [frame()], record(sides=sides, start=start, end=end, load_start=None))
    sealed = folder.ensure_sealed()
    at = (start + timedelta(minutes=1)).timestamp()
    recorded = [
        Series(INSTANCE_COUNT, ServiceKey("ml", "demo", "europe-west2"), of, (), (Sampled(at, at, 2),))
        for of in ("r1", "r3")
    ]
    with (
        grpc_endpoint(FakeEmulator(clock=start.timestamp, recorded=recorded)) as endpoint,
        pytest.raises(CloudError, match="no point of service ml, revision r2"),
    ):
        Interleaved().fetch_metrics(folder, sealed, TargetOptions(endpoint=endpoint), LogConsole())
    tables = {run.target.revision: side.read_metrics() for side, run in sides_of(folder, sealed)}
    assert tables["r2"] is None
    assert tables["r1"] is not None
    assert [json.loads(labels)["revision_name"] for labels in tables["r1"].labels] == ["r1"]


def test_a_run_with_one_target_is_its_own_only_side(tmp_path: Path) -> None:
    folder = spooled(tmp_path, [frame()])
    run = folder.ensure_sealed()
    assert sides_of(folder, run) == [(folder, run)]
    assert folder.read_rows(["side"])["side"].isna().all()


def test_a_frame_from_before_sides_reads_as_one_of_a_run_with_one_target() -> None:
    data = encode_frame(frame())
    fields = msgpack.unpackb(data[framed.HEADER.size :])
    del fields["columns"]["side"]
    assert list(framed._frame_of(fields).columns["side"]) == [0] * 10


def test_a_side_that_there_is_none_of_is_damage() -> None:
    wrong = dataclasses.replace(frame(), columns={**frame().columns, "side": array("B", [3] * 10)})
    with pytest.raises(RunFolderError, match="a side is not below 3"):
        decode_frame(encode_frame(wrong))
