"""Count the answers of this instance, and add its id to each of them."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from target_service.logs import AccessLog

UNCOUNTED = frozenset({"/stats", "/healthz"})
"""Paths for monitoring, which are not counted."""

_OPENED = "target_service.opened"


@dataclass(slots=True)
class Counts:
    """The service's counts since its start, which `/stats` returns.

    `requests` is the number of answers sent, whatever their status, for all paths outside `UNCOUNTED`. `predictions` is
    the number of probabilities returned (a batch counts each of its probabilities). `in_flight_max` is the highest
    number of these requests in flight at one moment; a request is in flight from the moment its head was read until its
    answer is complete.
    """

    requests: int = 0
    predictions: int = 0
    in_flight_max: int = 0


class Instance:
    """The outermost ASGI layer: it counts requests, adds the instance headers, and writes the access log if enabled."""

    def __init__(self, app: ASGIApp, counts: Counts, *, access_log: AccessLog | None = None) -> None:
        self._app = app
        self._counts = counts
        self._access_log = access_log
        self._id_header = (b"x-instance-id", secrets.token_hex(8).encode())
        self._ready_at_s = time.monotonic()
        self._in_flight = 0

    def ready(self) -> None:
        """Mark the instance as ready; its age is counted from now on."""
        self._ready_at_s = time.monotonic()

    def opened(self, scope: Scope) -> None:
        """Count a request as in flight.

        The server calls this as soon as it has read a request's head. Counting in `__call__` would miss requests that
        wait for each other on the event loop.
        """
        scope[_OPENED] = True
        if scope["path"] not in UNCOUNTED:
            self._in_flight += 1
            self._counts.in_flight_max = max(self._counts.in_flight_max, self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.monotonic()
        if _OPENED not in scope:
            self.opened(scope)
        counted = scope["path"] not in UNCOUNTED
        status = 0
        size_bytes = 0

        async def stamp(message: Message) -> None:
            nonlocal status, size_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                age_ms = int((time.monotonic() - self._ready_at_s) * 1000)
                headers = [*message.get("headers", ()), self._id_header, (b"x-instance-age-ms", b"%d" % age_ms)]
                message = {**message, "headers": headers}
                if counted:
                    self._counts.requests += 1
            else:
                size_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, stamp)
        finally:
            if counted:
                self._in_flight -= 1
            if self._access_log is not None and counted:
                self._access_log.note(scope, status or 500, size_bytes, time.monotonic() - began_s)
