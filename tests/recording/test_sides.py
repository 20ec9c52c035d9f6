"""One side of a run against two targets reads as a run of its own."""

from __future__ import annotations

import dataclasses
from array import array
from pathlib import Path

import msgpack
import pytest

from loadtest.core.errors import RunFolderError
from loadtest.recording import frames as framed
from loadtest.recording.frames import decode_frame, encode_frame
from loadtest.recording.run import PlanPoint, ScenarioRecord, SideRecord, TargetRecord
from loadtest.recording.sides import sides_of
from tests.recording.frames import frame, record, spooled


def test_each_side_gives_its_rows_its_target_and_half_of_the_users(tmp_path: Path) -> None:
    """Of 10 rows with sides a, b, b, none, a, b, … each side gives its own and nothing of no side."""
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
