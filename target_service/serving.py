"""Run one instance until a signal: bind, load the model, warm up, open the port, serve, drain."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from target_service.app import create_instance
from target_service.instance import Instance
from target_service.logs import AccessLog, configure_logging
from target_service.loopback import is_loopback, loopback_only
from target_service.model import load_model

DRAIN_S = 9
"""Cloud Run kills an instance 10 s after SIGTERM, so requests in flight get 9 s to finish."""


class PortError(Exception):
    """The service cannot listen on the address."""


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to `serve` and reports when the port is open."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing, because uvicorn's own handler would raise the signal again after draining and end the process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port."""
        await super().startup(sockets)
        logging.getLogger(__name__).info("Serving on port %d", (sockets or [])[0].getsockname()[1])


def serve(*, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, finish the requests in flight, and return.

    The address is bound first, so that a port in use is reported at once. The service begins to listen after the model
    has made one prediction; until then connections are refused. `ACCESS_LOG=1` in the environment writes a line for
    each request.

    Raises:
        PortError: another process is listening on the port, or the port is not permitted.
        ModelError: See `load_model`.
    """
    leave_at_once_on_signals()
    listener = _bind(host, port)
    configure_logging()
    access_log = AccessLog() if os.environ.get("ACCESS_LOG") == "1" else None
    instance = create_instance(load_model(), access_log=access_log)
    config = uvicorn.Config(
        loopback_only(instance) if is_loopback(f"//{host if ':' not in host else f'[{host}]'}".encode()) else instance,
        interface="asgi3",
        loop="uvloop",
        http=_protocol(instance),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=620,  # longer than the 600 s of a load balancer, which must not reuse a closed connection
        timeout_graceful_shutdown=DRAIN_S,
        backlog=2048,
    )
    server = _Server(config)
    if access_log is not None:
        access_log.startup()
    gc.freeze()  # otherwise a full collection visits 60,000 objects that are never freed, for 60 ms
    _on_signals(server.handle_exit)
    instance.ready()
    try:
        server.run(sockets=[listener])
    finally:
        if access_log is not None:
            access_log.shutdown()


def leave_at_once_on_signals() -> None:
    """End the process with status 0 on SIGTERM and SIGINT, because while it is loading it has no requests to finish.

    The handler does not raise an exception, because CatBoost's import would catch it and the process would continue.
    """
    _on_signals(lambda _number, _frame: os._exit(0))


class OnePiece:
    """A transport that delays a write until the next write or the next turn of the event loop, and sends both as one.

    Uvicorn writes the head and the body of an answer separately: this takes two system calls, and sends two segments
    that wake the client twice.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = b""

    def write(self, data: bytes) -> None:
        """Send `data` together with data that was kept back, or keep it back."""
        if self._held:
            self._transport.write(self._held + data)
            self._held = b""
        elif data:
            self._held = data
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send the data that was kept back."""
        if self._held and not self._transport.is_closing():
            self._transport.write(self._held)
        self._held = b""

    def close(self) -> None:
        """Send the data that was kept back, then close the connection."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        """Pass everything else on to the transport."""
        return getattr(self._transport, name)


def _protocol(instance: Instance) -> type[asyncio.Protocol]:
    """Return uvicorn's httptools protocol, changed to send answers in one piece and to report heads to the instance."""

    class InstanceProtocol(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(cast(asyncio.Transport, OnePiece(transport)))

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            if not self.pipeline:  # a pipelined request counts as in flight only after the request before it has ended
                instance.opened(cast(Scope, self.scope))

    return InstanceProtocol


def _on_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise PortError(
            f"Port {port} on {host} cannot be used ({error}): give another port, or stop the process that uses it."
        ) from error
    return listener
