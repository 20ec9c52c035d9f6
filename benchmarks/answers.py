"""Measure the cost of comparing answers, whether it finds a rare race, and whether it has false alarms.

    python -m benchmarks.answers [--cost] [--race 5m] [--clean 1000000] [--write]

* cost: µs of CPU for comparing one answer, the minimum of 15 rounds of 20,000.
* race: benchmarks/racy_service.py mixes up one answer in 10,000, but only if requests overlap. It is put under load by
  one `lt run --check-answers` at 300 arrivals/s with 1,000 payloads.
* clean: 20 users without waits call the bundled service, in runs of a minute, until this many answers have been
  compared.

Without an option, all three are measured. The result contains the load average, because the runs need both cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks.machine import keep, where
from loadtest.core.answers import AnswerCheck
from loadtest.users.answers import AnswerChecker, CheckedEndpoint, Expected, Reference, head_digest

ROUNDS, ANSWERS = 15, 20_000
EVERY = 10_000

RACE = """
import itertools
from locust import task
from loadtest import FastUser, OpenLoopUser

numbers = itertools.count()

class Caller(OpenLoopUser, FastUser):
    @task
    def predict(self):
        self.client.post("/predict", json={"customer": next(numbers) % 1_000, "text": "x" * 200})
"""

CLEAN = """
from locust import constant
from scenarios.loan.borrower import Borrower

class Asker(Borrower):
    wait_time = constant(0)
"""


def cost_us() -> dict[str, float]:
    """Return µs of CPU per comparison, without the cost of the empty loop, by kind of answer."""
    head = b"POST /predict HTTP/1.1\r\n" + b"Host: 127.0.0.1:8080\r\n" * 8
    answer = json.dumps({"probability": 0.123456789, "model": "a" * 100}).encode()
    pretty = json.dumps(json.loads(answer), indent=1).encode()
    bodies = [json.dumps({"customer": number, "text": "x" * 280}).encode() for number in range(1_000)]
    expected = {body: Expected(200, answer, 0, 0) for body in bodies}
    reference = Reference([CheckedEndpoint("POST", "/predict")], [AnswerCheck()], {head_digest(head, b""): expected})

    def timed(got: bytes | None, sent: list[bytes]) -> float:
        checker, least_s = AnswerChecker(reference, object()), float("inf")
        for _ in range(ROUNDS):
            fresh = [
                bytes(bytearray(sent[at % len(sent)])) for at in range(ANSWERS)
            ]  # new objects, so that no hash is cached
            begun_s = time.process_time()
            if got is None:
                for body in fresh:  # noqa: B007 - the loop itself is timed
                    pass
            else:
                for body in fresh:
                    if checker.look(head, body, 200, got, None) is not None:
                        raise AssertionError("these answers are equal")
            least_s = min(least_s, time.process_time() - begun_s)
        return least_s / ANSWERS * 1e6

    empty_us = timed(None, bodies)
    return {
        "the expected bytes": timed(bytes(bytearray(answer)), bodies) - empty_us,
        "a request that is not in the reference": timed(answer, [b'{"other": 1}' + b"x" * 280]) - empty_us,
        "other bytes, equal as JSON": timed(pretty, bodies) - empty_us,
    }


@contextmanager
def racy_service() -> Iterator[str]:
    """Run the service that mixes up one answer in EVERY; yield its URL."""
    command = [sys.executable, "-m", "benchmarks.racy_service", "0", str(EVERY)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


def run(folder: Path, scenario: str, *options: str) -> dict[str, Any]:
    """Run a scenario with --check-answers; return its summary."""
    path = folder / "scenario.py"
    path.write_text(scenario, encoding="utf-8")
    command = [sys.executable, "lt.py", "run", "-s", str(path), "--check-answers", "--runs", str(folder), *options]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    found = sorted(folder.glob("*/summary.json"), key=lambda item: item.stat().st_mtime)
    if not found or done.returncode not in (0, 1, 3):
        raise SystemExit(done.stdout + done.stderr)
    summary: dict[str, Any] = json.loads(found[-1].read_text(encoding="utf-8"))["runs"][0]
    return summary


def race(duration: str) -> str:
    """Run against the racy service and return the result."""
    with tempfile.TemporaryDirectory() as folder, racy_service() as url:
        options = ("--users", "300", "--spawn-rate", "300", "--duration", duration, "--workers", "1")
        found = run(Path(folder), RACE, "--target", url, *options)
        with urlopen(f"{url}/mixed_up", timeout=10) as answer:
            mixed = int(answer.read())
    answers, sent = found["answers"], found["totals"]["requests"]
    return (
        f"Race: {answers['wrong']} of {mixed} mixed-up answers found among {answers['compared']:,} compared answers of "
        f"{sent:,} requests in {duration} ({sent / found['duration_s']:.0f}/s); {found['outcome']}, "
        f"{found['verdict']['kind']}."
    )


def clean(wanted: int) -> str:
    """Run against the bundled service until `wanted` answers were compared, and return the result."""
    compared = wrong = requests = runs = 0
    while compared < wanted:
        with tempfile.TemporaryDirectory() as folder:
            options = ("--users", "20", "--spawn-rate", "20", "--duration", "60s", "--workers", "1")
            found = run(Path(folder), CLEAN, "--target", "local", *options)
        compared += found["answers"]["compared"]
        wrong += found["answers"]["wrong"]
        requests += found["totals"]["requests"]
        runs += 1
        print(f"{compared:,} compared, {wrong} wrong", file=sys.stderr)
    return f"Clean: {wrong} of {compared:,} compared answers reported as wrong ({requests:,} requests in {runs} runs)."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--race", metavar="DURATION")
    parser.add_argument("--clean", metavar="ANSWERS", type=int)
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/answers.md")
    words = parser.parse_args()
    everything = not (words.cost or words.race or words.clean)
    lines = ["## Comparing answers", "", "`python -m benchmarks.answers`", ""]
    if words.cost or everything:
        lines += ["| one answer | µs of CPU |", "|---|---|"]
        lines += [f"| {what} | {cost:.2f} |" for what, cost in cost_us().items()]
        lines.append("")
    if words.race or everything:
        lines += [race(words.race or "5m"), ""]
    if words.clean or everything:
        lines += [clean(words.clean or 1_000_000), ""]
    load = f"load average {os.getloadavg()[1]:.1f} (ours included)"
    lines.append(f"{where('locust', 'orjson')} · {load}")
    text = "\n".join(lines)
    if words.write:
        keep("answers", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
