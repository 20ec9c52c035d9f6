"""Keep the long-running operations of the local Cloud Run and answer `google.longrunning.Operations`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import grpc
from google.longrunning import operations_pb2 as pb
from google.rpc import code_pb2

from ...core.errors import EmulatorError
from .rpc import RefusedError, unary

KEPT = 1000
"""At most this many operations are kept; the oldest are dropped."""


class Operations:
    """All operations by name. `start` follows an operation until it is done."""

    def __init__(self) -> None:
        self._known: dict[str, pb.Operation] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._count = 0

    def start(self, parent: str, *, now: Any, result: Awaitable[Any]) -> pb.Operation:
        """Return a new operation. The operation is done when `result` returns a message or raises an error.

        Args:
            parent: `projects/P/locations/L`.
            now: the service's current message, which becomes the operation's metadata.
            result: returns the service's message when it has settled; raises EmulatorError if the service failed.
        """
        self._count += 1
        operation = pb.Operation(name=f"{parent}/operations/op-{self._count}")
        operation.metadata.Pack(now)
        self._known[operation.name] = operation
        while len(self._known) > KEPT:
            self._known.pop(next(iter(self._known)))
        task = asyncio.ensure_future(self._watch(operation, result))
        self._tasks[operation.name] = task
        task.add_done_callback(lambda _: self._tasks.pop(operation.name, None))
        return operation

    async def _watch(self, operation: pb.Operation, result: Awaitable[Any]) -> None:
        try:
            message = await result
        except EmulatorError as error:
            operation.error.code = code_pb2.FAILED_PRECONDITION
            operation.error.message = str(error)
        else:
            operation.metadata.Pack(message)
            operation.response.Pack(message)
        operation.done = True

    def get(self, name: str) -> pb.Operation:
        """Return the current state of the operation.

        Raises:
            RefusedError: there is no operation of that name.
        """
        if name not in self._known:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Operation {name!r} does not exist.")
        return self._known[name]

    async def wait(self, name: str, timeout_s: float) -> pb.Operation:
        """Wait at most `timeout_s` until the operation is done, and return it."""
        task = self._tasks.get(name)
        if task is not None:
            await asyncio.wait({task}, timeout=timeout_s)
        return self.get(name)

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the gRPC handler of Get, Wait and List."""

        async def get(request: pb.GetOperationRequest) -> pb.Operation:
            return self.get(request.name)

        async def wait(request: pb.WaitOperationRequest) -> pb.Operation:
            return await self.wait(request.name, request.timeout.ToTimedelta().total_seconds() or 60.0)

        async def listed(request: pb.ListOperationsRequest) -> pb.ListOperationsResponse:
            return pb.ListOperationsResponse(operations=self._known.values())

        return grpc.method_handlers_generic_handler(
            "google.longrunning.Operations",
            {
                "GetOperation": unary(get, pb.GetOperationRequest, pb.Operation),
                "WaitOperation": unary(wait, pb.WaitOperationRequest, pb.Operation),
                "ListOperations": unary(listed, pb.ListOperationsRequest, pb.ListOperationsResponse),
            },
        )
