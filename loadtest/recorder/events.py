"""Convert the fields that a client passes to Locust's request event into a row. Fields may have any type."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.row_bounds import MAX_AGE_MS, MAX_LATENCY_MS, bytes_of, latency_us_of, number_of
from ..core.server_timing import server_us
from ..recording.outcomes import error_text, outcome_of, text_of

MAX_TEXT_CHARS = 300
NO_NAME = "(no name)"
BROKEN_BODY = "_lt_broken_body"
"""The attribute of an answer that contains the error that occurred when the client read the body."""

Refuse = Callable[[str, object], None]
"""A function that counts a value that was left out of its row. The arguments are the name of the refusal and the
value."""


class RefusedEventError(Exception):
    """The event cannot become a row. `name` says why, and refusals are counted under this name."""

    def __init__(self, name: str, value: object) -> None:
        super().__init__(name)
        self.name = name
        self.value = value


@dataclass(frozen=True, slots=True)
class EventRow:
    """The content of an event; every value is within the bounds of its column.

    Attributes:
        latency_us: the latency that the client measured.
        start_s: UTC seconds by the machine's clock if the client reported it, else None.
        status: 0 without an answer.
        error: "" without an error.
        instance: "" if the answer's headers do not name it. In this case the age and the server time are −1.
    """

    name: str
    method: str
    latency_us: int
    start_s: float | None
    status: int
    outcome: int
    error: str
    bytes: int
    instance: str
    instance_age_ms: int
    server_us: int


@dataclass(slots=True)
class LeftOut:
    """Values that were left out of one row, as (name of the refusal, value)."""

    values: list[tuple[str, object]] = field(default_factory=list)

    def __call__(self, name: str, value: object) -> None:
        """Add one value."""
        self.values.append((name, value))


def row_of(event: Mapping[str, Any], refuse: Refuse, *, latency_us: int | None = None) -> EventRow:
    """Return the row of a request event.

    Args:
        event: the fields of the fired event, of any type.
        refuse: called for each value that is left out.
        latency_us: the latency that the recorder measured around the client's call; it replaces an invalid
            `response_time`.

    Raises:
        RefusedEventError: the event has no response time and none was measured, so its row would contain a wrong
            number.
    """
    response = event.get("response")
    exception = event.get("exception")
    failed = _is_true(exception)
    status = _status(_attribute(response, "status_code"))
    transport = broken_body(response) if failed else None
    if transport is not None:
        status = 0  # the answer is incomplete, as with a client that reads the body before it has a status
    elif failed and not status:
        transport = _exception(_attribute(response, "error"))
    headers = _Headers(_attribute(response, "headers"))
    return EventRow(
        name=field_text(event.get("name"), "name", refuse),
        method=field_text(event.get("request_type"), "request_type", refuse),
        latency_us=_latency_us(event.get("response_time"), latency_us),
        start_s=_start_s(event.get("start_time"), refuse),
        status=status,
        outcome=outcome_of(status, exception if failed else None, transport=transport),
        error=error_text(exception, transport=transport) if failed else "",
        bytes=_bytes(event.get("response_length"), refuse),
        instance=headers.get("x-instance-id")[:MAX_TEXT_CHARS],
        instance_age_ms=_header_number(headers, "x-instance-age-ms", MAX_AGE_MS, refuse),
        server_us=_server_us(headers.get("server-timing"), refuse),
    )


def for_locust(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event in which the values that Locust's totals count are plain Python numbers and texts.

    If a custom client passes a numpy number, Locust counts it but cannot send it to the master, so the report of a
    whole second would be lost. A number that is not finite would not be counted at all.
    """
    ms = number_of(event.get("response_time"))
    return {
        **event,
        "request_type": text_of(event.get("request_type")),
        "name": text_of(event.get("name")),
        "response_time": ms if ms is not None and 0 <= ms <= MAX_LATENCY_MS else None,
        "response_length": bytes_of(event.get("response_length")) or 0,
        "exception": event.get("exception") if _is_true(event.get("exception")) else None,
    }


def _is_true(value: object) -> bool:
    """Whether Locust counts the exception as a failure. Locust also counts a value whose truth cannot be determined."""
    try:
        return bool(value)
    except Exception:  # numpy arrays raise an error here, and a scenario's own class may raise any error
        return True


def _attribute(value: object, name: str) -> object:
    try:
        return getattr(value, name, None)
    except Exception:  # some clients' responses have properties that raise errors
        return None


def _exception(value: object) -> BaseException | None:
    return value if isinstance(value, BaseException) else None


def broken_body(response: object) -> BaseException | None:
    """Return the error that ended the reading of an answer's body, or None."""
    transports_own = _attribute(response, "_response")  # FastHttpUser wraps the client's answer in another object
    return _exception(_attribute(response, BROKEN_BODY)) or _exception(_attribute(transports_own, BROKEN_BODY))


def _latency_us(value: object, measured_us: int | None) -> int:
    value_us = latency_us_of(value)
    if value_us is not None:
        return value_us
    if measured_us is not None:
        return measured_us
    ms = number_of(value)
    kind = "is None" if value is None else "is negative" if ms is not None and ms < 0 else "is not a number of ms"
    raise RefusedEventError(f"response_time {kind}", value)


def _start_s(value: object, refuse: Refuse) -> float | None:
    if value is None:
        return None
    start_s = number_of(value)
    if start_s is None or not 0 < start_s < 2**33:
        refuse("start_time is not a time", value)
        return None
    return start_s


def field_text(value: object, field_name: str, refuse: Refuse) -> str:
    """Return a name or a method as one printable text of bounded length; NO_NAME if there is none."""
    if value is None or (isinstance(value, (str, bytes)) and not value):
        refuse(f"{field_name} is missing", value)
        return NO_NAME
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else text_of(value)
    printable = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:MAX_TEXT_CHARS])
    return printable or NO_NAME


def _bytes(value: object, refuse: Refuse) -> int:
    size = 0 if value is None else bytes_of(value)
    if size is None:
        refuse("response_length is not a number of bytes", value)
    return size or 0


def _status(value: object) -> int:
    """Return an HTTP status, even if a client keeps it as text; 0 for any other value."""
    if isinstance(value, (str, bytes)):
        try:
            value = int(value)
        except ValueError:
            return 0
    number = number_of(value)
    return int(number) if number is not None and 100 <= number <= 999 else 0


class _Headers:
    """Look up header names in a client's headers: a mapping with names in any case, pairs, or anything else."""

    def __init__(self, headers: object) -> None:
        self._headers = headers

    def get(self, name: str) -> str:
        """Return the value as text; "" if there is none."""
        try:
            return self._value(name)
        except Exception:  # a scenario's own mapping may raise any error
            return ""

    def _value(self, name: str) -> str:
        headers = self._headers
        if headers is None:
            return ""
        get = getattr(headers, "get", None)
        value = get(name) if callable(get) else None
        if value is None:
            pairs: Iterable[Any] = headers.items() if isinstance(headers, Mapping) else headers  # type: ignore[assignment]
            found = (pair[1] for pair in pairs if _as_text(pair[0]).lower() == name)
            value = next(found, None)
        return "" if value is None else _as_text(value)


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    return value.decode("latin-1") if isinstance(value, bytes) else text_of(value)


def _header_number(headers: _Headers, name: str, most: float, refuse: Refuse) -> int:
    text = headers.get(name)
    if not text:
        return -1
    number = _finite(text)
    if number is None or not 0 <= number <= most:
        refuse(f"header {name} is not a number", text)
        return -1
    return int(number)


def _server_us(text: str, refuse: Refuse) -> int:
    """Return the service's own time from a Server-Timing header in µs; −1 if there is none."""
    try:
        duration_us = server_us(text)
    except ValueError:
        refuse("header server-timing has no duration", text)
        return -1
    return -1 if duration_us is None else duration_us


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
