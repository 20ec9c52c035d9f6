"""The frame format: written frames can be read back, and damage neither becomes rows nor crashes the reader."""

from __future__ import annotations

import struct
import zlib
from array import array
from contextlib import suppress
from pathlib import Path

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtest.core.errors import RunFolderError
from loadtest.recording.frames import (
    COLUMNS,
    HEADER,
    MAGIC,
    MAX_PAYLOAD_BYTES,
    OUTCOMES,
    SIDES,
    Frame,
    SpoolReader,
    decode_frame,
)
from loadtest.recording.frames import encode_frame as encode
from tests.recording.frames import frame, frames

LIMITS = {"q": (-(2**63), 2**63 - 1), "h": (-(2**15), 2**15 - 1)}

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def any_frame(draw: st.DrawFn) -> Frame:
    """Draw any frame that a worker may send, including the extremes of every column."""
    rows = draw(st.integers(0, 12))
    strings = ("", *draw(st.lists(st.text(max_size=20), max_size=4)))
    columns = {}
    for name, code in COLUMNS.items():
        highest = {"outcome": len(OUTCOMES) - 1, "side": len(SIDES) - 1}.get(name, len(strings) - 1)
        low, high = LIMITS.get(code, (0, highest))
        columns[name] = array(code, draw(st.lists(st.integers(low, high), min_size=rows, max_size=rows)))
    return Frame(
        worker=draw(st.text(max_size=20)),
        seq=draw(st.integers(0, 2**32)),
        rows=rows,
        rows_before=draw(st.integers(0, 2**40)),
        strings=strings,
        columns=columns,
    )


@quick
@given(any_frame())
def test_a_frame_comes_back_as_it_was(kept: Frame) -> None:
    """Decoding returns what was encoded, for any content of the columns."""
    assert decode_frame(encode(kept)) == kept


@quick
@given(st.data())
def test_every_cut_is_read_up_to_the_last_whole_frame(tmp_path: Path, data: st.DataObject) -> None:
    """A spool that was cut anywhere yields the frames before the cut. It says where it stops, unless the cut is between
    two frames.
    """
    sent = frames(4, rows=3)
    encoded = [encode(frame) for frame in sent]
    whole = b"".join(encoded)
    cut = data.draw(st.integers(0, len(whole)))
    path = tmp_path / "spool"
    path.write_bytes(whole[:cut])
    ends = [sum(map(len, encoded[: number + 1])) for number in range(4)]
    reader = SpoolReader(path)
    assert list(reader) == sent[: sum(end <= cut for end in ends)]
    assert bool(reader.stopped_why) == (cut not in (0, *ends))
    path.write_bytes(whole)
    assert list(reader) == sent[sum(end <= cut for end in ends) :]  # reading continues there when the spool has grown


@quick
@given(st.data())
def test_every_flipped_bit_is_found(tmp_path: Path, data: st.DataObject) -> None:
    """For any flipped bit, only the frames before the damaged one are read, and the reason is reported."""
    sent = frames(3, rows=3)
    encoded = [encode(frame) for frame in sent]
    whole = bytearray(b"".join(encoded))
    at = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[at // 8] ^= 1 << at % 8
    path = tmp_path / "spool"
    path.write_bytes(whole)
    before = next(number for number in range(3) if at // 8 < sum(map(len, encoded[: number + 1])))
    reader = SpoolReader(path)
    assert list(reader) == sent[:before]
    assert reader.stopped_why
    assert reader.offset == sum(map(len, encoded[:before]))
    with pytest.raises(RunFolderError):
        decode_frame(bytes(whole))


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=6,
)


@quick
@given(
    st.binary(max_size=60)
    | anything.map(msgpack.packb)
    | st.dictionaries(st.sampled_from(["worker", "seq", "rows", "rows_before", "strings", "columns"]), anything).map(
        msgpack.packb
    )
)
def test_a_sound_checksum_over_nonsense_is_refused(payload: bytes) -> None:
    """Content that is not a frame raises the only error of this format, and no other error."""
    with pytest.raises(RunFolderError):
        decode_frame(HEADER.pack(MAGIC, len(payload), zlib.crc32(payload)) + payload)


@quick
@given(st.sampled_from(["worker", "seq", "rows", "rows_before", "strings", "columns"]), anything)
def test_a_frame_with_one_wrong_part_is_refused_or_read(part: str, instead: object) -> None:
    """If any value replaces one part of a valid frame, the frame is decoded, or RunFolderError is raised."""
    fields = msgpack.unpackb(encode(frame(rows=2))[HEADER.size :]) | {part: instead}
    payload = msgpack.packb(fields)
    with suppress(RunFolderError):
        decode_frame(HEADER.pack(MAGIC, len(payload), zlib.crc32(payload)) + payload)


def test_a_length_beyond_the_file_reserves_no_memory(tmp_path: Path) -> None:
    """A header that claims 256 MB in a file of 12 bytes is an incomplete frame.

    The reader does not read 256 MB for it.
    """
    import tracemalloc

    path = tmp_path / "spool"
    path.write_bytes(struct.pack("<4sII", MAGIC, MAX_PAYLOAD_BYTES, 0))
    reader = SpoolReader(path)
    tracemalloc.start()
    try:
        assert list(reader) == []
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert reader.stopped_why == "half a frame at byte 0"


def test_half_a_character_in_an_error_loses_no_row() -> None:
    """A text that UTF-8 cannot encode (half of a surrogate pair in a path) is kept with a replacement character."""
    sound = frame(rows=1)
    broken = Frame(
        sound.worker, sound.seq, sound.rows, sound.rows_before, (*sound.strings, "\udcff.txt"), sound.columns
    )
    assert decode_frame(encode(broken)).strings[-1] == "?.txt"
