"""With several workers, each row of `order="once"` reaches the server once. A killed worker's rows are reported."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT, started

pytestmark = pytest.mark.slow

ROWS = 100_000
SCENARIO = """
from locust import task
from loadtest import FastUser, rows

data = rows("ids.parquet", order="once")


class Caller(FastUser):
    @task
    def send(self):
        self.client.post("/x", json=next(data))
"""


def seen(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/seen", timeout=10) as answer:
        found: dict[str, int] = json.load(answer)
        return found


@pytest.mark.parametrize("killed", [False, True], ids=["all live", "one is killed"])
def test_each_row_reaches_the_server_at_most_once(tmp_path: Path, killed: bool) -> None:
    """Each of 100,000 rows over 3 workers reaches the server once.

    If a worker is killed, each row reaches the server at most once, and the missing rows are within the bound of
    run.json.
    """
    pq.write_table(pa.table({"id": list(range(ROWS))}), tmp_path / "ids.parquet")
    (tmp_path / "scenario.py").write_text(SCENARIO)
    words = [sys.executable, str(ROOT / "tests" / "users" / "id_server.py")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            code = run_over_three_workers(tmp_path, port, killed=killed)
            counted = seen(port)
        finally:
            server.kill()
    (record,) = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/run.json")]
    (file,) = record["data_files"]
    assert counted["most"] == 1
    if not killed:
        assert (code, counted["distinct"], file["rows_not_sent_at_most"]) == (0, ROWS, 0)
        assert record["outcome"] == "complete"
    else:
        assert code == 3
        assert ROWS - counted["distinct"] <= file["rows_not_sent_at_most"]


def run_over_three_workers(folder: Path, port: int, *, killed: bool) -> int:
    """Run the scenario to its end and return the exit code. If requested, kill a worker after a tenth of the rows."""
    plan = ["--users", "30", "--spawn-rate", "30", "--duration", "5m", "--workers", "3"]
    where = ["--target", f"http://127.0.0.1:{port}", "--runs", str(folder / "runs")]
    with started("run", "-s", str(folder / "scenario.py"), *where, *plan) as run:
        deadline = time.monotonic() + 90
        while killed and seen(port)["total"] < ROWS // 10 and time.monotonic() < deadline:
            time.sleep(0.1)
        if killed:
            children = psutil.Process(run.pid).children(recursive=True)
            next(each for each in children if "--worker" in " ".join(each.cmdline())).send_signal(signal.SIGKILL)
        run.communicate(timeout=240)
    return run.returncode
