"""The cost of a run is estimated before the run, watched during the run, and never assumed to be zero."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loadtest.cli.console import TerminalConsole
from loadtest.core.errors import UsageError
from loadtest.core.prices import TIER_1
from loadtest.fleet.progress import ProgressSnapshot, Recent
from loadtest.fleet.scenario import Scenario
from loadtest.platforms.cloudrun.platform import CloudRunCosts
from loadtest.recording.run import Limits, TargetRecord
from loadtest.runs.budget import PROJECT_EVERY_S, Budget, CostGuard, budget_of, confirm_leaving
from tests.reports.folders import write_rows

PUBLIC = TargetRecord(
    kind="cloud",
    url="https://ml-1.us-central1.run.app",
    service="ml",
    project="demo",
    region="us-central1",
    limits=Limits(cpu=1, memory_mib=512, concurrency=80, max_instances=20),
)
LOCAL = PUBLIC.model_copy(update={"url": "http://127.0.0.1:8080"})


def scenario(**changes: object) -> Scenario:
    """300 users at 1 request/s for 100 s."""
    plain: dict[str, object] = {
        "name": "flat",
        "path": Path("flat.py"),
        "sha256": "",
        "description": "",
        "user_classes": ("User",),
        "host": None,
        "open_loop": False,
        "shape": "Hold",
        "points": ((0.0, 300.0), (100.0, 300.0)),
        "users": 300,
        "spawn_rate": 300.0,
        "duration_s": 100.0,
        "requests_per_user_s": 1.0,
        "objectives": (),
        "limits": {},
    }
    return Scenario.model_validate(plain | changes)


def budget(plan: Scenario, runs: Path, *, target: TargetRecord = PUBLIC, max_usd: float | None = None) -> Budget:
    return budget_of(plan, target, CloudRunCosts(target, TIER_1), max_usd=max_usd, runs=runs)


def at(requests: int, elapsed_s: float) -> ProgressSnapshot:
    return ProgressSnapshot(
        requests=requests,
        failed=0,
        requests_per_s=0.0,
        p50_ms=None,
        p95_ms=None,
        users=None,
        workers=1,
        elapsed_s=elapsed_s,
        saturated=(),
    )


def test_a_run_that_is_estimated_above_the_limit_is_refused_even_with_yes(tmp_path: Path) -> None:
    plan = scenario()  # $0.04533, worked out in tests/platforms/cloudrun/test_cost.py
    with pytest.raises(UsageError, match=r"`--max-cost 0\.045`: the run is estimated at \$0\.05"):
        confirm_leaving(PUBLIC, plan, yes=True, console=TerminalConsole(), budget=budget(plan, tmp_path, max_usd=0.045))
    confirm_leaving(PUBLIC, plan, yes=True, console=TerminalConsole(), budget=budget(plan, tmp_path, max_usd=0.046))


def test_a_rehearsal_on_this_machine_is_priced_and_not_asked_about(tmp_path: Path) -> None:
    plan = scenario()
    confirm_leaving(LOCAL, plan, yes=False, console=TerminalConsole(), budget=budget(plan, tmp_path, target=LOCAL))
    with pytest.raises(UsageError, match="--max-cost"):
        confirm_leaving(
            LOCAL, plan, yes=False, console=TerminalConsole(), budget=budget(plan, tmp_path, target=LOCAL, max_usd=0.01)
        )


def test_without_anybody_to_ask_nothing_leaves_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = scenario()
    with pytest.raises(UsageError, match=r"about 30,000 requests for about \$0\.05 would be sent there\. Add --yes"):
        confirm_leaving(PUBLIC, plan, yes=False, console=TerminalConsole(), budget=budget(plan, tmp_path))
    assert "24 ms of CPU per request (assumed)" in capsys.readouterr().err


def test_a_cloud_run_service_named_by_its_url_gets_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    by_url = TargetRecord(kind="url", url=PUBLIC.url)
    confirm_leaving(by_url, scenario(), yes=True, console=TerminalConsole())
    said = " ".join(capsys.readouterr().err.split())
    assert f"`--target cloud --service {PUBLIC.url}` records them" in said
    assert f"sending about 30,000 requests to {PUBLIC.url}" in said


def took(latency_s: float, *, server_s: float | None = None, count: int = 10) -> tuple[Recent, ...]:
    latency_us = np.full(count, round(latency_s * 1e6), np.int64)
    server_us = np.full(count, -1 if server_s is None else round(server_s * 1e6), np.int64)
    return (Recent(0.0, latency_us, np.zeros(count, np.uint8), latency_us, server_us, np.zeros(count, np.uint8)),)


def test_a_run_is_ended_once_its_projection_passes_the_limit(tmp_path: Path) -> None:
    guard = CostGuard(budget(scenario(), tmp_path, max_usd=0.05))
    assert guard(at(9_000, PROJECT_EVERY_S - 0.1), took(0.05)) is None, "too soon to say anything"
    assert guard(at(3_000, 10.0), took(0.05)) is None, "as planned"
    assert guard(at(12_000, 12.0), took(0.05)) is None, "looked at every 5 s only"
    # Twice the planned requests were sent in 20 s. 24 instances are needed and 20 are allowed, so the projection
    # is 20 × 110 s and 60,000 requests.
    usd = 20 * 110 * 0.00002525 + 60_000 * 0.40 / 1e6
    assert guard(at(12_000, 20.0), took(0.05)) == f"`--max-cost 0.05`: the run is now projected at ${usd:.2f}"


def test_a_service_that_is_slower_than_thought_is_not_projected_to_cost_less(tmp_path: Path) -> None:
    """An instance serves one request at a time, and each takes 2 s.

    300 users send 45 requests per second, which need 150 instances, not 12.
    """
    narrow = PUBLIC.model_copy(update={"limits": Limits(cpu=1, memory_mib=512, concurrency=1, max_instances=100)})
    guard = CostGuard(budget(scenario(), tmp_path, target=narrow, max_usd=0.10))
    # 100 instances for 110 s and 4,500 requests cost $0.2796; with the planned 24 ms it would be 2 instances and $0.005
    assert guard(at(450, 10.0), took(2.0)) == "`--max-cost 0.1`: the run is now projected at $0.28"


def test_the_servers_own_time_replaces_the_assumed_one(tmp_path: Path) -> None:
    guard = CostGuard(budget(scenario(), tmp_path, max_usd=0.02))
    # 0.3 ms of server time: 1 instance, 110 s, and 30,000 requests cost $0.0148; with 24 ms it would be $0.0453
    assert guard(at(3_000, 10.0), took(0.05, server_s=0.0003)) is None
    assert guard(at(6_000, 20.0), took(0.05, server_s=0.1, count=1_000)) is not None


def test_a_load_with_an_unknown_plan_is_not_free_and_is_stopped_by_its_cost_so_far(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = scenario(shape="TheirOwn", points=(), duration_s=None, requests_per_user_s=None)
    found = budget(plan, tmp_path, max_usd=0.01)
    confirm_leaving(PUBLIC, plan, yes=True, console=TerminalConsole(), budget=found)
    said = capsys.readouterr().err
    assert "the cost cannot be estimated" in said
    assert "for an unknown price" in said
    guard = CostGuard(found)
    assert guard(at(600, 2.0), ()) is None
    assert guard(at(0, 6.0), ()) is None
    # 300 requests/s for 100 s are the 30,000 requests of the worked example
    assert guard(at(30_000, 100.0), ()) == "`--max-cost 0.01`: the run has cost about $0.05"


def test_the_service_time_is_the_one_measured_on_the_newest_run_of_that_service(tmp_path: Path) -> None:
    assert budget(scenario(), tmp_path).load.service_s is None
    times = {"server_us": [10_000, 14_000]}
    write_rows(tmp_path / "a", latency_us=[20_000] * 2, record={"target": PUBLIC}, **times).path.rename(tmp_path / "1")
    other = PUBLIC.model_copy(update={"service": "another"})
    write_rows(tmp_path / "b", latency_us=[9_000] * 2, record={"target": other}, **times).path.rename(tmp_path / "2")
    load = budget(scenario(), tmp_path).load
    assert load.service_s == pytest.approx(0.012)  # the mean of 10 and 14 ms
    assert load.service_from == "measured: the mean server time of run"
    # at half of the assumed 24 ms, 6 of the 12 instances are enough
    assert budget(scenario(), tmp_path).costs.estimate(load).most_instances == 6
    silent = PUBLIC.model_copy()
    write_rows(tmp_path / "c", latency_us=[9_000], record={"target": silent}).path.rename(tmp_path / "3")
    assert budget(scenario(), tmp_path).load.service_s is None, "the newest run's service reports no server time"
