"""Listen on one local port, check the access rules, and route HTTP/2 to gRPC and HTTP/1 to REST."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..core.access import Access, RequestHead
from ..core.errors import EmulatorError
from .control import LocalCloudRun
from .google_api import grpc_server, knative
from .google_api.policies import Policies
from .state import state_of

_PREFACE = b"PRI"  # RFC 9113, 3.4: every HTTP/2 connection begins with these bytes, and no HTTP/1 request does
_FIRST_BYTES_S = 10.0
_DRAIN_S = 1.0
STATE_PATH = "/state"

ANSWER_HEADERS = (
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)
"""Headers of every answer. These headers prevent web pages of other sites from using the answer, even as an image or a
script."""


class _Server(uvicorn.Server):
    """A uvicorn server without signal handlers, because the emulator handles signals itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Guard:
    """An ASGI application that forwards only the requests that `access` allows.

    Every request needs the secret, except GET and HEAD of /state.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return  # a WebSocket is closed before its handshake
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        head = RequestHead.of(scope["method"], headers)
        reads_state = scope["path"] == STATE_PATH and head.method in ("GET", "HEAD")
        refusal = self._access.refusal(head, needs_secret=not reads_state)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
            return
        status = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}.get(refusal.status, "INVALID_ARGUMENT")
        error = {"code": refusal.status, "message": refusal.text, "status": status}
        await JSONResponse({"error": error}, refusal.status)(scope, receive, _with_headers(send))


def _with_headers(send: Send) -> Send:
    async def sending(message: object) -> None:
        if isinstance(message, dict) and message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *ANSWER_HEADERS]
        await send(message)  # type: ignore[arg-type]  # passed on unchanged

    return sending


class ApiListener:
    """The port and the two servers behind it, which listen on unix sockets in `directory`.

    Attributes:
        port: the port on 127.0.0.1; 0 before `startup`.
        access: the access rules; the secret in them is the access token of this start.
    """

    def __init__(self, emulator: LocalCloudRun, directory: Path) -> None:
        self.port = 0
        self.access = Access(names=(knative.HOST, f"*-{knative.HOST}", knative.SERVICE_USAGE_HOST))
        self._emulator = emulator
        self._grpc_path, self._http_path = directory / "grpc.sock", directory / "http.sock"
        self._open: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._grpc: grpc.aio.Server | None = None
        self._http: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def startup(self, port: int) -> None:
        """Listen on 127.0.0.1.

        Raises:
            EmulatorError: the port is taken.
        """
        policies = Policies()
        self._grpc = grpc_server.build(self._emulator, policies, self.access)
        self._grpc.add_insecure_port(f"unix:{self._grpc_path}")
        await self._grpc.start()
        routes = [Route(STATE_PATH, self._state), *knative.routes(self._emulator, policies)]
        app = Guard(Starlette(routes=routes), self.access)
        config = uvicorn.Config(
            app, uds=str(self._http_path), lifespan="off", log_config=None, access_log=False, proxy_headers=False
        )
        self._http = _Server(config)
        self._serving = asyncio.create_task(self._http.serve())
        while not self._http.started:
            if self._serving.done():
                self._serving.result()
            await asyncio.sleep(0.01)
        try:
            self._listener = await asyncio.start_server(self._let_in, "127.0.0.1", port)
        except OSError as error:
            raise EmulatorError(
                f"Port {port} on 127.0.0.1 cannot be used ({error.strerror}): give another --api-port, or 0 for any "
                f"free port."
            ) from error
        self.port = self._listener.sockets[0].getsockname()[1]

    async def shutdown(self) -> None:
        """Close the port and stop both servers. This method also works after an interrupted `startup`."""
        if self._listener is not None:
            self._listener.close()
        if self._http is not None:
            self._http.should_exit = self._http.force_exit = True
        if self._grpc is not None:
            await self._grpc.stop(_DRAIN_S)
        for task in self._open:
            task.cancel()
        if self._serving is not None:
            await asyncio.wait([self._serving], timeout=_DRAIN_S)
            self._serving.cancel()

    async def _state(self, _: Request) -> JSONResponse:
        return JSONResponse(await state_of(self._emulator))

    async def _let_in(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            async with asyncio.timeout(_FIRST_BYTES_S):
                first = await reader.readexactly(len(_PREFACE))
            path = self._grpc_path if first == _PREFACE else self._http_path
            inner_reader, inner_writer = await asyncio.open_unix_connection(str(path))
            inner_writer.write(first)
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client closed the connection or sent nothing, or the emulator is stopping
        finally:
            self._open.discard(task)
            writer.close()


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
