"""Parse one HTTP/1.1 response (RFC 9112) from bytes that arrive in pieces of any size. No socket is involved."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..core.row_bounds import MAX_AGE_MS
from ..core.server_timing import ENTRY, MAX_US, server_us, us_of_ms
from .limits import GeneratorLimitError

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 32 * 1024 * 1024
BODILESS = (204, 304)
SUCCESS = frozenset({*range(200, 209), 226})  # the statuses that FastHttpUser counts as success without further checks
MAX_CHUNK_LINE_BYTES = 4_096
MAX_KNOWN_HEADS = 2_048
MAX_INSTANCE_CHARS = 200
MAX_INTERIM_ANSWERS = (
    16  # interim responses such as 100 Continue and 103 Early Hints: more than this before a final response is an error
)

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\Z")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\Z")
_FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_AGE = re.compile(rb"(?i)\r\nx-instance-age-ms:[ \t]*")
_PREDICT = re.compile(rb"(?i)\r\nserver-timing:[ \t]*" + ENTRY.encode() + b";dur=")
_NEAR_BYTES = 16  # how far a number may move within the head if the values before it become shorter
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")


class ProtocolError(ConnectionError):
    """The received bytes are not a valid response. The connection cannot be used any more."""


class BodyTooLongError(ProtocolError):
    """The body is longer than the client accepts. The rest of the body was not read."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"the body is longer than {limit_bytes:,} bytes: set max_body_bytes of the user class to accept it"
        )


class ClosedEarlyError(ProtocolError):
    """The server closed the connection before the answer was complete.

    Attributes:
        silent: whether no byte of an answer had arrived.
    """

    def __init__(self, message: str, *, silent: bool = False) -> None:
        super().__init__(message)
        self.silent = silent


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The content of a response's head, except the two numbers that differ in every response.

    Attributes:
        whole_length: the length of the body in bytes, if nothing follows the body and the connection stays open; else
            −1.
        status: 100…999.
        length: the length of the body in bytes; −1 if the head does not state it.
        chunked: whether the body comes in chunks.
        close: whether the server closes the connection after this response.
        instance: `x-instance-id`; "" if the service sends none.
        plain: whether the response needs no further processing: it has a success status, no cookie and no content
            coding.
        utf8: whether the body's text is UTF-8 according to the head.
    """

    whole_length: int
    status: int
    length: int
    chunked: bool
    close: bool
    instance: str
    plain: bool
    utf8: bool


ParsedHead = tuple[ResponseHead, int, int]
"""A parsed head, the instance's age in ms (`x-instance-age-ms`) and the server time in µs (`Server-Timing: predict`). A
number is −1 if the service does not send it."""


Answer = tuple[ParsedHead, bytes, bytes, bool]
"""One whole response: its parsed head, the body as received (never decoded), the head's bytes, and whether the
connection can be used again. A plain tuple is used, because creating a named tuple takes 0.3 µs more."""


def fields_of(raw_head: bytes) -> list[tuple[bytes, bytes]]:
    """Return the head's fields in order, with names in lower case and values stripped.

    Raises:
        ProtocolError: a line is not `name: value`, for example because it is folded (RFC 9112, 5.2).
    """
    fields = []
    for line in raw_head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not _FIELD_NAME.match(name):
            raise ProtocolError(f"a line in the head of the response is not a header: {line[:60]!r}")
        fields.append((name.lower(), value.strip(b" \t")))
    return fields


def parse_head(raw_head: bytes) -> ParsedHead:
    """Parse `raw_head` (status line and fields, without the blank line).

    Raises:
        ProtocolError: the head is not HTTP/1.0 or HTTP/1.1, contains contradictory lengths, or has a transfer coding
            other than chunked.
    """
    line = raw_head.partition(b"\r\n")[0]
    match = _STATUS_LINE.match(line)
    if not match:
        raise ProtocolError(f"not an HTTP/1 response: it begins {line[:40]!r}")
    status, close = int(match[2]), match[1] == b"0"
    plain, utf8 = status in SUCCESS, True
    length, chunked, instance, age_ms, own_us = -1, False, "", -1, -1
    for name, value in fields_of(raw_head):
        if name == b"content-length":
            length = _agreed_length(length, value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise ProtocolError(f"transfer-encoding {value[:40]!r}: only chunked is supported")
            chunked = True
        elif name == b"connection":
            options = {option.strip() for option in value.lower().split(b",")}
            close = b"close" in options or (close and b"keep-alive" not in options)
        elif name == b"x-instance-id":
            instance = value[:MAX_INSTANCE_CHARS].decode("latin-1")
        elif name == b"x-instance-age-ms" and age_ms < 0:
            age_ms = _age_ms(value)
        elif name == b"server-timing" and own_us < 0:
            own_us = _server_us(value)
        elif name == b"content-type":
            utf8 = _is_utf8(value)
        elif name == b"set-cookie" or (name == b"content-encoding" and value.lower() != b"identity"):
            plain = False
    whole = not (chunked or close or status < 200 or status in BODILESS)
    head = ResponseHead(length if whole else -1, status, length, chunked, close, instance, plain, utf8)
    return head, age_ms, own_us


def _is_utf8(content_type: bytes) -> bool:
    """Return whether a content type means UTF-8.

    Its charset decides. Without a charset, `text/…` means ISO-8859-1, and all other types mean UTF-8.
    """
    value = content_type.lower()
    _, named, charset = value.partition(b"charset=")
    if named:
        return charset.split(b";")[0].strip(b"\"' ") in (b"utf-8", b"utf8", b"us-ascii")
    return not value.startswith(b"text/")


def _agreed_length(before: int, value: bytes) -> int:
    if not _LENGTH.match(value):
        raise ProtocolError(f"content-length {value[:40]!r} is not a number of bytes")
    length = int(value)
    if before not in (-1, length):
        raise ProtocolError(f"two content-lengths that differ: {before} and {length}")
    return length


def _age_ms(value: bytes) -> int:
    """Return the age, rounded; −1 if it is not a number, is negative, or is too large for its column."""
    try:
        number = int(float(value) + 0.5)
    except (ValueError, OverflowError):
        return -1
    return number if 0 <= number <= MAX_AGE_MS else -1


def _server_us(value: bytes) -> int:
    """Return the service's own time from a Server-Timing value in µs; −1 if there is no valid time."""
    try:
        duration_us = server_us(value.decode("latin-1"))
    except ValueError:
        return -1
    return -1 if duration_us is None else duration_us


class _Mark:
    """The position, in the head, of a number that is different in every response of a service."""

    def __init__(self, text: bytes, read: Callable[[bytes], int], most: float) -> None:
        self._text = text
        self._most = most
        self._size = len(text)
        self._read = read
        self._near = 0

    def cut(self, raw_head: bytes) -> tuple[bytes, int]:
        """Return the head without the number, and the number. Without a number, return the unchanged head and −1."""
        begin = raw_head.find(self._text, self._near)
        if begin < 0:
            begin = raw_head.find(self._text)
            if begin < 0:
                return raw_head, -1
            self._near = max(0, begin - _NEAR_BYTES)
        begin += self._size
        end = raw_head.find(b"\r", begin)
        if end < 0:
            end = len(raw_head)
        try:
            number = self._read(raw_head[begin:end])
        except (ValueError, OverflowError):
            return raw_head, -1
        if not 0 <= number <= self._most:
            return raw_head, -1
        # The number is replaced by an empty line. A complete head contains no empty line, so a head without its number
        # is never equal to a complete head.
        return raw_head[:begin] + b"\r\n" + raw_head[end:], number


class KnownHeads:
    """Cache of parsed heads.

    If the heads of a server differ only in their Date, only one head per second has to be parsed, instead of one per
    response.

    A service that reports its age and its time sends a different head every time. The cache removes these two numbers
    at the positions where it found them before, and looks up the rest. The lookup takes about 1 µs, while parsing takes
    15 µs.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, ParsedHead] = {}
        self._age: _Mark | None = None
        self._predict: _Mark | None = None

    def read(self, raw_head: bytes) -> ParsedHead:
        """Return the parsed head, from the cache if its bytes were seen before.

        Raises:
            ProtocolError: as in `parse_head`.
        """
        rest, age_ms, server_us = raw_head, -1, -1
        if self._age is not None:
            rest, age_ms = self._age.cut(rest)
        if self._predict is not None:
            rest, server_us = self._predict.cut(rest)
        known = self._known.get(rest)
        if known is None:
            return self._learn(raw_head)
        if age_ms < 0 and server_us < 0:
            return known
        return known[0], age_ms if age_ms >= 0 else known[1], server_us if server_us >= 0 else known[2]

    def _learn(self, raw_head: bytes) -> ParsedHead:
        parsed = parse_head(raw_head)
        if self._age is None and (match := _AGE.search(raw_head)):
            self._age = _Mark(match[0], int, MAX_AGE_MS)
        if self._predict is None and (match := _PREDICT.search(raw_head)):
            self._predict = _Mark(match[0], us_of_ms, MAX_US)
        rest = raw_head
        for mark in (self._age, self._predict):
            if mark is not None:
                rest, _ = mark.cut(rest)
        if len(self._known) >= MAX_KNOWN_HEADS:
            self._known.clear()
        self._known[rest] = parsed
        return parsed


class BodyBudget:
    """The number of bytes of unfinished bodies that all connections of one process together may keep in memory.

    Attributes:
        held_bytes: the number of bytes that the connections keep in memory now.
    """

    def __init__(self, limit_bytes: int = 512 * 1024 * 1024) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0

    def take(self, count: int) -> None:
        """Count received bytes.

        Raises:
            GeneratorLimitError: the connections would need more memory than the limit allows.
        """
        if self.held_bytes + count > self.limit_bytes:
            raise GeneratorLimitError(
                f"unfinished response bodies would fill more than {self.limit_bytes:,} bytes of the load generator's "
                "memory: lower max_body_bytes or the number of users, or add load generators"
            )
        self.held_bytes += count


class _Pieces:
    """The received bytes that have not been processed yet.

    Attributes:
        limit_bytes: the longest allowed body.
    """

    def __init__(self, first: bytes, receive: Callable[[], bytes], limit_bytes: int, budget: BodyBudget) -> None:
        self.bytes = bytearray(first)
        self.receive = receive
        self.limit_bytes = limit_bytes
        self.budget = budget
        self.taken = 0

    def more(self, where: str) -> None:
        data = self.receive()
        if not data:
            raise ClosedEarlyError(f"the server closed the connection in {where}")
        self._add(data)

    def _add(self, data: bytes) -> None:
        self.budget.take(len(data))
        self.taken += len(data)
        self.bytes += data

    def release(self) -> None:
        """Return the memory to the budget."""
        self.budget.held_bytes -= self.taken

    def line(self, end: bytes, limit: int, where: str) -> bytes:
        """Return the bytes before `end`. Remove these bytes and `end` from the received bytes."""
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
            self._add(data)
            if len(self.bytes) > self.limit_bytes:
                raise BodyTooLongError(self.limit_bytes)
        data = bytes(self.bytes)
        self.bytes.clear()
        return data


def read_answer(
    first: bytes,
    receive: Callable[[], bytes],
    heads: KnownHeads,
    *,
    bodiless: bool = False,
    limit_bytes: int = MAX_BODY_BYTES,
    budget: BodyBudget | None = None,
) -> Answer:
    """Return the response that begins with `first`. Interim responses (1xx) before the response are skipped.

    Args:
        first: the bytes received so far, at least one.
        receive: returns the next bytes; b"" when the server has closed the connection.
        heads: the cache of parsed heads.
        bodiless: whether the request was a HEAD. The response to a HEAD has no body, even if it states a length.
        limit_bytes: the longest allowed body.
        budget: the limit for unfinished bodies of this process; a new budget if it is not given.

    Raises:
        ProtocolError: the bytes are not a valid response, end too early, or are more than `limit_bytes`.
        GeneratorLimitError: the budget is used up.
    """
    pieces = _Pieces(first, receive, limit_bytes, budget or BodyBudget())
    try:
        return _read_answer(pieces, heads, bodiless)
    finally:
        pieces.release()


def _read_answer(pieces: _Pieces, heads: KnownHeads, bodiless: bool) -> Answer:
    for _ in range(MAX_INTERIM_ANSWERS):
        raw_head = pieces.line(b"\r\n\r\n", MAX_HEAD_BYTES, "the response's head")
        parsed = heads.read(raw_head)
        head = parsed[0]
        if head.status == 101:
            raise ProtocolError("the server switched protocols (101) without being asked")
        if head.status >= 200:
            break
    else:
        raise ProtocolError(f"{MAX_INTERIM_ANSWERS} interim responses (1xx) and no final response")
    close = head.close
    if bodiless or head.status in BODILESS:
        body = b""
    elif head.chunked:
        body = _chunks(pieces)
    elif head.length > pieces.limit_bytes:
        raise BodyTooLongError(pieces.limit_bytes)
    elif head.length >= 0:
        body = pieces.exactly(head.length, "the response's body")
    else:
        body, close = pieces.until_closed(), True
    # Bytes after the response belong to no request. The response is valid, but the connection cannot be used again.
    return parsed, body, raw_head, not close and not pieces.bytes


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
        if len(body) + size > pieces.limit_bytes:
            raise BodyTooLongError(pieces.limit_bytes)
        body += pieces.exactly(size, "a chunk")
        if pieces.exactly(2, "a chunk's end") != b"\r\n":
            raise ProtocolError("a chunk does not end where its size says")
    left = MAX_HEAD_BYTES
    while trailer := pieces.line(b"\r\n", left, "the trailers"):
        left -= len(trailer)
    return bytes(body)
