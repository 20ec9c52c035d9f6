"""Measure the latency that the emulator's data plane adds to a request: `python -m benchmarks.emulator [PAIRS]`.

Each pair sends the same prediction twice, once directly to an instance and once through HAProxy to the same instance,
in random order, on two keep-alive connections of one client. Slow changes of the machine do not affect the difference
within a pair. The result is the median of the differences. The command writes benchmarks/results/emulator.md.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import time
import urllib.request

from benchmarks.machine import keep, where
from loadtest.emulator.handle import EmulatorConfig, EmulatorHandle
from loadtest.emulator.haproxy import find_haproxy
from loadtest.emulator.model import RevisionTemplate
from loadtest.emulator.sizing import sample_of

WARM = 200
LIMIT_MS = 0.5


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.connect()

    def once_ms(self, method: str, path: str, body: bytes | None) -> float:
        began = time.perf_counter_ns()
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        answer.read()
        took = time.perf_counter_ns() - began
        assert answer.status == 200, answer.status
        return took / 1e6


def measure(pairs: int) -> tuple[list[float], list[float]]:
    """Return the latencies in ms: directly, and through the emulator."""
    template = RevisionTemplate(cpu=2.0, min_instances=1)
    with EmulatorHandle.start(EmulatorConfig(template)) as emulator:
        (instance,) = emulator.state()["services"][0]["revisions"][0]["instances"]
        with urllib.request.urlopen(f"{emulator.url}/openapi.json", timeout=30) as answer:
            sample = sample_of(json.load(answer))
        assert sample is not None
        clients = {"straight": Client(instance["port"]), "through": Client(int(emulator.url.rpartition(":")[2]))}
        took: dict[str, list[float]] = {"straight": [], "through": []}
        for number in range(WARM + pairs):
            for name in random.sample(list(clients), 2):
                one_ms = clients[name].once_ms(sample.method, sample.path, sample.body)
                if number >= WARM:
                    took[name].append(one_ms)
    return took["straight"], took["through"]


def table(straight: list[float], through: list[float]) -> str:
    """Return the result as Markdown."""
    added = sorted(after - before for before, after in zip(straight, through, strict=True))
    half = 1.96 * len(added) ** 0.5 / 2  # ranks of the median's 95 % interval
    low, high = added[int(len(added) / 2 - half)], added[int(len(added) / 2 + half)]
    version = subprocess.run([str(find_haproxy()), "-v"], capture_output=True, text=True, check=True).stdout.split()[2]
    verdict = "holds" if high < LIMIT_MS else "DOES NOT HOLD"
    rows = [
        f"| {name} | {statistics.median(values):.3f} | {statistics.quantiles(values, n=20)[-1]:.3f} |"
        for name, values in (("directly to the instance", straight), ("through the emulator", through))
    ]
    difference = f"{statistics.median(added):.3f}** (95 % interval {low:.3f}–{high:.3f})"
    lines = (
        "# Latency added by the emulator's data plane",
        "",
        "`python -m benchmarks.emulator`: the same prediction directly to an instance and through HAProxy, in pairs",
        "and in random order, on one connection each. One request is in flight at a time.",
        "",
        "| | p50 ms | p95 ms |",
        "|---|---|---|",
        *rows,
        f"| **added, median of {len(added):,} pairs** | **{difference} | |",
        "",
        f"The limit of {LIMIT_MS} ms added at p50 {verdict}. Load average meanwhile: {os.getloadavg()[0]:.1f}.",
        "",
        f"{where('uvicorn', 'catboost')} · HAProxy {version}",
    )
    return "\n".join(lines)


def main() -> None:
    keep("emulator", table(*measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)))


if __name__ == "__main__":
    main()
