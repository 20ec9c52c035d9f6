"""Serve all gRPC surfaces of one emulator on one address."""

from __future__ import annotations

import grpc.aio

from emulator.api import Emulator
from emulator.surfaces.monitoring import Monitoring
from emulator.surfaces.operations import Operations
from emulator.surfaces.policies import Policies
from emulator.surfaces.run_admin import RunAdmin


async def start(emulator: Emulator, address: str, policies: Policies | None = None) -> grpc.aio.Server:
    """Return a started server on `address` (`unix:PATH` or `HOST:PORT`); the caller stops it.

    Args:
        emulator: what stands behind; the server calls it on the running loop only.
        address: where to listen, in plain text.
        policies: shared with the REST form when given, so that both tell the same.
    """
    operations = Operations()
    admin = RunAdmin(emulator, operations, policies or Policies())
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((*admin.handlers(), operations.handler(), Monitoring(emulator).handler()))
    server.add_insecure_port(address)
    await server.start()
    return server
