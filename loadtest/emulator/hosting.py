"""Hold a whole emulator open: its control plane, its door and one deployed service."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

from ..core.errors import EmulatorError
from .control import LocalCloudRun
from .model import Phase, RevisionTemplate, ServiceKey


@dataclass(frozen=True, slots=True)
class Host:
    """Where it answers: the service, and the port with Google's surfaces and /state."""

    url: str
    api_port: int


@contextlib.asynccontextmanager
async def hosted(
    emulator: LocalCloudRun, key: ServiceKey, template: RevisionTemplate, *, front_port: int
) -> AsyncIterator[Host]:
    """Hold it open with one service READY; on leaving, stop everything.

    Raises:
        EmulatorError: it cannot start, or the service's deployment failed; nothing is left.
    """
    # gRPC complains of every fork otherwise; our children run another program at once, so its handlers are no use.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from .api_listener import ApiListener

    emulator.startup()
    door: ApiListener | None = None
    try:
        status = emulator.create_service(key, template, front_port=front_port)
        door = ApiListener(emulator, emulator.room)
        await door.startup(emulator.options.api_port)
        status = await emulator.settled(key, status.generation)
        if status.phase is not Phase.READY:
            raise EmulatorError(status.message)
        yield Host(url=status.url, api_port=door.port)
    finally:
        if door is not None:
            await door.shutdown()
        await emulator.shutdown()
