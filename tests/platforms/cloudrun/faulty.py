"""A local gRPC server that answers every method in one way: with a status code, or never."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status


class Faulty(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types
    """Answer any method with `code` (and `reason` in its details), or not at all until it is closed."""

    def __init__(self, code: grpc.StatusCode | None, *, reason: str = "", permission: str = "") -> None:
        self.code = code
        self.reason = reason
        self.permission = permission
        self.calls = 0
        self.closed = threading.Event()

    def service(self, details: Any) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls += 1
        if self.code is None:
            self.closed.wait()
            return b""
        status = status_pb2.Status(code=code_pb2.Code.Value(self.code.name), message="injected")
        if self.reason:
            info = error_details_pb2.ErrorInfo(reason=self.reason, domain="googleapis.com")
            info.metadata["permission"] = self.permission
            status.details.add().Pack(info)
        context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort raises")


@contextmanager
def faulty_endpoint(
    code: grpc.StatusCode | None, *, reason: str = "", permission: str = ""
) -> Iterator[tuple[Faulty, str]]:
    """Yield the handler and the HOST:PORT on which it answers."""
    faulty = Faulty(code, reason=reason, permission=permission)
    with serving(faulty) as endpoint:
        try:
            yield faulty, endpoint
        finally:
            faulty.closed.set()


@contextmanager
def serving(handler: grpc.GenericRpcHandler) -> Iterator[str]:
    """Yield the HOST:PORT on which `handler` answers."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
