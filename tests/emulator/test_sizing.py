"""`--cpu auto` measures the scenario's own first requests, and says if Cloud Run would not accept the result."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.core.errors import EmulatorError
from loadtest.emulator.instance import INSTANCE_ADDRESS
from loadtest.emulator.model import RevisionTemplate
from loadtest.emulator.sizing import Sample, Size, choose_cpu, find_sample
from loadtest.fleet.scenario import Request, first_requests
from loadtest.platforms.emulator import too_much
from tests.conftest import counting_server

TEMPLATE = RevisionTemplate(cpu=None)


def told_by(answer: dict[str, object], *, used_s: float = 0.0) -> Size:
    """Return the chosen size for a report of the scenario's process and the CPU time of its requests."""
    says = f"import sys; print('warm', flush=True); sys.stdin.readline(); print({json.dumps(answer)!r})"
    readings = iter([10.0, 10.0 + used_s])
    command = (sys.executable, "-c", says)
    return asyncio.run(choose_cpu(9, lambda: next(readings), command, template=TEMPLATE))


def sent(requests: int, *, failed: int = 0, why: str = "") -> dict[str, object]:
    return {"requests": requests, "failed": failed, "why": why, "names": ["POST /predict"], "per_user_s": 2.0}


def test_the_size_follows_the_cost_of_the_scenarios_own_requests() -> None:
    """200 requests that use 1.6 s of CPU in total cost 8 ms each.

    30 per second need 0.24 vCPU, which is 60 % of 0.4.
    """
    size = told_by(sent(200), used_s=1.6)
    assert (size.cpu, size.cost_s, size.per_user_s) == (0.4, pytest.approx(0.008), 2.0)
    assert "the scenario's first requests (POST /predict) cost 8.00 ms of CPU each (mean of 200)" in size.why


def test_a_size_that_cloud_run_does_not_offer_is_reported_as_such() -> None:
    assert "Cloud Run does not offer this CPU limit (0.4 vCPU at concurrency 80" in told_by(sent(200), used_s=1.6).why
    assert "Cloud Run does not offer" not in told_by(sent(200), used_s=4.0).why, "1 vCPU is one"


def test_failing_requests_cannot_be_measured_and_their_answer_is_shown() -> None:
    with pytest.raises(EmulatorError, match=r"POST /predict: HTTP 422: \{\}"):
        told_by(sent(200, failed=200, why="POST /predict: HTTP 422: {}"))


@pytest.mark.parametrize("document", [b"[]", b"{", b"[" * 100_000, b'{"paths": {"/p": []}}', b'{"paths": 5}'])
def test_a_service_whose_document_is_of_another_kind_is_asked_for_its_root(document: bytes) -> None:
    """The service's `/openapi.json` may be anything."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + document)
        writer.close()

    async def found() -> Sample:
        async with await asyncio.start_server(answer, INSTANCE_ADDRESS, 0) as server:
            return await find_sample(server.sockets[0].getsockname()[1])

    assert asyncio.run(found()) == Sample("GET", "/")


def test_a_few_failures_among_the_requests_do_not_keep_them_from_being_measured() -> None:
    assert told_by(sent(200, failed=20, why="POST /predict: HTTP 503"), used_s=1.6).cpu == 0.4


def test_a_plan_that_needs_more_cpu_than_the_machine_has_is_warned_of() -> None:
    """300 requests/s at 7.9 ms each need 2.37 cores."""
    assert too_much(300, 0.0079, cores=4) == ""
    warning = too_much(300, 0.0079, cores=2)
    assert "2.4 cores for the service alone, and this machine has 2" in warning
    assert "at most 127 requests/s" in warning, "half of 2 cores, with requests of 7.9 ms each"


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "two.py"
    path.write_text(
        "from locust import FastHttpUser, HttpUser, constant, task\n"
        "print('a line of its own')\n"
        "class Often(FastHttpUser):\n"
        "    weight = 3\n"
        "    wait_time = constant(2)\n"
        "    @task\n"
        "    def predict(self): self.client.post('/predict', json={})\n"
        "class Seldom(HttpUser):\n"
        "    wait_time = constant(2)\n"
        "    @task\n"
        "    def twice(self):\n"
        "        self.client.post('/a', json={})\n"
        "        self.client.post('/b', json={})\n"
    )
    return path


def test_the_first_requests_are_those_of_the_scenarios_users_by_their_weights(scenario: Path) -> None:
    """Three of four tasks belong to the class with weight 3.

    The answers are on separate lines, whatever the scenario prints.
    """
    with counting_server(delay_ms=[0]) as server:
        command = (*first_requests(scenario, Request(), seed=1), server.url)
        done = subprocess.run(command, input="go\n", stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    warm, answer = done.stdout.splitlines()
    assert warm == "warm"
    told = json.loads(answer)
    assert told["failed"] == 0
    assert told["names"][0] == "POST /predict"
    assert sorted(told["names"][1:]) == ["POST /a", "POST /b"]
    assert 200 <= told["requests"] <= 206, "each class sends its share of the requests, and finishes its current task"
    per_task = told["requests"] / told["tasks"]
    assert told["per_user_s"] == pytest.approx(0.5 * per_task), "a task every 2 s"
