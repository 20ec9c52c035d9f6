"""Open the one local port: Google's gRPC for who speaks HTTP/2, the Knative REST form and /state for who does not."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ..core.errors import EmulatorError
from .control import LocalCloudRun
from .google_api import grpc_server, knative
from .google_api.policies import Policies
from .state import state_of

_PREFACE = b"PRI"  # RFC 9113, 3.4: every HTTP/2 connection begins with it, and no HTTP/1 request does
_DRAIN_S = 1.0


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the signals are the emulator's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiListener:
    """The port and the two servers behind it, which listen on unix sockets in `room`."""

    def __init__(self, emulator: LocalCloudRun, room: Path) -> None:
        self.port = 0
        self._emulator = emulator
        self._grpc_path, self._http_path = room / "grpc.sock", room / "http.sock"
        self._open: set[asyncio.Task[None]] = set()

    async def startup(self, port: int) -> None:
        """Listen on 127.0.0.1.

        Raises:
            EmulatorError: the port is taken.
        """
        try:
            self._door = await asyncio.start_server(self._let_in, "127.0.0.1", port)
        except OSError as error:
            raise EmulatorError(
                f"Port {port} on 127.0.0.1 cannot be used ({error.strerror}): give another --api-port, or 0 for any."
            ) from error
        self.port = self._door.sockets[0].getsockname()[1]
        policies = Policies()
        self._grpc = await grpc_server.start(self._emulator, f"unix:{self._grpc_path}", policies)
        routes = [Route("/state", self._state), *knative.routes(self._emulator, policies)]
        config = uvicorn.Config(
            Starlette(routes=routes), uds=str(self._http_path), lifespan="off", log_config=None, access_log=False
        )
        self._http = _Server(config)
        self._serving = asyncio.create_task(self._http.serve())
        while not self._http.started:
            if self._serving.done():
                self._serving.result()
            await asyncio.sleep(0.01)

    async def shutdown(self) -> None:
        """Close it."""
        self._door.close()
        self._http.should_exit = self._http.force_exit = True
        await self._grpc.stop(_DRAIN_S)
        for task in self._open:
            task.cancel()
        await asyncio.wait([self._serving], timeout=_DRAIN_S)

    async def _state(self, _: Request) -> JSONResponse:
        return JSONResponse(await state_of(self._emulator))

    async def _let_in(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            first = await reader.readexactly(len(_PREFACE))
            path = self._grpc_path if first == _PREFACE else self._http_path
            inner_reader, inner_writer = await asyncio.open_unix_connection(str(path))
            inner_writer.write(first)
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the emulator stops
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
