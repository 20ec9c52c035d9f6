"""Serve all gRPC surfaces of one emulator on one address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from ...core.access import NO_TOKEN_REASON, Access, bearer_of
from ..model import Emulator
from .monitoring import Monitoring
from .operations import Operations
from .policies import Policies
from .run_admin import RunAdmin


def build(emulator: Emulator, policies: Policies, access: Access | None) -> grpc.aio.Server:
    """Return a server with all services; it does not listen yet.

    Call this function on the event loop on which the server will run.

    Args:
        emulator: the emulator to serve; its methods are called only on the running loop.
        policies: shared with the REST form, so that both return the same policies.
        access: the access rules; every call must contain their secret (`authorization: Bearer SECRET`). If `access` is
            None, every call is accepted; use None only for a server on a socket that no other user can reach.
    """
    operations = Operations()
    admin = RunAdmin(emulator, operations, policies)
    server = grpc.aio.server(interceptors=[_Guard(access)] if access is not None else [])
    server.add_generic_rpc_handlers((*admin.handlers(), operations.handler(), Monitoring(emulator).handler()))
    return server


def _no_token() -> Status:
    status = Status(
        code=grpc.StatusCode.UNAUTHENTICATED.value[0],
        message="This call needs the emulator's access token as metadata `authorization: Bearer TOKEN`.",
    )
    status.details.add().Pack(ErrorInfo(reason=NO_TOKEN_REASON, domain="lt"))
    return status


_NO_TOKEN = _no_token()


class _Guard(grpc.aio.ServerInterceptor):
    """Refuse calls without the secret.

    A web page cannot make such calls, because browsers speak HTTP/2 only over TLS.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Return the method's handler, or a handler that refuses the call."""
        given = [value for name, value in details.invocation_metadata if name == "authorization"]
        if len(given) == 1 and self._access.knows(bearer_of(given[0])):
            return await continuation(details)

        async def refuse(_: Any, context: grpc.aio.ServicerContext) -> None:
            await context.abort(
                grpc.StatusCode.UNAUTHENTICATED,
                _NO_TOKEN.message,
                (("grpc-status-details-bin", _NO_TOKEN.SerializeToString()),),
            )

        return grpc.unary_unary_rpc_method_handler(refuse)
