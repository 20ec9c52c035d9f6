"""Run a whole emulator: its control plane, its API port and one deployed service."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import EmulatorError
from .control import LocalCloudRun
from .model import Phase, RevisionTemplate, ServiceKey


@dataclass(frozen=True, slots=True)
class Running:
    """The addresses of a running emulator: the service, the API port, and the file with the access token."""

    url: str
    api_port: int
    token_file: Path


@contextlib.asynccontextmanager
async def running_emulator(
    emulator: LocalCloudRun, key: ServiceKey, template: RevisionTemplate, *, front_port: int
) -> AsyncIterator[Running]:
    """Run an emulator with one READY service while the block lasts, and stop everything afterwards.

    Everything is also stopped if the start is cancelled.

    Raises:
        EmulatorError: the emulator cannot start, or the deployment of the service failed. Nothing keeps running.
    """
    # Otherwise gRPC warns at every fork. Our child processes execute another program at once, so they need no fork
    # handlers.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from .api_listener import ApiListener

    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(emulator.shutdown)
        emulator.startup()
        emulator.permit_command(template)
        status = emulator.create_service(key, template, front_port=front_port)
        listener = ApiListener(emulator, emulator.folder.path)
        stack.push_async_callback(listener.shutdown)
        await listener.startup(emulator.options.api_port)
        token_file = emulator.folder.publish(port=listener.port, token=listener.access.secret)
        status = await emulator.settled(key, status.generation)
        if status.phase is not Phase.READY:
            raise EmulatorError(status.message)
        yield Running(url=status.url, api_port=listener.port, token_file=token_file)
