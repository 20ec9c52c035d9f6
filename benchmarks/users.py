"""Measure whether load generators keep a plan of many users.

    python -m benchmarks.users [--users 1000,3000,10000] [--hold 30]

Each user sends one request per second to nginx on loopback; 1,000 users start per second; nginx counts the requests.
The result covers the seconds after the last user started. For each generator it contains the difference between nginx's
count and the plan, in total and in the worst second, and the CPU and memory of the generator's processes. For FastUser
(two workers) it also contains the number of rows and nginx's count, the failures of the service, the failures of the
generator itself, the outcome, and the worst lag of the workers. FastUser is tested with 127.0.0.1, with a host name
that has two addresses, one of which refuses connections (in a mount namespace with its own /etc/hosts, which needs
root), and with a limit of 1,024 open files. The other generators are Locust's FastHttpUser in two processes, and k6 and
k9 if benchmarks/peers/requirements.txt is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import psutil

import loadtest
from benchmarks.generator import PAYLOAD, cpu_s, program_of
from benchmarks.machine import keep, where
from benchmarks.peers.server import Server, nginx

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).with_name("peers")
SCENARIO = PEERS / "many_users.py"
SPAWN_PER_S = 1_000
SETTLED_S = 2
NAME = "two-addresses.test"
HOSTS = f"127.0.0.1 localhost\n127.0.0.9 {NAME}\n127.0.0.1 {NAME}\n"
FILES = 1_024


@dataclass(frozen=True)
class Variant:
    """One run with FastUser.

    Attributes:
        host: the host in the target's URL; None means nginx's own address.
        wrap: arguments before the command.
    """

    name: str
    users: int
    host: str | None = None
    wrap: tuple[str, ...] = ()


@dataclass(frozen=True)
class Peer:
    """Another generator.

    Attributes:
        words: its command; each run replaces {target}, {users}, {length} (s) and {export} (a file).
    """

    name: str
    words: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


RUN = ("run", "--quiet", "--summary-export", "{export}", "-e", "TARGET={target}")
PEERS_OF_OURS = (
    Peer(
        "FastHttpUser, 2 processes",
        (
            *(sys.executable, "-m", "locust", "-f", str(SCENARIO), "--headless", "--json", "-L", "ERROR"),
            *("--processes", "2", "-u", "{users}", "-r", str(SPAWN_PER_S), "-t", "{length}", "--host", "{target}"),
        ),
        {"PEER": "FastHttpUser", "PYTHONPATH": str(ROOT)},
    ),
    Peer("k6", (program_of("k6"), *RUN, str(PEERS / "k6.js")), {"PAYLOAD": str(PAYLOAD)}),
    Peer("k9, declarative", (program_of("k9"), *RUN, str(PEERS / "k9_plan.py"))),
    Peer("k9, script", (program_of("k9"), *RUN, str(PEERS / "k9_script.py"))),
)


@dataclass(frozen=True)
class Seen:
    """The observations of a generator, over the seconds after its last user started.

    Attributes:
        sent_ratio: nginx's count ÷ planned.
        worst_ratio: the difference of the worst second from the plan.
        cores, memory_mb: CPU and memory of the generator's processes.
    """

    sent_ratio: float
    worst_ratio: float
    cores: float
    memory_mb: float

    def cells(self) -> str:
        """Return these values as cells of the table."""
        return f"{self.sent_ratio:.3f} | {self.worst_ratio:.1%} | {self.cores:.2f} | {self.memory_mb:,.0f}"


def watched(running: subprocess.Popen[str], server: Server, users: int, hold_s: int) -> Seen | None:
    """Watch a generator from its first requests on; return None if it ended before all users had started."""
    process, before = psutil.Process(running.pid), server.count()
    while server.count() - before < min(users, 50):
        if running.poll() is not None:
            return None
        time.sleep(0.05)
    time.sleep(users / SPAWN_PER_S + SETTLED_S)
    looks = [(time.monotonic(), server.count())]
    used_s = cpu_s(process)
    for _ in range(hold_s - SETTLED_S - 2):
        time.sleep(max(0.0, looks[0][0] + len(looks) - time.monotonic()))
        looks.append((time.monotonic(), server.count()))
    passed_s = looks[-1][0] - looks[0][0]
    members = [process, *process.children(recursive=True)]
    rates = [(n - m) / (t - s) / users for (s, m), (t, n) in pairwise(looks)]
    return Seen(
        sent_ratio=(looks[-1][1] - looks[0][1]) / passed_s / users,
        worst_ratio=max(abs(rate - 1) for rate in rates),
        cores=(cpu_s(process) - used_s) / passed_s,
        memory_mb=sum(member.memory_info().rss for member in members) / 1e6,
    )


def variants(counts: list[int], folder: Path) -> list[Variant]:
    """Return the other runs with FastUser, in addition to the runs with `counts` users on nginx's own address."""
    hosts = folder / "hosts"
    hosts.write_text(HOSTS)
    most = max(counts)
    with_hosts = ("unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh")
    few_files = ("sh", "-c", f'ulimit -n {FILES} && exec "$@"', "sh")
    found = [Variant("a host name with one dead address of two", most, NAME, with_hosts)] if os.geteuid() == 0 else []
    return [*found, Variant(f"`ulimit -n {FILES}`", most, None, few_files)]


def measure(variant: Variant, server: Server, runs: Path, hold_s: int) -> str:
    """Run it and return its line of the table."""
    port = urlsplit(server.plain).port
    target = f"http://{variant.host or '127.0.0.1'}:{port}"
    length_s = variant.users // SPAWN_PER_S + hold_s
    command = [sys.executable, str(ROOT / "lt.py"), "run", "-s", str(SCENARIO), "-t", target, "--yes"]
    command += ["--users", str(variant.users), "--spawn-rate", str(SPAWN_PER_S), "--duration", f"{length_s}s"]
    command += ["--workers", "2", "--runs", str(runs)]
    before, known = server.count(), set(runs.glob("*/run.json"))
    running = subprocess.Popen(
        [*variant.wrap, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )
    seen = watched(running, server, variant.users, hold_s)
    said, _ = running.communicate()
    new = set(runs.glob("*/run.json")) - known
    name = f"| FastUser, {variant.name} | {variant.users:,} |"
    if seen is None or not new:
        return f"{name} refused, exit {running.returncode}: {' '.join(said.split())} |||||||||"
    run = loadtest.open_run(new.pop().parent)
    rows = run.rows
    generator = int((rows.outcome == "generator").sum())
    failed = int((rows.outcome != "ok").sum()) - generator
    return (
        f"{name} {seen.cells()} | {len(rows):,}, {server.count() - before:,} | {failed:,} | {generator:,} "
        f"| {run.record.outcome}, exit {running.returncode} | {run.load.loop_lag_ms.max():.0f} |"
    )


def measure_peer(peer: Peer, users: int, server: Server, export: Path, hold_s: int) -> str:
    """Run another generator and return its line of the table."""
    ramp_s = users // SPAWN_PER_S
    length_s = ramp_s + hold_s
    filled = {"target": server.plain, "users": users, "length": length_s, "export": export}
    export.unlink(missing_ok=True)
    running = subprocess.Popen(
        [word.format(**filled) for word in peer.words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "USERS": str(users), "RAMP_S": str(ramp_s), "HOLD_S": str(hold_s), **peer.env},
    )
    seen = watched(running, server, users, hold_s)
    said, _ = running.communicate()
    name = f"| {peer.name} | {users:,} |"
    if seen is None:
        return f"{name} ended with {running.returncode} |||||||||"
    if export.exists():
        failed = int(json.loads(export.read_text())["metrics"]["http_req_failed"]["passes"])
    else:
        failed = failures_of_locust(said)
    return f"{name} {seen.cells()} | | {failed:,} | | exit {running.returncode} | |"


def failures_of_locust(said: str) -> int:
    """Return the failures that Locust's master counted. All processes print JSON; the master's numbers are highest."""
    counted, at, decoder = [0], said.find("["), json.JSONDecoder()
    while at >= 0:
        entries, at = decoder.raw_decode(said, at)
        counted.append(sum(entry["num_failures"] for entry in entries))
        at = said.find("[", at)
    return max(counted)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", default="1000,3000,10000")
    parser.add_argument("--hold", type=int, default=30, help="seconds after the last user started")
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.users.split(",")]
    how = (
        f"`python -m benchmarks.users --hold {arguments.hold}`: each user sends a request per second, {SPAWN_PER_S:,} "
    )
    how += (
        f"start per second, then {arguments.hold} s follow; generator and nginx share the cores. *Sent ÷ planned*, the "
    )
    how += (
        "worst second, CPU and memory count from 2 s after the last start. Nginx also counts the check before the load."
    )
    head = "| generator | users | sent ÷ planned | worst second | cores | MB | rows, nginx's count | failed "
    head += "| the generator's own | outcome | worst lag, ms |"
    lines = ["## Many users", "", how, "", head, f"|{'---|' * 11}"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nginx").mkdir()
        with nginx(folder / "nginx") as server:

            def add(line: str) -> None:
                print(line, file=sys.stderr)
                lines.append(line)

            for users in counts:
                add(measure(Variant("127.0.0.1", users), server, folder / "runs", arguments.hold))
                for peer in PEERS_OF_OURS:
                    if shutil.which(peer.words[0]):
                        add(measure_peer(peer, users, server, folder / "export.json", arguments.hold))
            for variant in variants(counts, folder):
                add(measure(variant, server, folder / "runs", arguments.hold))
    load = f"Load average {os.getloadavg()[0]:.1f} (ours included)."
    keep("users", "\n".join([*lines, "", f"{load} {where('locust', 'gevent')}"]))


if __name__ == "__main__":
    main()
