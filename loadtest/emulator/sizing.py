"""Choose the vCPU of an instance from the CPU time of one request, so that a laptop scales like the cloud."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.cloud_run import TARGET_RATIO
from ..core.errors import EmulatorError
from .instance import INSTANCE_ADDRESS

REQUESTS_PER_S = 30.0
_WARM, _MEASURED = 40, 200
_EVERY_S = 0.01  # paced, as a process that sleeps between two requests uses more CPU for each
_ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A request that is typical of the service's work."""

    method: str
    path: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """The chosen vCPU, and a sentence with the measurement behind it."""

    cpu: float
    why: str


async def choose_cpu(port: int, cpu_used_s: Callable[[], float]) -> Size:
    """Return the vCPU with which the instance on `port` serves 30 requests/s at 60 % CPU.

    The request is the POST example of its OpenAPI page with the shortest path, else `GET /`; 200 of them are sent,
    a new connection each, as the emulator's data plane does. The instance must have no CPU limit meanwhile.

    Raises:
        EmulatorError: the request is not answered with success.
    """
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
    cost_s = (cpu_used_s() - before_s) / _MEASURED
    cpu = max(0.005, float(f"{cost_s * REQUESTS_PER_S / TARGET_RATIO:.2g}"))
    return Size(
        cpu,
        f"{sample.method} {sample.path} costs {cost_s * 1000:.2f} ms of CPU (mean of {_MEASURED}); "
        f"{cpu:g} vCPU serve {REQUESTS_PER_S:g} of them a second at {TARGET_RATIO:.0%}",
    )


async def find_sample(port: int) -> Sample:
    """Return the POST example of the OpenAPI page, else `GET /`."""
    status, body = await _send(port, Sample("GET", "/openapi.json"))
    if status == 200:
        try:
            return sample_of(json.loads(body)) or Sample("GET", "/")
        except ValueError:
            pass
    return Sample("GET", "/")


def sample_of(openapi: Mapping[str, Any]) -> Sample | None:
    """Return the POST with a JSON example and the shortest path in an OpenAPI document; None when there is none.

    The shortest, because a longer path below it (`/predict/batch`) is a special case of it.
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
