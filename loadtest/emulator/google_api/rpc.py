"""Wrap a coroutine as a gRPC method, and convert its errors to status codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from ...core.errors import EmulatorError
from ..model import ServiceExistsError, ServiceNotFoundError, TemplateError
from .aggregate import AggregationError
from .filters import FilterError
from .messages import MessageError

CODES: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    (ServiceExistsError, grpc.StatusCode.ALREADY_EXISTS),
    (ServiceNotFoundError, grpc.StatusCode.NOT_FOUND),
    (TemplateError, grpc.StatusCode.INVALID_ARGUMENT),
    (MessageError, grpc.StatusCode.INVALID_ARGUMENT),
    (FilterError, grpc.StatusCode.INVALID_ARGUMENT),
    (AggregationError, grpc.StatusCode.INVALID_ARGUMENT),
    (EmulatorError, grpc.StatusCode.FAILED_PRECONDITION),
)
"""The status code of each error class; the first match applies."""


class RefusedError(Exception):
    """The error of a refused call: a status code and a sentence."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def code_of(error: Exception) -> grpc.StatusCode:
    """Return the status code of an error that a service raises on purpose; UNKNOWN for any other error."""
    if isinstance(error, RefusedError):
        return error.code
    return next((code for kind, code in CODES if isinstance(error, kind)), grpc.StatusCode.UNKNOWN)


def page_of(items: Sequence[Any], *, size: int, token: str) -> tuple[Sequence[Any], str]:
    """Return a page of at most `size` items (0 means 1000) and the token of the next page, "" at the end.

    Raises:
        RefusedError: the token is invalid, or the size is negative.
    """
    if token and not token.isdecimal():
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"page_token {token!r} was not issued by this server.")
    if size < 0:
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"page_size {size}: must not be negative.")
    begin = int(token or 0)
    end = begin + (size or 1000)
    return items[begin:end], str(end) if end < len(items) else ""


def unary(answer: Callable[[Any], Awaitable[Any]], request: Any, response: Any) -> grpc.RpcMethodHandler:
    """Return `answer` as a unary method over these message classes, proto-plus or plain.

    A proto-plus message is unwrapped for transport and wrapped for `answer`.
    """
    wraps = hasattr(request, "pb")

    async def method(message: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            return await answer(message)
        except Exception as error:
            code = code_of(error)
            if code is grpc.StatusCode.UNKNOWN:
                raise  # this is a bug in our code: grpc logs the traceback and answers UNKNOWN
            await context.abort(code, str(error))

    return grpc.unary_unary_rpc_method_handler(
        method,
        request_deserializer=request.deserialize if wraps else request.FromString,
        response_serializer=response.serialize if hasattr(response, "pb") else response.SerializeToString,
    )
