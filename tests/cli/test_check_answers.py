"""`lt run --check-answers` detects a service that answers differently under load, and does not blame a correct one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[2]

SCENARIO = """
import itertools
from locust import FastHttpUser, HttpUser, constant, task
from loadtest import FastUser

numbers = itertools.count()

class Fast(FastUser):
    wait_time = constant(0.02)

    @task
    def predict(self):
        with self.client.post("/fast", json={"a": next(numbers) % 40}, catch_response=True) as answer:
            answer.success()

class Stock(FastHttpUser):
    wait_time = constant(0.02)

    @task
    def predict(self):
        self.client.post("/stock", json={"a": next(numbers) % 40})

class Plain(HttpUser):
    wait_time = constant(0.02)

    @task
    def predict(self):
        self.client.post("/plain", json={"a": next(numbers) % 40})
"""

STAMPED = """
from loadtest import AnswerCheck, FastUser

class Stamped(FastUser):
    check_answers = True

    def wait_time(self):
        return 0.05

    from locust import task

    @task
    def predict(self):
        self.client.post("/stamped", json={"a": 1})
"""


@contextmanager
def racy(every: int) -> Iterator[str]:
    """Run the service of `benchmarks/racy_service.py`.

    The service mixes up every `every`th answer if two requests overlap.
    """
    command = [sys.executable, "-m", "benchmarks.racy_service", "0", str(every)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


def run(folder: Path, scenario: str, url: str, *options: str) -> tuple[int, str, dict[str, Any]]:
    """Run the scenario; return the exit code, the output, and the run's summary (empty if there is none)."""
    (folder / "scenario.py").write_text(scenario)
    command = [sys.executable, "lt.py", "run", "-s", str(folder / "scenario.py"), "-t", url, "--runs", str(folder)]
    done = subprocess.run(
        [*command, "--users", "12", "--spawn-rate", "12", "--duration", "5s", "--workers", "2", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    found = sorted(folder.glob("*/summary.json"), key=lambda path: path.stat().st_mtime)
    summary = json.loads(found[-1].read_text())["runs"][0] if found else {}
    return done.returncode, done.stdout + done.stderr, summary


def mixed_up(url: str) -> int:
    with urlopen(f"{url}/mixed_up", timeout=10) as answer:
        return int(answer.read())


def test_answers_of_every_client_are_compared_and_each_mixed_up_one_is_found(tmp_path: Path) -> None:
    """For all three clients of two workers, all answers that the service mixed up are reported as wrong, and no others.

    The exit code is 1.
    """
    with racy(25) as url:
        code, said, summary = run(tmp_path, SCENARIO, url, "--check-answers", "--slo", "error_rate < 100%")
        mixed = mixed_up(url)
    assert (code, summary["outcome"]) == (1, "complete"), said
    assert mixed > 0
    assert summary["answers"]["wrong"] == summary["totals"]["failures"]["wrong_answer"] == mixed
    assert summary["answers"]["compared"] == summary["totals"]["requests"]
    assert {(item["name"], item["references"]) for item in summary["answers"]["endpoints"]} == {
        ("/fast", 40),
        ("/stock", 40),
        ("/plain", 40),
    }
    assert sum(item["wrong"] for item in summary["answers"]["endpoints"]) == mixed
    example = summary["answers"]["examples"][0]
    assert re.fullmatch(r'\{"a": ?\d+\}', example["request"])
    assert example["expected"] != example["got"]
    assert "The model answered differently under load" in said
    assert "wrong_answers = 0 (implied): ✗" in said
    assert "The model answered differently under load" in next(tmp_path.glob("*/report.html")).read_text()


@pytest.mark.slow
def test_answers_that_differ_by_themselves_are_reported_before_the_load(tmp_path: Path) -> None:
    """No load is sent, and the sentence names the field and the option. With this option, the run holds its objectives.

    The user class requests the check.
    """
    with racy(10**9) as url:
        code, said, summary = run(tmp_path, STAMPED, url)
        assert (code, summary) == (4, {}), said
        assert "POST /stamped: not compared: 1 of 1 answers differ even without load, in time" in said
        assert "--ignore-field time" in said
        code, said, summary = run(tmp_path, STAMPED, url, "--ignore-field", "time")
    assert code == 0, said
    assert summary["answers"]["compared"] == summary["totals"]["requests"] > 0
    assert summary["answers"]["wrong"] == 0


@pytest.mark.slow
def test_a_load_that_sends_other_payloads_is_undecided(tmp_path: Path) -> None:
    """No answer was compared, so the objective is not held: the exit code is 3, and the sentence says what to do."""
    scenario = SCENARIO.replace("next(numbers) % 40", "__import__('random').random()")
    with racy(10**9) as url:
        begin_s = time.monotonic()
        code, said, summary = run(tmp_path, scenario, url, "--check-answers")
    assert code == 3, said
    assert summary["answers"]["compared"] == 0
    assert "No answer was compared" in said
    assert time.monotonic() - begin_s < 120
