"""Read one HTTP/1.1 answer from bytes that arrive in any pieces (RFC 9112), and nothing else: no socket in sight."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

MAX_HEAD_BYTES = 65_536
MAX_CHUNK_LINE_BYTES = 4_096
MAX_KNOWN_HEADS = 2_048
MAX_INSTANCE_CHARS = 200
MAX_INTERIM_ANSWERS = 16  # 100 Continue, 103 Early Hints: more than a few is a server that never comes to the point

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\Z")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\Z")
_FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")


class ProtocolError(ConnectionError):
    """What came back is not an answer this client can frame; the connection is of no further use."""


class ClosedEarlyError(ProtocolError):
    """The server closed the connection before the answer was complete.

    Attributes:
        silent: not one byte of an answer had come.
    """

    def __init__(self, message: str, *, silent: bool = False) -> None:
        super().__init__(message)
        self.silent = silent


class Head(NamedTuple):
    """What a request's row and the framing of its body need of an answer's head.

    Attributes:
        status: 100…999.
        length: bytes of the body; −1 when the head does not say.
        chunked: the body comes in chunks.
        close: the server closes the connection behind this answer.
        instance: `x-instance-id`, "" when the service sends none.
        age_ms: `x-instance-age-ms`, −1 when the service sends none.
        server_us: `Server-Timing: predict;dur=`, −1 when the service sends none.
    """

    status: int
    length: int
    chunked: bool
    close: bool
    instance: str
    age_ms: int
    server_us: int


class Answer(NamedTuple):
    """One whole answer: its head, the body as it came (never decoded), the head's bytes, and what is left to do."""

    head: Head
    body: bytes
    raw_head: bytes
    reusable: bool


def fields_of(raw_head: bytes) -> list[tuple[bytes, bytes]]:
    """Return the head's fields in order, names in lower case, values stripped.

    Raises:
        ProtocolError: a line that is not `name: value`; a line folded onto the next is not one (RFC 9112, 5.2).
    """
    fields = []
    for line in raw_head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not _FIELD_NAME.match(name):
            raise ProtocolError(f"a line of the answer's head is not a header: {line[:60]!r}")
        fields.append((name.lower(), value.strip(b" \t")))
    return fields


def parse_head(raw_head: bytes) -> Head:
    """Return what `raw_head` (status line and fields, without the blank line) says.

    Raises:
        ProtocolError: not HTTP/1.0 or 1.1, contradicting lengths, or a transfer coding other than chunked.
    """
    line = raw_head.partition(b"\r\n")[0]
    match = _STATUS_LINE.match(line)
    if not match:
        raise ProtocolError(f"not an HTTP/1 answer: it begins {line[:40]!r}")
    status, close = int(match[2]), match[1] == b"0"
    length, chunked, instance, age_ms, server_us = -1, False, "", -1, -1
    for name, value in fields_of(raw_head):
        if name == b"content-length":
            length = _agreed_length(length, value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise ProtocolError(f"transfer-encoding {value[:40]!r}: only chunked is read")
            chunked = True
        elif name == b"connection":
            options = {option.strip() for option in value.lower().split(b",")}
            close = b"close" in options or (close and b"keep-alive" not in options)
        elif name == b"x-instance-id":
            instance = value[:MAX_INSTANCE_CHARS].decode("latin-1")
        elif name == b"x-instance-age-ms":
            age_ms = _whole(value)
        elif name == b"server-timing":
            server_us = predict_us(value)
    return Head(status, length, chunked, close, instance, age_ms, server_us)


def _agreed_length(before: int, value: bytes) -> int:
    if not _LENGTH.match(value):
        raise ProtocolError(f"content-length {value[:40]!r} is not a number of bytes")
    length = int(value)
    if before not in (-1, length):
        raise ProtocolError(f"two content-lengths that differ: {before} and {length}")
    return length


def _whole(value: bytes, factor: int = 1) -> int:
    """Return the number × factor, rounded; −1 when it is none, is negative, or fits no column."""
    try:
        number = round(float(value) * factor)
    except (ValueError, OverflowError):
        return -1
    return number if 0 <= number < 2**53 else -1


def predict_us(value: bytes) -> int:
    """Return the duration of the entry `predict` of a Server-Timing value (ms there) in µs; −1 when there is none."""
    for entry in value.split(b","):
        name, _, parameters = entry.partition(b";")
        if name.strip() != b"predict":
            continue
        for parameter in parameters.split(b";"):
            key, _, number = parameter.partition(b"=")
            if key.strip() == b"dur":
                return _whole(number.strip(b' \t"'), 1000)
    return -1


class KnownHeads:
    """Heads seen before, so that a server that repeats itself is parsed once a second (its Date) and not per answer."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}
        self.get = self._known.get

    def read(self, raw_head: bytes) -> Head:
        """Return the parsed head, from memory where its exact bytes were seen before."""
        head = self._known.get(raw_head)
        if head is None:
            head = parse_head(raw_head)
            if len(self._known) >= MAX_KNOWN_HEADS:
                self._known.clear()
            self._known[raw_head] = head
        return head


class _Pieces:
    """Bytes received so far and not yet used up."""

    def __init__(self, first: bytes, receive: Callable[[], bytes]) -> None:
        self.bytes = bytearray(first)
        self.receive = receive

    def more(self, where: str) -> None:
        data = self.receive()
        if not data:
            raise ClosedEarlyError(f"the server closed the connection in {where}")
        self.bytes += data

    def line(self, end: bytes, limit: int, where: str) -> bytes:
        """Return what stands before `end` and use both up."""
        searched = 0
        while (at := self.bytes.find(end, searched)) < 0:
            if len(self.bytes) > limit:
                raise ProtocolError(f"more than {limit} bytes in {where}")
            searched = max(0, len(self.bytes) - len(end) + 1)
            self.more(where)
        if at > limit:
            raise ProtocolError(f"more than {limit} bytes in {where}")
        line = bytes(self.bytes[:at])
        del self.bytes[: at + len(end)]
        return line

    def exactly(self, length: int, where: str) -> bytes:
        while len(self.bytes) < length:
            self.more(where)
        data = bytes(self.bytes[:length])
        del self.bytes[:length]
        return data

    def until_closed(self) -> bytes:
        while data := self.receive():
            self.bytes += data
        data = bytes(self.bytes)
        self.bytes.clear()
        return data


def read_answer(first: bytes, receive: Callable[[], bytes], heads: KnownHeads, *, bodiless: bool = False) -> Answer:
    """Return the answer that begins with `first`; interim answers (1xx) before it are passed over.

    Args:
        first: the bytes received so far, at least one.
        receive: returns the next bytes, b"" once the server has closed.
        heads: where parsed heads are remembered.
        bodiless: the request was a HEAD, whose answer has no body whatever its head says.

    Raises:
        ProtocolError: what came is not an answer that can be framed, or it ended early.
    """
    pieces = _Pieces(first, receive)
    for _ in range(MAX_INTERIM_ANSWERS):
        raw_head = pieces.line(b"\r\n\r\n", MAX_HEAD_BYTES, "the answer's head")
        head = heads.read(raw_head)
        if head.status == 101:
            raise ProtocolError("the server switched protocols (101) without being asked")
        if head.status >= 200:
            break
    else:
        raise ProtocolError(f"{MAX_INTERIM_ANSWERS} interim answers (1xx) and no final one")
    close = head.close
    if bodiless or head.status in (204, 304):
        body = b""
    elif head.chunked:
        body = _chunks(pieces)
    elif head.length >= 0:
        body = pieces.exactly(head.length, "the answer's body")
    else:
        body, close = pieces.until_closed(), True
    # Bytes behind the answer belong to nothing that was asked: the answer stands, the connection does not.
    return Answer(head, body, raw_head, not close and not pieces.bytes)


def _chunks(pieces: _Pieces) -> bytes:
    body = bytearray()
    while True:
        line = pieces.line(b"\r\n", MAX_CHUNK_LINE_BYTES, "a chunk's size")
        match = _CHUNK_SIZE.match(line)
        if not match:
            raise ProtocolError(f"not the size of a chunk: {line[:40]!r}")
        size = int(match[1], 16)
        if size == 0:
            break
        body += pieces.exactly(size, "a chunk")
        if pieces.exactly(2, "a chunk's end") != b"\r\n":
            raise ProtocolError("a chunk does not end where its size says")
    left = MAX_HEAD_BYTES
    while trailer := pieces.line(b"\r\n", left, "the trailers"):
        left -= len(trailer)
    return bytes(body)
