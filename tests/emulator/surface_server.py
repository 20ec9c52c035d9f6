"""Serve the API surfaces of an emulator from a thread, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from loadtest.emulator.google_api import grpc_server
from loadtest.emulator.google_api.policies import Policies
from loadtest.emulator.model import Emulator


class LoopThread:
    """An event loop in a thread. `run` passes a coroutine to it and waits for the result."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=10)
        self.loop.close()


@contextmanager
def grpc_endpoint(emulator: Emulator, policies: Policies | None = None) -> Iterator[str]:
    """Yield the HOST:PORT on which the emulator's gRPC surfaces answer."""
    thread = LoopThread()

    async def start() -> tuple[Any, int]:
        server = grpc_server.build(emulator, policies or Policies(), None)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = thread.run(start())
    try:
        yield f"127.0.0.1:{port}"
    finally:
        thread.run(server.stop(None))
        thread.stop()
