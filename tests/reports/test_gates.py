"""For each gate one run passes, one fails and one is undecided: exit codes 0, 1 and 3."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from loadtest.cli.report import exit_code, with_default_margin
from loadtest.core.errors import UsageError
from loadtest.core.margins import parse_margin
from loadtest.recording.folder import RunFolder
from loadtest.recording.rows import METRICS_SCHEMA
from loadtest.recording.run import AnswerCheckRecord, CheckedEndpointRecord, Limits, TargetRecord
from reports.model import Regression, Report
from reports.render.github import MAX_ANNOTATIONS, annotation_lines, quoted, render_github
from reports.render.html import render_html
from reports.render.junit import render_junit
from reports.render.markdown import MAX_BYTES, render_markdown
from reports.render.text import render_text
from reports.summary.build import build_report
from tests.conftest import lt
from tests.reports import sample
from tests.reports.folders import T0_NS, plan, write_rows
from tests.simulator import Story, simulate

REQUESTS = 600
CLOUD = TargetRecord(
    kind="cloud", url="https://ml.run.app", service="ml", region="us-central1", limits=Limits(cpu=1, memory_mib=512)
)
BARE = "a run without data about its platform"


def recorded(path: Path, objective: str, *, bare: bool) -> RunFolder:
    """Write a run: one minute at 10 requests/s of 100 ms, answered by three instances.

    One request in fifty of GET /items/{id} failed. One instance became ready during the load, and the containers' CPU
    was at 60 %. If the objective is on answers, 300 answers were compared and one was wrong.
    """
    checks_answers = objective.startswith("wrong_answers") and not bare
    even = [at % 2 == 0 for at in range(REQUESTS)]
    record = {"objectives": [objective, "error_rate < 20%"], "scenario": plan((0, 10), (60, 10))}
    if checks_answers:
        endpoint = CheckedEndpointRecord(method="POST", name="/predict", references=20, checked=300)
        record["answer_check"] = AnswerCheckRecord(endpoints=[endpoint])
    if bare:
        return write_rows(path, latency_us=[100_000] * REQUESTS, name=["/other"] * REQUESTS, record=record)
    folder = write_rows(
        path,
        latency_us=[100_000] * REQUESTS,
        start_s=[at * 0.1 for at in range(REQUESTS)],
        name=["/predict" if difference else "/items/{id}" for difference in even],
        outcome=[
            "http_error" if at % 100 == 1 else "wrong_answer" if checks_answers and at == 200 else "ok"
            for at in range(REQUESTS)
        ],
        instance=[f"i{at % 3 if at > 300 else at % 2}" for at in range(REQUESTS)],
        instance_age_ms=[
            (at - 290) * 100 if at > 300 and at % 3 == 2 else 3_600_000 + at * 100 for at in range(REQUESTS)
        ],
        record={"target": CLOUD, **record},
    )
    point = {
        "metric": "run.googleapis.com/container/cpu/utilizations",
        "kind": "DELTA",
        "unit": "1",
        "labels": "{}",
        "start": T0_NS,
        "end": T0_NS + 60 * 10**9,
        "distribution": json.dumps({"count": 60, "mean": 0.6, "bounds": [0.5, 1.0], "counts": [0, 60, 0]}),
    }
    folder.write_metrics(pa.Table.from_pylist([point], METRICS_SCHEMA))
    return folder


GATES = {
    "endpoint p95": ("p95(POST /predict) < 101ms", "p95(POST /predict) < 99ms"),
    "endpoint error_rate": ("error_rate(POST /items/{id}) < 3%", "error_rate(POST /items/{id}) < 1%"),
    "endpoint and phase": ("error_rate(POST /items/{id}, steady) < 3%", "error_rate(POST /items/{id}, steady) < 1%"),
    "answers": ("wrong_answers <= 1", "wrong_answers = 0"),
    "instances": ("instances < 4", "instances < 3"),
    "cost": ("cost < 1 USD", "cost < 0.0000001 USD"),
    "cold_starts": ("cold_starts <= 1", "cold_starts = 0"),
    "cpu": ("cpu < 80%", "cpu < 50%"),
    "cpu of a phase": ("cpu(steady) < 80%", "cpu(steady) < 50%"),
}


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_passes_fails_and_is_undecided(gate: str, tmp_path: Path) -> None:
    """The same run passes one limit and fails the other. A run without this data is undecided."""
    passing, failing = GATES[gate]
    codes = [
        exit_code(build_report([recorded(tmp_path / name, text, bare=bare).path]))
        for name, text, bare in (("a", passing, False), ("b", failing, False), ("c", passing, True))
    ]
    assert codes == [0, 1, 3]


STORY = Story(seconds=600, users=40, drift=0.10, gauge="none")
STEADY = replace(STORY, drift=0.01)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: `base`, and runs to compare with it."""
    folder = tmp_path_factory.mktemp("runs")
    stories = {
        "base": STEADY,
        "same": STEADY,
        "slow": replace(STEADY, shift=1.5),
        "drifting": replace(STORY, shift=1.05),
        "short": replace(STEADY, seconds=40),
        "shorter": replace(STEADY, seconds=40),
        "busier": replace(STEADY, users=80.0),
    }
    for seed, (name, story) in enumerate(stories.items(), 1):
        simulate(folder / name, story, seed)
    return folder


def gated(runs: Path, *names: str, margin: str = "p95=5%") -> Report:
    return build_report([runs / name for name in names], margins=[parse_margin(margin)])


@pytest.mark.parametrize(
    ("names", "margin", "code"),
    [
        (("base", "same"), "p95=20%", 0),
        (("base", "slow"), "p95=5%", 1),
        (("base", "slow"), "p50=80%", 0),
        (("base", "slow"), "p95(POST /predict)=10%", 1),
        (("base", "slow"), "p95(POST /nowhere)=10%", 3),
        (("slow", "base"), "p95=5%", 0),  # faster is not a regression
        (("base", "drifting"), "p95=5%", 3),
        (("short", "shorter"), "p95=5%", 3),
        (("base", "busier"), "p95=5%", 3),
    ],
)
def test_a_regression_is_held_missed_or_undecided(runs: Path, names: tuple[str, str], margin: str, code: int) -> None:
    """An undecided margin says what would decide it, and every format contains the sentence."""
    made = gated(runs, *names, margin=margin)
    (found,) = made.regressions
    assert exit_code(made) == code
    assert found.verdict == {0: "held", 1: "missed", 3: "undecided"}[code]
    assert bool(found.would_decide) == (code == 3)
    for render in (render_text, render_markdown, render_github, render_junit, render_html):
        said = re.sub(r"[\s\\]+", " ", render(made)).replace("&#34;", '"')
        assert found.why.split(":")[0].split(" (")[0] in said, render.__name__


def test_an_undecided_regression_says_what_would_decide_it(runs: Path) -> None:
    """The advice is to run for longer (with the length), under the same conditions, or for a minimum time."""
    assert re.search(r"Runs with about .+ \(these: 10 min", gated(runs, "base", "drifting").regressions[0].would_decide)
    assert "at least 60 s" in gated(runs, "short", "shorter").regressions[0].would_decide
    busier = gated(runs, "base", "busier").regressions[0]
    assert "peak users 40 against 80" in busier.why
    assert "under the same conditions" in busier.would_decide


def test_a_baselines_missed_objective_does_not_count(tmp_path: Path) -> None:
    """The baseline missed its own objective. The new run is judged by its own objectives, and by the margin."""
    base, new = (simulate(tmp_path / name, STEADY, seed) for seed, name in enumerate(("base", "new")))
    base.write_run(base.read_run().model_copy(update={"objectives": ["p95 < 1ms"]}))
    assert exit_code(build_report([base.path, new.path])) == 1
    made = build_report([base.path, new.path], margins=[parse_margin("p95=50%")])
    assert exit_code(made) == 0
    assert len(ET.fromstring(render_junit(made))) == 2  # the new run's objectives, and the margin


def test_copies_of_a_run_are_two_runs(tmp_path: Path) -> None:
    """Two folders have the same id. A comparison of the two is made, so that a gate on it can be judged."""
    folders = [write_rows(tmp_path / name, latency_us=[100_000] * 600) for name in ("a", "b")]
    made = build_report([folder.path for folder in folders], margins=[parse_margin("p95=5%")])
    assert (len(made.comparisons), len(made.regressions)) == (1, 1)


def test_margins_are_read_strictly() -> None:
    """An invalid margin is refused with the correct form.

    The value of the option may be omitted before the name of a run.
    """
    assert parse_margin("p99(POST /predict) = 7.5 %") == parse_margin("p99(POST /predict) = 7.5 %")
    for text in ("", "p95", "p95=5", "p90=5%", "p95=-5%", "mean=5%", "p95()=5%"):
        with pytest.raises(UsageError, match="--fail-on-regression"):
            parse_margin(text)
    flag = "--fail-on-regression"
    assert with_default_margin(["report", flag, "a", "b"]) == ["report", flag, "p95=5%", "a", "b"]
    assert with_default_margin(["report", "a", "b", flag]) == ["report", "a", "b", flag, "p95=5%"]
    assert with_default_margin([flag, "p50=1%", flag, "--open"]) == [flag, "p50=1%", flag, "p95=5%", "--open"]


def test_the_command_line_compares_with_a_label(runs: Path, tmp_path: Path) -> None:
    """The baseline consists of the runs with the label that have the same commit as the newest of them.

    At least one such run must exist, and it must not be the compared run.
    """
    for name, seed in (("1", 21), ("2", 22), ("3", 23), ("new", 24)):
        label = {"3": "main", "2": "main", "1": "main"}.get(name)
        story = replace(STEADY, shift=1.5 if name == "new" else 1.0)
        folder = simulate(tmp_path / name, story, seed)
        commit = "old" if name == "1" else "aaa"
        folder.write_run(folder.read_run().model_copy(update={"label": label, "git_commit": commit}))
    where = ("--runs", str(tmp_path))
    done = lt("report", "new", "--baseline", "main", "--fail-on-regression", "--format", "json", *where)
    made = Report.model_validate_json(done.out)
    assert (done.code, len(made.runs), made.comparisons[0].a_name, len(made.comparisons[0].a)) == (1, 3, "main", 2)
    assert lt("report", "new", "--baseline", "nobody", *where).err.startswith("No other run in")
    alone = lt("report", "new", "--fail-on-regression", *where)
    assert (alone.code, "--baseline main" in alone.err) == (2, True)


def test_github_gets_annotations_and_a_summary(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """stdout gets annotations, and the step's summary gets the Markdown."""
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    done = lt("report", "base", "slow", "--fail-on-regression", "--format", "github", "--runs", str(runs))
    assert done.code == 1
    assert re.fullmatch(r"::error title=[^:,\n]+::p95=5%25 of [^\n]+\n", done.out)
    text = summary.read_text()
    assert text.startswith("before\n# ")
    assert text.index("Missed") < text.index("## In short")


def test_no_text_of_a_run_becomes_a_command_of_github() -> None:
    """A name with line breaks or `::` stays within one line of a message.

    All other text is between two commands that make GitHub ignore commands in it.
    """
    run = sample.run(scenario="a\n::error::b", reasons=["100%\n::set-env name=x::y"], outcome="degraded")
    lines = annotation_lines(sample.report(run)).splitlines()
    assert all(re.match(r"::(error|warning|notice) title=[^:,]*::", line) for line in lines)
    assert not [line for line in lines if line.startswith("::set-env")]
    first, *_, last = quoted("::error::x\n").splitlines()
    assert first.removeprefix("::stop-commands::") == last.strip(":")


def test_many_reasons_are_cut_where_github_would_drop_them() -> None:
    """GitHub shows ten annotations per level and step, so the last one says how many are left out."""
    made = sample.report(sample.run())
    regression = Regression(
        text="p95=5%", a_name="a", b_name="b", scope="all", statistic="p95", margin_ratio=0.05, difference_ratio=0.5,
        low_ratio=0.4, high_ratio=0.6, verdict="missed", why="slower",
    )  # fmt: skip
    lines = annotation_lines(made.model_copy(update={"regressions": [regression] * 25})).splitlines()
    assert len(lines) == MAX_ANNOTATIONS
    assert re.search(r"\d+ more reasons", lines[-1])


def test_markdown_fits_a_comment() -> None:
    """However many failures a run has, the text is below GitHub's limit, begins with the verdict, and says what it
    omits.
    """
    run = sample.report(sample.run()).runs[0]
    (failure, *_) = run.failures
    many = [failure.model_copy(update={"error": f"{at} {'ü|' * 200}"}) for at in range(2000)]
    made = sample.report(sample.run())
    text = render_markdown(made.model_copy(update={"runs": [run.model_copy(update={"failures": many})]}))
    assert MAX_BYTES * 0.9 < len(text.encode()) <= MAX_BYTES
    assert text.splitlines()[2].startswith("**")
    assert "Left out or cut for length: " in text.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_gates_judge_a_run_on_the_emulator(tmp_path: Path) -> None:
    """A real run: the exit code is 0 with generous limits, 1 with impossible limits, 3 for a phase it does not have."""
    generous = ["p95(POST /predict) < 20s", "error_rate(POST /predict) < 50%", "instances < 21", "cost < 1 USD"]
    slos = [word for text in generous for word in ("--slo", text)]
    words = ("--users", "5", "--duration", "20s", "--workers", "1", "--label", "real", "--runs", str(tmp_path))
    done = lt("run", "--scenario", "steady", "--target", "emulator", "--cpu", "1", *words, *slos, timeout_s=240)
    assert done.code == 0, done.err
    (path,) = (path for path in tmp_path.iterdir() if (path / "run.json").exists())
    folder = RunFolder(path)
    for code, texts in (
        (1, ["p95(POST /predict) < 0.001ms"]),
        (1, ["instances < 1"]),
        (1, ["cost < 0.0000000001 USD"]),
        (3, ["p95(POST /nowhere) < 1s"]),
    ):
        folder.write_run(folder.read_run().model_copy(update={"objectives": texts}))
        assert lt("report", "real", "--format", "junit", "--runs", str(tmp_path)).code == code, texts
