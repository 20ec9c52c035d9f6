"""Serve all gRPC surfaces of one emulator on one address."""

from __future__ import annotations

import grpc.aio

from ..model import Emulator
from .monitoring import Monitoring
from .operations import Operations
from .policies import Policies
from .run_admin import RunAdmin


def build(emulator: Emulator, policies: Policies | None = None) -> grpc.aio.Server:
    """Return a server with every surface on it, listening nowhere yet; call it on the loop it is to run on.

    Args:
        emulator: what stands behind; the server calls it on the running loop only.
        policies: shared with the REST form when given, so that both tell the same.
    """
    operations = Operations()
    admin = RunAdmin(emulator, operations, policies or Policies())
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((*admin.handlers(), operations.handler(), Monitoring(emulator).handler()))
    return server


async def start(emulator: Emulator, address: str, policies: Policies | None = None) -> grpc.aio.Server:
    """Return a started server on `address` (`unix:PATH` or `HOST:PORT`, in plain text); the caller stops it."""
    server = build(emulator, policies)
    server.add_insecure_port(address)
    await server.start()
    return server
