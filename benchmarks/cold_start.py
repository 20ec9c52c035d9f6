"""Measure the parts of a cold start, and compare it with the tutorial's service: `python -m benchmarks.cold_start`.

Each part is timed inside a fresh process, in the order in which the service does it; rounds alternate between the two
services. "First answer" is the time from starting the process to the first 200 of `/predict`, as a caller sees it. As
in the image, the files are in the page cache and byte-compiled, so almost all of the time is CPU time.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import keep, where
from target_service.schema import EXAMPLES

ROUNDS = 5
ROOT = Path(__file__).resolve().parents[1]

PARTS = {
    "this service": [
        ("uvicorn, uvloop, httptools", "import uvicorn, uvloop, httptools, uvicorn.protocols.http.httptools_impl"),
        ("pydantic", "from pydantic import BaseModel, Field"),
        ("fastapi", "import fastapi"),
        ("numpy", "import numpy"),
        ("pandas", ""),
        ("catboost", "from target_service.lean import import_catboost; import_catboost()"),
        ("schema and routes", "import target_service.app"),
        (
            "model, warm-up, app",
            "from target_service.model import load_model; target_service.app.create_instance(load_model())",
        ),
    ],
    "the tutorial's service": [
        ("uvicorn, uvloop, httptools", "import uvicorn, uvloop, httptools, uvicorn.protocols.http.httptools_impl"),
        ("pydantic", "from pydantic import BaseModel, Field"),
        ("fastapi", "import fastapi"),
        ("numpy", "import numpy"),
        ("pandas", "import pandas"),
        ("catboost", "import catboost"),
        ("schema and routes", "import target_service.schema"),
        ("model, warm-up, app", "import benchmarks.peers.tutorial_service"),
    ],
}
COMMANDS = {
    "this service": ["-m", "target_service"],
    "the tutorial's service": ["-m", "uvicorn", "benchmarks.peers.tutorial_service:app", "--port", "{port}"],
}
TIMER = """
import json, sys, time
found = {}
for part, code in json.loads(sys.argv[1]):
    began_s = time.process_time()
    exec(code)
    found[part] = (time.process_time() - began_s) * 1000
print(json.dumps(found))
"""


def parts_ms(name: str) -> dict[str, float]:
    """Return the CPU that each part takes in a fresh process, in milliseconds."""
    command = [sys.executable, "-c", TIMER, json.dumps(PARTS[name])]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    found: dict[str, float] = json.loads(said)
    return found


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def first_answer(name: str) -> dict[str, float]:
    """Return the time to the first answer, the duration of that request, and the memory in use at that time."""
    port = free_port()
    command = [sys.executable, *(word.format(port=port) for word in COMMANDS[name])]
    began_s = time.monotonic()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PORT": str(port)}, **quiet)  # type: ignore[call-overload]
    try:
        while True:
            asked_s = time.monotonic()
            if asked_s - began_s > 60:
                raise SystemExit(f"{name} did not answer within 60 s: {' '.join(command)}")
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request("POST", "/predict", json.dumps(EXAMPLES[0]), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except ConnectionRefusedError:
                time.sleep(0.01)
                continue
            ended_s = time.monotonic()
            assert answer.status == 200, answer.status
            status = Path(f"/proc/{process.pid}/status").read_text()
            (rss_kib,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
            return {
                "first answer": (ended_s - began_s) * 1000,
                "that request": (ended_s - asked_s) * 1000,
                "memory MB": int(rss_kib) / 1024,
            }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def main() -> None:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in COMMANDS}
    for name in COMMANDS:
        parts_ms(name)  # loads the files into the page cache and writes their byte code
    for _ in range(ROUNDS):
        for name, rounds in found.items():
            parts = parts_ms(name)
            rounds.append({**parts, "all parts": sum(parts.values()), **first_answer(name)})
    ours, theirs = found.values()

    def line(part: str, unit: str) -> str:
        values = [statistics.median(round_[part] for round_ in rounds) for rounds in (ours, theirs)]
        return f"| {part} | {unit} | {values[0]:,.0f} | {values[1]:,.0f} |"

    cpu = [line(part, "ms of CPU") for part, _ in PARTS["this service"]] + [line("all parts", "ms of CPU")]
    ratios = [mine["first answer"] / other["first answer"] for mine, other in zip(ours, theirs, strict=True)]
    verdict = (
        f"**The first answer comes after {statistics.median(ratios):.2f} of the tutorial's time** "
        f"(rounds {min(ratios):.2f} to {max(ratios):.2f})."
    )
    text = [
        "## Cold start by part",
        "",
        f"`python -m benchmarks.cold_start`: fresh processes, medians of {ROUNDS} rounds that alternate.",
        "",
        "| | | this service | the tutorial's service |",
        "|---|---|---|---|",
        *cpu,
        line("first answer", "ms since the process began"),
        line("that request", "ms of it"),
        line("memory MB", "resident then"),
        "",
        verdict,
        "",
        where("catboost", "fastapi", "uvicorn", "pydantic", "pandas", "numpy"),
    ]
    keep("cold_start", "\n".join(text))


if __name__ == "__main__":
    main()
