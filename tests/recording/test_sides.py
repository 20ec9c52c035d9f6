"""One side of a run against two targets can be read like a separate run."""

from __future__ import annotations

import dataclasses
import json
from array import array
from pathlib import Path

import msgpack
import pyarrow as pa
import pytest

from loadtest.api import RecordedRun
from loadtest.core.errors import RunFolderError
from loadtest.platforms.cloudrun.series import Point, table_of
from loadtest.recording import frames as framed
from loadtest.recording.frames import decode_frame, encode_frame
from loadtest.recording.housekeeping import delete_run
from loadtest.recording.run import PlanPoint, ScenarioRecord, SideRecord, TargetRecord
from loadtest.recording.sides import sides_of
from tests.recording.frames import frame, record, spooled


def test_each_side_gives_its_rows_its_target_and_half_of_the_users(tmp_path: Path) -> None:
    """Of 10 rows with sides a, b, b, none, a, b, … each side returns its own rows, and none without a side."""
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


def points(service: str, revisions: list[str]) -> pa.Table:
    """Return a point of each revision, as it is fetched for a service."""
    return table_of(
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
        for revision in revisions
    )


@pytest.mark.parametrize(
    ("services", "kept"),
    [(("one", "two"), [["r1", "r2"], ["r1", "r2"]]), (("one", "one"), [["r1"], ["r2"]])],
    ids=["two services", "two revisions of one"],
)
def test_each_side_keeps_the_series_of_its_service_or_of_its_revision(
    services: tuple[str, str], kept: list[list[str]], tmp_path: Path
) -> None:
    targets = [
        TargetRecord(kind="cloud", url=f"http://{revision}", service=service, revision=revision)
        for service, revision in zip(services, ("r1", "r2"), strict=True)
    ]
    run = record(sides=[SideRecord(name=target.url, target=target) for target in targets])
    folder = spooled(tmp_path, [frame()], run)
    sealed = folder.ensure_sealed()
    assert RecordedRun(folder).metrics.empty
    for service, (side, _) in zip(services, sides_of(folder, sealed), strict=True):
        side.write_metrics(points(service, ["r1", "r2"]))
    for service, revisions, (side, _) in zip(services, kept, sides_of(folder, sealed), strict=True):
        found = side.read_metrics()
        assert found is not None
        assert [json.loads(labels)["revision_name"] for labels in found.labels] == revisions
        assert set(found.metric) == {f"of {service}"}
    assert folder.read_metrics() is None, "neither side's are the run's"
    assert list(RecordedRun(folder).metrics.side) == ["a"] * len(kept[0]) + ["b"] * len(kept[1])
    assert delete_run(folder) == []


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
