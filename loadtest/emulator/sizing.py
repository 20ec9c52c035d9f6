"""Choose the vCPU of an instance from the CPU time of one request, so that the service scales here as in the cloud."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.cloud_run import TARGET_RATIO, not_a_setting
from ..core.errors import EmulatorError
from .instance import INSTANCE_ADDRESS
from .model import RevisionTemplate

REQUESTS_PER_S = 30.0
_WARM, _MEASURED = 40, 200
_EVERY_S = 0.01  # with a pause, because a process that sleeps between requests uses more CPU for each
_ANSWER_S = 30.0
_WARM_LINE = b"warm\n"
_SCENARIO_S = 60.0  # the time that it may take to load a scenario and to send its first requests twice


@dataclass(frozen=True, slots=True)
class Sample:
    """A request that is typical of what the service does."""

    method: str
    path: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """The chosen vCPU.

    Attributes:
        why: a sentence with the measurement, and with the reason if Cloud Run would not accept this vCPU.
        cost_s: CPU time of one request.
        per_user_s: requests per second that one user of the scenario sends; None if it is not known.
    """

    cpu: float
    why: str
    cost_s: float
    per_user_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Cost:
    """The measured CPU time of one request, the requests it was measured on, and the scenario's rate per user."""

    cost_s: float
    count: int
    of: str
    per_user_s: float | None = None


async def choose_cpu(
    port: int, cpu_used_s: Callable[[], float], first_requests: Sequence[str] = (), *, template: RevisionTemplate
) -> Size:
    """Return the vCPU with which the instance on `port` serves 30 requests/s at 60 % CPU.

    The requests are the first requests of the scenario, which the command `first_requests` sends. If there is no
    command, or if it sends nothing, the function sends the POST example with the shortest path on the service's OpenAPI
    page, or `GET /` if there is no example. Each request uses a new connection, as in the emulator's data plane. The
    instance must have no CPU limit during the measurement.

    Raises:
        EmulatorError: the requests do not succeed.
    """
    cost = await _cost_of_scenario(port, cpu_used_s, first_requests) if first_requests else None
    cost = cost or await _cost_of_example(port, cpu_used_s)
    cpu = max(0.005, float(f"{cost.cost_s * REQUESTS_PER_S / TARGET_RATIO:.2g}"))
    why = (
        f"{cost.of} cost {cost.cost_s * 1000:.2f} ms of CPU each (mean of {cost.count}); {cpu:g} vCPU serve "
        f"{REQUESTS_PER_S:g} of them a second at {100 * TARGET_RATIO:g} %"
    )
    memory_mib = template.memory_bytes / 2**20
    if refused := not_a_setting(cpu=cpu, memory_mib=memory_mib, concurrency=template.concurrency):
        why += f". Cloud Run does not offer this CPU limit ({refused.rstrip('.')})"
    return Size(cpu, why, cost.cost_s, cost.per_user_s)


async def _cost_of_scenario(port: int, cpu_used_s: Callable[[], float], command: Sequence[str]) -> _Cost | None:
    """Return the cost of a scenario's first requests; None if the scenario sends none."""
    process = await asyncio.create_subprocess_exec(
        *command,
        f"http://{INSTANCE_ADDRESS}:{port}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # so that everything that a scenario starts ends with it
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_SCENARIO_S):
            line = await process.stdout.readline()
            before_s = cpu_used_s()
            if line == _WARM_LINE:
                process.stdin.write(b"\n")
                line = await process.stdout.readline()
            used_s = cpu_used_s() - before_s
        told = json.loads(line or b"{}")
    except (TimeoutError, ValueError, OSError):
        told = {}
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    sent, failed = told.get("requests", 0), told.get("failed", 0)
    if told.get("why") and failed >= sent / 2:
        raise EmulatorError(
            f"--cpu auto: the scenario's first requests fail, so their cost cannot be measured. {told['why']} "
            "Correct the scenario or the service, or give --cpu a number."
        )
    if not sent:
        return None
    names = ", ".join(told["names"])
    return _Cost(used_s / sent, sent, f"the scenario's first requests ({names})", told["per_user_s"])


async def _cost_of_example(port: int, cpu_used_s: Callable[[], float]) -> _Cost:
    """Return the cost of the service's own example request."""
    sample = await find_sample(port)
    for _ in range(_WARM):
        await _send(port, sample)
    before_s = cpu_used_s()
    for _ in range(_MEASURED):
        began_s = time.monotonic()
        status, _ = await _send(port, sample)
        if not 200 <= status < 400:
            raise EmulatorError(
                f"--cpu auto: {sample.method} {sample.path} answered {status}, so its cost cannot be measured. "
                "Give --cpu a number."
            )
        await asyncio.sleep(max(0.0, _EVERY_S - (time.monotonic() - began_s)))
    return _Cost((cpu_used_s() - before_s) / _MEASURED, _MEASURED, f"requests {sample.method} {sample.path}")


async def find_sample(port: int) -> Sample:
    """Return the POST example of the OpenAPI page, or `GET /` if there is no example."""
    status, body = await _send(port, Sample("GET", "/openapi.json"))
    if status == 200:
        # the file is not an OpenAPI document
        with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
            return sample_of(json.loads(body)) or Sample("GET", "/")
    return Sample("GET", "/")


def sample_of(openapi: Mapping[str, Any]) -> Sample | None:
    """Return the POST with a JSON example and the shortest path in an OpenAPI document; None if there is none.

    The shortest path is chosen, because a longer path below it (`/predict/batch`) is usually a special case.
    """
    schemas = openapi.get("components", {}).get("schemas", {})
    for path, operations in sorted(openapi.get("paths", {}).items(), key=lambda item: len(item[0])):
        content = operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        schema = content.get("schema", {})
        schema = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
        named = [example.get("value") for example in content.get("examples", {}).values()]
        examples = [content.get("example"), *named, schema.get("example"), *schema.get("examples", [])]
        for example in examples:
            if example is not None:
                return Sample("POST", path, json.dumps(example).encode())
    return None


async def _send(port: int, sample: Sample) -> tuple[int, bytes]:
    head = f"{sample.method} {sample.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
    if sample.body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(sample.body)}\r\n"
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(INSTANCE_ADDRESS, port)
            try:
                writer.write(head.encode() + b"\r\n" + (sample.body or b""))
                answer = await reader.read(-1)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return 0, b""
    top, _, body = answer.partition(b"\r\n\r\n")
    status = top.split(b" ", 2)[1:2]
    return (int(status[0]) if status and status[0].isdigit() else 0), body
