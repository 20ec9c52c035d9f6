"""Keep one server of a HAProxy backend usable but full, so that requests queue while no instance exists.

If there is no usable server, HAProxy answers 503 at once. The queue holder is one endless request that occupies the
only place of an additional server, `hold`. Any other request that reaches `hold` while the place is free gets 425, and
HAProxy retries it on another server. The client does not see the 425 if an instance is running, or if the place is
occupied again within three tries.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from pathlib import Path

HOLD_PATH = "/.emulator-hold"
TOO_EARLY = 425
_STRAY_S = 0.05  # three tries of another request then take 150 ms, and the place is occupied again after about 5 ms


class QueueHolder:
    """The `hold` server, and the client that keeps it full.

    The server and the client use unix sockets in `directory`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server: asyncio.Server | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._filled = asyncio.Event()

    async def startup(self) -> None:
        """Open the `hold` server; call this before HAProxy starts."""
        self._server = await asyncio.start_unix_server(self._hold, str(self._directory / "hold.sock"))

    async def fill(self) -> None:
        """Keep the place occupied. Return when the place is occupied for the first time. HAProxy must run."""
        self._keeper = asyncio.create_task(self._keep())
        await self._filled.wait()

    async def shutdown(self) -> None:
        """Close the server and its client."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._server is not None:
            self._server.close()

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(str(self._directory / "holder.sock"))
                try:
                    writer.write(f"GET {HOLD_PATH} HTTP/1.1\r\nHost: holder\r\n\r\n".encode())
                    await reader.read(1)  # when an answer comes or the connection ends, the place is free
                finally:
                    writer.close()
            await asyncio.sleep(0.01)

    async def _hold(self, reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError, asyncio.LimitOverrunError):
            line = await reader.readline()
            if HOLD_PATH.encode() in line:
                self._filled.set()
                await reader.read(-1)
            elif line:
                await asyncio.sleep(_STRAY_S)
                writer.write(
                    f"HTTP/1.1 {TOO_EARLY} Too Early\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
                )
                await writer.drain()
        writer.close()
