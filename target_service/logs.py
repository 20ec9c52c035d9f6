"""Write logs in Cloud Run's format: one JSON object per line, with `severity`, `message` and `httpRequest`.

The fields are those of https://cloud.google.com/logging/docs/structured-logging. The access log is off by default,
because Cloud Run writes its own access log. If the access log is on, the event loop only appends to a list for each
request; a thread formats and writes the lines.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.types import Scope

_PAUSE_S = 0.2
_MOST_WAITING = 100_000
"""Maximum number of lines that are kept while nobody reads the output; 100,000 lines take about 50 MB. Further lines
are dropped and counted."""

_SEVERITY = {"WARNING": "WARNING", "ERROR": "ERROR", "CRITICAL": "CRITICAL", "DEBUG": "DEBUG"}


class CloudRunFormatter(logging.Formatter):
    """Formats a record of `logging` as one line of JSON, with a traceback in `stack_trace`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "severity": _SEVERITY.get(record.levelname, "INFO"),
            "message": record.getMessage(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
        }
        if record.exc_info:
            line["stack_trace"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def configure_logging() -> None:
    """Send all messages of `logging`, including the messages of uvicorn, to stdout as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(CloudRunFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class AccessLog:
    """Writes one line per request, in a separate thread."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._waiting: list[tuple[float, Scope, int, int, float]] = []
        self._dropped = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="access-log", daemon=True)

    def startup(self) -> None:
        """Start the thread."""
        self._thread.start()

    def shutdown(self) -> None:
        """Write the remaining lines, and end the thread."""
        self._stop.set()
        self._thread.join()

    def note(self, scope: Scope, status: int, size_bytes: int, took_s: float) -> None:
        """Add one answered request to the queue."""
        if len(self._waiting) >= _MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append((time.time(), scope, status, size_bytes, took_s))

    def _write(self) -> None:
        last = False
        while not last:
            last = self._stop.wait(_PAUSE_S)
            waiting, self._waiting = self._waiting, []
            lines = [_access_line(*entry) for entry in waiting]
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                message = f"{dropped} access log lines were dropped: the output was not read in time."
                lines.append(orjson.dumps({"severity": "WARNING", "message": message}))
            if lines:
                _write_all(self._descriptor, b"\n".join(lines) + b"\n")


def _write_all(descriptor: int, text: bytes) -> None:
    view = memoryview(text)
    while view:
        view = view[os.write(descriptor, view) :]


def _access_line(ended: float, scope: Scope, status: int, size_bytes: int, took_s: float) -> bytes:
    """Return the line of one request; `ended` is in seconds since 1970."""
    headers = dict(scope["headers"])
    line: dict[str, Any] = {
        "severity": "ERROR" if status >= 500 else "WARNING" if status >= 400 else "INFO",
        "message": f"{scope['method']} {scope['path']} {status}",
        "time": datetime.fromtimestamp(ended, UTC).isoformat(),
        "httpRequest": {
            "requestMethod": scope["method"],
            "requestUrl": scope["path"],
            "status": status,
            "responseSize": str(size_bytes),
            "latency": f"{took_s:.6f}s",
            "userAgent": headers.get(b"user-agent", b"").decode("latin-1"),
            "remoteIp": scope["client"][0] if scope.get("client") else "",
            "protocol": f"HTTP/{scope['http_version']}",
        },
    }
    return orjson.dumps(line)
