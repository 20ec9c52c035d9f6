"""Measure whether a plan of many users is held: `python -m benchmarks.users [--users 1000,3000,10000] [--hold 30]`.

Each user asks nginx on loopback once a second; 1,000 users are added a second; two workers; nginx counts. Said of each
run: how far the sent requests were from the plan in the seconds after the last user came, rows against nginx's count,
failures that count against the service and those that are the generator's own, the outcome, and the worst lag of the
workers. Beside 127.0.0.1: a name with two addresses of which one refuses connections (in a mount namespace with
an /etc/hosts of its own, needs root), and a limit of 1,024 open files.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import loadtest
from benchmarks.machine import keep, where
from benchmarks.peers.server import Server, nginx

ROOT = Path(__file__).parents[1]
SCENARIO = Path(__file__).with_name("peers") / "many_users.py"
SPAWN_PER_S = 1_000
NAME = "two-addresses.test"
HOSTS = f"127.0.0.1 localhost\n127.0.0.9 {NAME}\n127.0.0.1 {NAME}\n"
FILES = 1_024


@dataclass(frozen=True)
class Variant:
    """One run.

    Attributes:
        host: as the target names it; None: nginx's own address.
        wrap: words before the command.
    """

    name: str
    users: int
    host: str | None = None
    wrap: tuple[str, ...] = ()


def variants(counts: list[int], folder: Path) -> list[Variant]:
    """Return the runs, in order."""
    hosts = folder / "hosts"
    hosts.write_text(HOSTS)
    most = max(counts)
    with_hosts = ("unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh")
    few_files = ("sh", "-c", f'ulimit -n {FILES} && exec "$@"', "sh")
    found = [Variant("127.0.0.1", users) for users in counts]
    if os.geteuid() == 0:
        found.append(Variant("a name, one of two addresses dead", most, NAME, with_hosts))
    return [*found, Variant(f"`ulimit -n {FILES}`", most, None, few_files)]


def measure(variant: Variant, server: Server, runs: Path, hold_s: int) -> str:
    """Run it and return its line of the table."""
    port = urlsplit(server.plain).port
    target = f"http://{variant.host or '127.0.0.1'}:{port}"
    length_s = variant.users // SPAWN_PER_S + hold_s
    command = [sys.executable, str(ROOT / "lt.py"), "run", "-s", str(SCENARIO), "-t", target, "--yes"]
    command += ["--users", str(variant.users), "--spawn-rate", str(SPAWN_PER_S), "--duration", f"{length_s}s"]
    command += ["--workers", "2", "--runs", str(runs)]
    before, known = server.count(), set(runs.glob("*"))
    done = subprocess.run([*variant.wrap, *command], capture_output=True, text=True, check=False)
    new = set(runs.glob("*")) - known
    if not new:
        said = (done.stdout + done.stderr).strip().splitlines()
        return f"| {variant.name} | {variant.users:,} | refused, exit {done.returncode}: {' '.join(said)} |||||||"
    run = loadtest.open_run(new.pop())
    rows = run.rows
    begun_s = rows.start.min()
    full = rows[(rows.start >= begun_s + seconds(variant.users // SPAWN_PER_S + 2))]
    held = full.groupby(full.start.dt.floor("1s")).size().iloc[1:-1]
    off = (held / variant.users - 1).abs()
    generator = int((rows.outcome == "generator").sum())
    failed = int((rows.outcome != "ok").sum()) - generator
    lag_ms = run.load.loop_lag_ms.max()
    return (
        f"| {variant.name} | {variant.users:,} | {held.mean() / variant.users:.3f} | {off.max():.1%} "
        f"| {len(rows):,}, {server.count() - before:,} | {failed:,} | {generator:,} "
        f"| {run.record.outcome}, exit {done.returncode} | {lag_ms:.0f} |"
    )


def seconds(count: float) -> object:
    """Return a length of time that pandas adds to its times."""
    import pandas as pd

    return pd.Timedelta(seconds=count)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", default="1000,3000,10000")
    parser.add_argument("--hold", type=int, default=30, help="seconds after the last user came")
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.users.split(",")]
    how = f"`python -m benchmarks.users`: each asks once a second, {SPAWN_PER_S:,} more a second, then "
    how += (
        f"{arguments.hold} s; two workers and nginx on the same cores. nginx counts the question before the load too."
    )
    head = "| target | users | sent of planned | worst second | rows, nginx's count | failed | the generator's own "
    head += "| outcome | worst lag, ms |"
    lines = ["## Many users", "", how, "", head, "|---|---|---|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nginx").mkdir()
        with nginx(folder / "nginx") as server:
            lines += [measure(each, server, folder / "runs", arguments.hold) for each in variants(counts, folder)]
    load = f"Load average {os.getloadavg()[0]:.1f}."
    keep("users", "\n".join([*lines, "", f"{load} {where('locust', 'gevent')}"]))


if __name__ == "__main__":
    main()
