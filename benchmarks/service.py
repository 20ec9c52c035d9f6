"""Compare the service with the tutorial's service and with FastAPI alone: `python -m benchmarks.service`.

All services are real processes that answer the same payload from wrk. Rounds alternate between them, so that other load
on the machine affects all of them. CPU is the user + system time of the serving process, from the kernel. Both services
use uvloop and httptools and have no access log, so the comparison is about the way from a body to a probability.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cold_start import free_port
from benchmarks.machine import keep, where
from target_service.schema import EXAMPLES, LoanApplication, as_row

ROUNDS = 5
CLOSED_S = 3
CONNECTIONS = 16
RATE_S = 5
RATE_CONNECTIONS = 50
RATE_PER_S = 100
"""The rate is below the capacity of the tutorial's service, so that its p99 does not measure an ever-growing queue."""

ROOT = Path(__file__).resolve().parents[1]
UVICORN = ["-m", "uvicorn", "--no-access-log", "--port", "{port}"]
COMMANDS = {
    "this service": ["-m", "target_service"],
    "the tutorial's service": [*UVICORN, "benchmarks.peers.tutorial_service:app"],
    "FastAPI with a constant answer": [*UVICORN, "benchmarks.peers.constant_service:app"],
}
CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

CLOSED = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{body}]]
"""
# With exponential pauses, arrivals are random, and the connections do not send at the same moments.
AT_A_RATE = CLOSED + "function delay() return math.floor(-{pause_ms} * math.log(1 - math.random())) end\n"


@dataclass(slots=True)
class Service:
    """One service and the results of its rounds."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    per_cpu_s: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    rate_per_s: list[float] = field(default_factory=list)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S


def start(name: str) -> Service:
    port = free_port()
    command = [sys.executable, *(word.format(port=port) for word in COMMANDS[name])]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PORT": str(port)}, stdout=subprocess.DEVNULL)
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/").close()
            return Service(name, port, process)
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{name} did not answer within 60 s: {' '.join(command)}")


def wrk(service: Service, script: Path, *, connections: int, length_s: int) -> tuple[int, dict[str, float]]:
    """Return how many requests were answered, and the percentiles that wrk printed, in milliseconds."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{length_s}s", "--latency", "-s", str(script)]
    said = subprocess.run(
        [*command, f"http://127.0.0.1:{service.port}/predict"], capture_output=True, text=True, check=True
    ).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"{service.name} did not answer all requests:\n{said}")
    to_ms = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    percentiles = {
        percent: float(value) * to_ms[unit]
        for percent, value, unit in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)\n", said)
    }
    (count,) = re.findall(r"(\d+) requests in", said)
    return int(count), percentiles


def measure(services: list[Service], folder: Path) -> None:
    body = json.dumps(EXAMPLES[0])
    closed, at_a_rate = folder / "closed.lua", folder / "rate.lua"
    closed.write_text(CLOSED.format(body=body))
    at_a_rate.write_text(AT_A_RATE.format(body=body, pause_ms=1000 * RATE_CONNECTIONS / RATE_PER_S))
    for service in services:
        wrk(service, closed, connections=CONNECTIONS, length_s=1)  # warm
    for turn in range(ROUNDS):
        for service in services[:: 1 if turn % 2 else -1]:
            before_s = service.cpu_s()
            count, _ = wrk(service, closed, connections=CONNECTIONS, length_s=CLOSED_S)
            service.per_cpu_s.append(count / (service.cpu_s() - before_s))
            count, percentiles = wrk(service, at_a_rate, connections=RATE_CONNECTIONS, length_s=RATE_S)
            service.rate_per_s.append(count / RATE_S)
            service.p50_ms.append(percentiles["50"])
            service.p99_ms.append(percentiles["99"])


def cpu_us(action: Callable[[], object], *, times: int = 500, rounds: int = 5) -> float:
    """Return the CPU that one call takes in this process, over all threads, in microseconds: the median of `rounds`."""
    found = []
    for _ in range(rounds):
        began_s = time.process_time()
        for _ in range(times):
            action()
        found.append((time.process_time() - began_s) / times * 1e6)
    return statistics.median(found)


def alone() -> list[str]:
    """Return the table for one prediction without HTTP."""
    import pandas as pd
    from catboost import CatBoostClassifier

    from target_service.model import MODEL_FILE, load_model

    model = load_model()
    classifier = CatBoostClassifier()
    classifier.load_model(str(MODEL_FILE))
    row = as_row(LoanApplication(**EXAMPLES[0]))
    body = json.dumps(EXAMPLES[0]).encode()
    columns = dict(zip(LoanApplication.model_fields, row, strict=True))

    async def in_a_thread() -> None:
        for _ in range(500):
            await asyncio.to_thread(model.predict, [row])

    each = {
        "`predict_proba` on a one-row DataFrame, all cores": cpu_us(
            lambda: classifier.predict_proba(pd.DataFrame([columns])), times=100
        ),
        "`predict_proba` on a list, one thread": cpu_us(lambda: classifier.predict_proba([row], thread_count=1)),
        "`Model.predict`, one row": cpu_us(lambda: model.predict([row])),
        "`Model.predict` through `asyncio.to_thread`": cpu_us(lambda: asyncio.run(in_a_thread()), times=1) / 500,
        "`Model.predict`, 256 rows, per row": cpu_us(lambda: model.predict([row] * 256), times=20) / 256,
        "body to row (pydantic)": cpu_us(lambda: as_row(LoanApplication.model_validate_json(body))),
    }
    return ["| without HTTP | µs of CPU |", "|---|---|", *(f"| {name} | {value:.1f} |" for name, value in each.items())]


def report(services: list[Service]) -> str:
    ours, peer, constant = services
    median = statistics.median
    ratios = [mine / theirs for mine, theirs in zip(ours.per_cpu_s, peer.per_cpu_s, strict=True)]
    of_constant = [mine / theirs for mine, theirs in zip(ours.per_cpu_s, constant.per_cpu_s, strict=True)]
    tails = [theirs / mine for mine, theirs in zip(ours.p99_ms, peer.p99_ms, strict=True)]
    rows = [
        f"| {service.name} | {median(service.per_cpu_s):,.0f} | {1e6 / median(service.per_cpu_s):,.0f} "
        f"| {median(service.rate_per_s):.0f} | {median(service.p50_ms):.2f} | {median(service.p99_ms):.2f} |"
        for service in services
    ]
    how = (
        "`python -m benchmarks.service`: one process per service, wrk on loopback, "
        f"medians of {ROUNDS} rounds that alternate. CPU: closed loop of {CONNECTIONS} connections. Latency: "
        f"{RATE_CONNECTIONS} connections at about {RATE_PER_S} requests/s, at random times."
    )
    verdict = (
        f"**{median(ratios):.1f} × the requests per CPU-second** (rounds {min(ratios):.1f} to {max(ratios):.1f}); "
        f"the tutorial's p99 at that rate is {median(tails):.1f} × ours "
        f"(rounds {min(tails):.1f} to {max(tails):.1f}). With its model, this service answers "
        f"{median(of_constant):.2f} × the requests per CPU-second of a FastAPI route that reads nothing and answers "
        f"with a constant (rounds {min(of_constant):.2f} to {max(of_constant):.2f})."
    )
    head = [
        "| | requests per CPU-second | µs of CPU per request | requests/s for latency | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|",
    ]
    versions = where("catboost", "fastapi", "uvicorn", "pydantic", "pandas", "numpy")
    title = "## The service and the tutorial's service"
    load = f"Load average {os.getloadavg()[0]:.1f}."
    return "\n".join([title, "", how, "", *head, *rows, "", verdict, "", *alone(), "", f"{load} {versions}"])


def main() -> None:
    services: list[Service] = []
    try:
        services.extend(start(name) for name in COMMANDS)
        with tempfile.TemporaryDirectory() as folder:
            measure(services, Path(folder))
        keep("service", report(services))
    finally:
        for service in services:
            service.process.send_signal(signal.SIGTERM)
            service.process.wait()


if __name__ == "__main__":
    main()
