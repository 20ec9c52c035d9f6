"""Properties of the parser, for any split of an answer's bytes and for any bytes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadtest.core.row_bounds import MAX_AGE_MS, MAX_LATENCY_MS
from loadtest.http.response_parser import Answer, KnownHeads, ProtocolError, parse_head, read_answer

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFXYZ0123456789-_", min_size=1, max_size=12).map(
    lambda text: f"z-{text}"
)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


def pieces_of(data: bytes, cuts: list[int]) -> tuple[bytes, Callable[[], bytes]]:
    """Return the first piece of `data`, and a function that returns the other pieces, then b""."""
    places = sorted({cut % len(data) for cut in cuts} - {0}) if data else []
    parts = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    rest = iter(parts[1:])
    return parts[0], lambda: next(rest, b"")


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, int, bytes, bool]:
    """Draw a valid answer: its bytes, status, body, and whether the connection stays open after it."""
    status = draw(st.sampled_from([200, 201, 400, 404, 429, 500, 503]))
    body = draw(st.binary(max_size=300))
    fields = [f"{name}: {value}" for name, value in draw(st.lists(st.tuples(TOKEN, VALUE), max_size=4))]
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    wire = body
    if framing == "length":
        fields.append(f"{draw(st.sampled_from(['Content-Length', 'content-length']))}: {len(body)}")
    elif framing == "chunked":
        fields.append("Transfer-Encoding: chunked")
        cuts = sorted({draw(st.integers(0, len(body))) for _ in range(3)} | {0, len(body)})
        chunks = [body[a:b] for a, b in pairwise(cuts)]
        extension = draw(st.sampled_from(["", ";a=b", " ;x"]))
        wire = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension.encode(), chunk) for chunk in chunks)
        wire += b"0\r\n" + draw(st.sampled_from([b"", b"T: 1\r\n"])) + b"\r\n"
    fields = draw(st.permutations(fields))
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 X\r\nLink: y\r\n\r\n"]))
    head = "\r\n".join([f"HTTP/1.1 {status} Reason", *fields]).encode()
    return interim + head + b"\r\n\r\n" + wire, status, body, framing != "close"


@given(answers(), st.lists(st.integers(0, 2000), max_size=20))
@settings(max_examples=400, deadline=None)
def test_an_answer_is_the_same_however_it_is_split(answer: tuple[bytes, int, bytes, bool], cuts: list[int]) -> None:
    """Status, body and reuse do not depend on where the network split the bytes."""
    data, status, body, reusable = answer
    first, receive = pieces_of(data, cuts)
    (head, _, _), content, _, reuse = read_answer(first, receive, KnownHeads())
    assert (head.status, content, reuse) == (status, body, reusable)


@given(answers(), st.integers(1, 2000))
@settings(max_examples=200, deadline=None)
def test_an_answer_cut_off_is_an_error(answer: tuple[bytes, int, bytes, bool], at: int) -> None:
    """A part of an answer never counts as a whole answer, except if the answer ends when the connection is closed."""
    data, _, body, reusable = answer
    at = 1 + at % len(data)
    if at == len(data):
        return
    try:
        _, content, _, reuse = read_answer(data[:at], lambda: b"", KnownHeads())
    except ProtocolError:
        return
    assert not reusable
    assert not reuse
    assert body.startswith(content)


SHAPES = [
    b"HTTP/1.1 200 OK\r\n",
    b"\r\n\r\n",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"0\r\n",
    b"ffff\r\n",
]
SHAPES += [b"HTTP/1.1 100 Continue\r\n\r\n", b"x-instance-age-ms: ", b"server-timing: predict;dur=", b"\x00", b"9" * 20]


@given(st.lists(st.one_of(st.sampled_from(SHAPES), st.binary(max_size=12)), min_size=1, max_size=14), st.booleans())
@settings(max_examples=1500, deadline=None)
@example([b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"], False)
@example(
    [b"HTTP/1.1 200 OK\r\nx-instance-age-ms: 1e999\r\nServer-Timing: predict;dur=nan\r\nContent-Length:0\r\n\r\n"],
    False,
)
def test_any_bytes_are_an_answer_or_a_protocol_error(parts: list[bytes], bodiless: bool) -> None:
    """The parser neither crashes nor hangs for any input, and its numbers fit the columns of a row."""
    rest = iter(parts[1:])
    try:
        answer: Answer = read_answer(parts[0] or b"H", lambda: next(rest, b""), KnownHeads(), bodiless=bodiless)
    except ProtocolError:
        return
    (head, age_ms, server_us), body, _, _ = answer
    assert 200 <= head.status <= 999
    assert -1 <= age_ms < 2**53
    assert -1 <= server_us < 2**53
    assert len(body) <= sum(map(len, parts))


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Draw heads of one service: the same lines with other values, sometimes without one line or in another order."""
    lines = [
        b"date: Mon, 23 Nov 2026 20:18:0%d GMT" % draw(st.integers(0, 2)),
        b"content-length: %d" % draw(st.sampled_from([9, 10, 1000])),
        b"x-instance-id: %b" % draw(st.sampled_from([b"one", b"two", b"longer-one"])),
        b"X-Instance-Age-Ms: %b" % draw(st.sampled_from([b"0", b"7", b"123456", b"12.5", b"", b"-3", b"x", b"9" * 30])),
        b"Server-Timing: %b"
        % draw(
            st.sampled_from(
                [b"predict;dur=0.125", b"predict;dur=12", b"predict;dur=1, db;dur=2", b"db;dur=2", b"predict"]
            )
        ),
    ]
    lines = [line for line in lines if draw(st.integers(0, 9))]
    if not draw(st.integers(0, 4)):
        lines = draw(st.permutations(lines))
    return b"\r\n".join([b"HTTP/1.1 %d OK" % draw(st.sampled_from([200, 503])), *lines])


@given(st.lists(heads(), min_size=1, max_size=30))
@settings(max_examples=300, deadline=None)
def test_a_cached_head_equals_the_parsed_head(seen: list[bytes]) -> None:
    """Caching heads without their varying numbers never changes the result of parsing the next head."""
    known = KnownHeads()
    for raw_head in seen:
        assert known.read(raw_head) == parse_head(raw_head)


def test_an_absent_number_differs_from_one_that_was_cut_out() -> None:
    """The first head has an age, and the second is the same head without the digits. The second has no age."""
    known = KnownHeads()
    for age in (b"0", b"5", b"", b"7", b""):
        raw_head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-instance-age-ms: " + age
        assert known.read(raw_head) == parse_head(raw_head)


ODD_NUMBER = st.one_of(
    st.sampled_from(
        ["inf", "-inf", "nan", "1e30", "1e400", "-1", "1_0", "", " ", "9" * 400, "0x1", "1e12", "\xb2", '"5"']
    ),
    st.floats(allow_nan=True).map(repr),
    st.integers(0, 2**70).map(str),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=12),
)


@given(st.lists(st.tuples(ODD_NUMBER, ODD_NUMBER), min_size=1, max_size=6))
@settings(max_examples=400, deadline=None)
def test_no_value_of_a_header_makes_an_absurd_number(values: list[tuple[str, str]]) -> None:
    """For any text, age and server time are values that a row can hold, or -1, with and without the cache of heads."""
    known = KnownHeads()
    for age, dur in values:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-instance-age-ms: {age}\r\nServer-Timing: predict;dur={dur}"
        for _, age_ms, server_us in (parse_head(head.encode("latin-1")), known.read(head.encode("latin-1"))):
            assert -1 <= age_ms <= MAX_AGE_MS
            assert -1 <= server_us <= MAX_LATENCY_MS * 1000
