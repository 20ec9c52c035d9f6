"""Wait for a long-running operation of Cloud Run, with a time limit and progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...core.errors import CloudError
from .calls import CallContext, RetryPolicy, call, explained

POLL_EVERY_S = 1.0
LIMIT_S = 900


@dataclass(frozen=True, slots=True)
class Step:
    """The content of a progress line: seconds since the operation began, and the service's own message about it."""

    elapsed_s: float
    message: str


def wait(
    future: Any,
    transport: Any,
    *,
    purpose: CallContext,
    retry_policy: RetryPolicy | None = None,
    on_progress: Callable[[Step], None] = lambda _: None,
) -> Any:
    """Wait until the operation is done, and return its result message.

    This function calls `GetOperation` itself once a second, because the client's own waiting retries each poll for 600
    s.

    Args:
        future: the result of the client's method.
        transport: the transport of the client that started the operation; it is also used to call the API for
            operations.
        purpose: the parts of the error message.
        retry_policy: the limits of one poll.
        on_progress: called after each poll that was answered "not yet".

    Raises:
        CloudError: the operation failed (the message is its own), or did not end within LIMIT_S.
    """
    from google.api_core.exceptions import NotFound

    begun = time.monotonic()
    operation = future.operation
    while not operation.done:
        elapsed_s = time.monotonic() - begun
        if elapsed_s > LIMIT_S:
            raise CloudError(
                f"{purpose.api} had not finished {purpose.doing} after {LIMIT_S} s; the operation continues there. "
                f"See its current state: `{purpose.look}`.",
                cure=purpose.look,
            )
        on_progress(Step(elapsed_s, _word(operation)))
        time.sleep(POLL_EVERY_S if elapsed_s > POLL_EVERY_S else 0.1)
        try:
            operation = call(
                transport.operations_client.get_operation, operation.name, purpose=purpose, retry_policy=retry_policy
            )
        except NotFound as error:
            raise explained(error, purpose=purpose, retry_policy=retry_policy) from error
    if operation.HasField("error"):
        raise CloudError(
            f"{purpose.api} failed at {purpose.doing} in project {purpose.project}: "
            f"{operation.error.message.rstrip('.')}. See why: `{purpose.look}`.",
            cure=purpose.look,
        )
    return operation.response


def _word(operation: Any) -> str:
    """Return the message of the condition that is still pending; "" if the operation has none."""
    from google.cloud.run_v2 import Service

    service = Service.pb(Service())
    if not operation.metadata.Unpack(service):
        return ""
    return str(service.terminal_condition.message)
