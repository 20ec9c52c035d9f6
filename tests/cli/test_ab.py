"""`lt ab`: one run against two targets, from its options to its exit code."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from loadtest.cli.app import run_verb
from loadtest.core.exit_codes import ExitCode
from loadtest.recording.catalogue import find_run
from reports.model import Report

SERVER = Path(__file__).with_name("keeping_server.py")

SCENARIO = """
import random

from locust import FastHttpUser, HttpUser, constant, task

from loadtest.users.fast_user import FastUser
from loadtest.users.open_loop import OpenLoopUser


class Ours(OpenLoopUser, FastUser):
    arrivals_per_s = 4
    weight = 4

    @task
    def one(self):
        self.client.post("/one", json={"number": random.random()})

    @task
    def other(self):
        self.client.post("/other", json={"number": -random.random()})


class Stock(HttpUser):
    wait_time = constant(0.2)

    @task
    def stock(self):
        self.client.post("/stock", json={"number": 1 + random.random()})


class StockFast(FastHttpUser):
    wait_time = constant(0.2)

    @task
    def stock(self):
        self.client.post("/fast", json={"number": 3 + random.random()})
"""


def command(kept: Path, delay_ms: int) -> str:
    return f"{sys.executable} {SERVER} {kept} {delay_ms}"


def test_two_commands_share_one_run_and_the_slower_one_is_called(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """B answers after 60 ms, A after 20 ms: rows name their side, twins send the same requests, the exit code is 1."""
    (tmp_path / "scenario.py").write_text(SCENARIO, encoding="utf-8")
    kept = [tmp_path / "a.txt", tmp_path / "b.txt"]
    code = run_verb(
        [
            *("ab", "--command", command(kept[0], 20), "--command", command(kept[1], 60)),
            *("--scenario", str(tmp_path / "scenario.py"), "--users", "12", "--spawn-rate", "12", "--duration", "32s"),
            *("--workers", "1", "--margin", "p50=5%", "--runs", str(tmp_path / "runs")),
        ]
    )
    said = capfd.readouterr()
    assert code == ExitCode.MISSED, said.err + said.out
    folder = find_run(tmp_path / "runs", "latest")
    run = folder.read_run()
    assert [side.name[0] for side in run.sides] == ["A", "B"]
    rows = folder.read_rows(["name", "side", "latency_us"])
    assert set(rows["side"]) == {"a", "b"}, "every row has a side"
    for name, of_name in rows.groupby("name", observed=True):
        counts = of_name["side"].astype(str).value_counts()
        assert set(counts.index) == {"a", "b"}, name
        median_ms = of_name.groupby("side", observed=True)["latency_us"].median() / 1000
        assert median_ms["a"] >= 20, name
        assert median_ms["b"] >= 60, name
    sent = [Counter(json.loads(line)["number"] for line in file.read_text().splitlines()) for file in kept]
    arrivals = [{number for number in side if number < 1} for side in sent]
    assert len(arrivals[0] & arrivals[1]) >= 0.9 * max(map(len, arrivals)), "arrivals of a block have the same payload"
    assert len(arrivals[0]) > 150, "8 users with 4 arrivals/s each, half of them on each side, for half a minute"
    report = Report.model_validate_json(folder.summary.read_text())
    assert len(report.runs) == 2
    (comparison,) = report.comparisons
    lines = {(line.scope, line.statistic): line for line in comparison.lines}
    p50 = lines["steady", "p50"]
    assert p50.verdict == "slower"
    assert p50.low_ratio is not None
    assert p50.low_ratio > 0.5
    assert lines["POST /one", "mean"].verdict == "slower"
    assert lines["steady", "error rate"].difference_ratio == 0
    assert (report.regressions[0].verdict, report.regressions[0].statistic) == ("missed", "p50")
    assert report.baseline == [report.runs[0].name], "A is only the baseline of B"
    assert "throughput" in said.out
    assert "pp" in said.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Give two targets"),
        (["http://127.0.0.1:1"], "Give two targets"),
        (["--command", "true"], "give the option twice"),
        (["--service", "one"], "give the option twice"),
        (["local", "local", "--region", "europe-west2"], "only with --service"),
        (["local", "local", "local"], "a third target"),
        (["nosuch", "local"], "`A nosuch`"),
        (["local", "ftp://127.0.0.1"], "http:// or https://"),
        (["local", "local", "--max-duration", "2m"], "only with --until-decided"),
        (["local", "local", "--until-decided", "--duration", "2m"], "use --max-duration with --until-decided"),
        (["local", "local", "--margin", "p95"], "p95=5%"),
        (["local", "local", "--until-decided", "--margin", "p95(POST /x)=5%"], "all requests together"),
        (["local", "local", "--users", "1"], "at least 2"),
        (["127.0.0.1:9", "127.0.0.1:9"], "Both sides are http://127.0.0.1:9: "),
        (["127.0.0.1:9", "localhost:9"], "Both sides are one service (http://127.0.0.1:9 and http://localhost:9): "),
    ],
)
def test_options_that_cannot_be_run_are_reported_with_a_sentence(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_verb(["ab", *words, "--scenario", "steady", "--runs", str(tmp_path)])
    assert code in (ExitCode.USAGE, ExitCode.UNUSABLE)
    text = " ".join(capsys.readouterr().err.split())
    assert said in text
    assert "Traceback" not in text
    assert not list(tmp_path.iterdir()), "nothing was recorded"


def test_an_invalid_command_or_one_that_ends_at_once_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for bad, said in (("/nosuch/program", "cannot be started"), (f"{sys.executable} -c raise", "ended with status 1")):
        code = run_verb(["ab", "--command", bad, "--command", bad, "--scenario", "steady", "--runs", str(tmp_path)])
        assert code in (ExitCode.USAGE, ExitCode.UNUSABLE)
        assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_run_that_may_end_when_it_is_decided_does_and_is_complete(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """B takes 60 ms and A takes 20 ms.

    The run is decided long before its 10 min are over, and the record and the verdict say so.
    """
    (tmp_path / "scenario.py").write_text(SCENARIO, encoding="utf-8")
    kept = [tmp_path / "a.txt", tmp_path / "b.txt"]
    code = run_verb(
        [
            *("ab", "--command", command(kept[0], 20), "--command", command(kept[1], 60), "--user-class", "Ours"),
            *("--scenario", str(tmp_path / "scenario.py"), "--users", "10", "--spawn-rate", "10", "--workers", "1"),
            *("--until-decided", "--max-duration", "10m", "--margin", "p50=5%", "--runs", str(tmp_path / "runs")),
        ]
    )
    said = capfd.readouterr()
    assert code == ExitCode.MISSED, said.err + said.out
    folder = find_run(tmp_path / "runs", "latest")
    run = folder.read_run()
    assert (run.outcome.value, run.reasons) == ("complete", [])
    (decision,) = run.decisions
    assert decision.slower
    assert 60 <= decision.to_s - decision.from_s <= 200
    assert decision.low_ratio > 0.5
    report = Report.model_validate_json(folder.summary.read_text())
    assert "which ended the run" in report.regressions[0].why
