"""Reports from run folders: summary.json, the page of all runs, and the verb with its options and exit codes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from loadtest.cli.report import Format, report
from loadtest.core.errors import RunFolderError, UnknownRunError, UnusableError
from loadtest.recording.choice import newest_pair
from loadtest.recording.folder import RunFolder
from loadtest.recording.run import Outcome
from reports.data.timeline import MAX_POINTS, step_for
from reports.model import Report
from reports.render.files import comparison_name
from reports.render.index import write_index
from reports.render.text import render_text
from reports.summary.build import build_report
from tests.reports.folders import write_rows
from tests.simulator import Event, Kind, Story, simulate


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three short runs: local, then cloud (with a saturation), then local again on a schedule."""
    home = tmp_path_factory.mktemp("recorded")
    load = {"seconds": 90, "users": 30.0, "ramp_s": 20}
    simulate(home / "20260817T101500Z-ramp-local", Story(**load, kind="local", headers=False, gauge="none"), 1)  # type: ignore[arg-type] # fields of Story
    spike = (Event(Kind.SCALE_OUT, 50, 25, factor=5.0),)
    simulate(home / "20260817T102000Z-ramp-cloud", Story(**load, events=spike), 2)  # type: ignore[arg-type] # fields of Story
    simulate(home / "20260817T103000Z-ramp-local", Story(**load, kind="local", open_loop=True), 3)  # type: ignore[arg-type] # fields of Story
    return home


@pytest.fixture
def runs(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "runs"))


def change(folder: Path, **fields: object) -> None:
    run = RunFolder(folder).read_run()
    RunFolder(folder).write_run(run.model_copy(update=fields))


def ask(runs: Path, *names: str, form: Format = Format.TEXT, out: Path | None = None) -> int:
    return report(list(names), runs=runs, format=form, open_it=False, out_file=out)


def test_summary_json_reads_back_as_what_was_rendered(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(runs, "latest", form=Format.HTML) == 0
    folder = runs / "20260817T103000Z-ramp-local"
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    kept = Report.model_validate_json((folder / "summary.json").read_text())
    again = build_report([folder])
    assert kept.model_copy(update={"made_at": again.made_at}) == again


def test_percentiles_are_numpys_on_the_rows(runs: Path) -> None:
    """The report's percentiles equal those that numpy computes from the successful rows of the whole run."""
    folder = runs / "20260817T102000Z-ramp-cloud"
    rows = RunFolder(folder).read_rows(["latency_us", "outcome"])
    told = build_report([folder]).runs[0]
    for quantile in told.latency:
        truth = np.quantile(rows.latency_us[rows.outcome == "ok"], quantile.q_ratio) / 1000
        assert quantile.value_ms == pytest.approx(truth, abs=0.0005)
    assert told.totals.requests == len(rows)
    assert told.totals.ok == int((rows.outcome == "ok").sum())


def test_every_spike_has_the_fields_that_programs_need(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask(runs, "20260817T102000Z", form=Format.JSON)
    spikes = json.loads(capsys.readouterr().out)["runs"][0]["spikes"]
    assert spikes
    asked = {
        "onset_s",
        "end_s",
        "peak_ms",
        "peak_low_ms",
        "peak_high_ms",
        "ratio",
        "requests",
        "extra_waiting_request_s",
        "cause",
        "confidence",
        "evidence",
    }
    assert all(asked <= set(spike) for spike in spikes)


def test_an_open_loop_has_both_latencies_and_a_closed_one_the_one(runs: Path) -> None:
    local, _, scheduled = (build_report([folder]).runs[0] for folder in sorted(runs.iterdir()))
    assert (local.load_model, local.response) == ("closed", None)
    assert scheduled.load_model == "open"
    assert scheduled.response is not None


def test_without_names_the_newest_local_run_meets_the_newest_remote_one_of_its_scenario(runs: Path) -> None:
    chosen, notes = newest_pair(runs)
    assert [folder.path.name for folder in chosen] == ["20260817T103000Z-ramp-local", "20260817T102000Z-ramp-cloud"]
    assert notes == []
    scenario = RunFolder(runs / "20260817T102000Z-ramp-cloud").read_run().scenario
    change(runs / "20260817T102000Z-ramp-cloud", scenario=scenario.model_copy(update={"name": "other"}))
    alone, said = newest_pair(runs)
    assert [folder.path.name for folder in alone] == ["20260817T103000Z-ramp-local"]
    assert "No cloud or emulator run of simulated is recorded" in said[0]
    assert "--target emulator" in said[0]


@pytest.mark.parametrize("kept", ["cloud", "local"])
def test_a_missing_side_is_mentioned_and_the_newest_run_reported_alone(
    runs: Path, kept: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in list(runs.iterdir()):
        if not folder.name.endswith(kept):
            shutil.rmtree(folder)
    assert ask(runs) == 0
    said = capsys.readouterr()
    assert "only the newest run is shown" in said.err
    assert "only the newest run is shown" in " ".join(said.out.split())


def test_no_run_at_all_names_the_command_that_records_one(tmp_path: Path) -> None:
    with pytest.raises(UnknownRunError, match=r"lt\.py run --scenario ramp300"):
        newest_pair(tmp_path)


def test_a_comparison_is_written_beside_the_runs_and_its_path_printed(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(runs, form=Format.HTML) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.parent == runs
    assert path.read_text().startswith("<!doctype html>")
    assert (runs / "index.html").exists()


def test_runs_of_one_side_are_compared_together_and_distinguished_by_their_time(runs: Path) -> None:
    first, cloud, second = sorted(runs.iterdir())
    change(second, start=datetime(2026, 8, 17, 10, 30, tzinfo=UTC))
    made = build_report([first, second, cloud])
    assert [run.name for run in made.runs] == ["local 10:15:00", "local 10:30:00", "cloud"]
    (pair,) = made.comparisons
    assert (pair.a, pair.b) == (["local 10:15:00", "local 10:30:00"], ["cloud"])


def test_two_runs_of_one_target_are_two_sides(runs: Path) -> None:
    first, _, second = sorted(runs.iterdir())
    made = build_report([first, second])
    assert len({run.name for run in made.runs}) == 2
    assert len(made.comparisons) == 1


@pytest.mark.parametrize(
    ("objectives", "outcome", "code"),
    [
        ([], Outcome.COMPLETE, 0),
        (["p95 < 10s"], Outcome.COMPLETE, 0),
        (["p95 < 1ms", "p95 < 10s"], Outcome.COMPLETE, 1),
        (["p95(drain) < 10s for 1h"], Outcome.COMPLETE, 3),
        (["p95 < 10s"], Outcome.DEGRADED, 3),
    ],
)
def test_the_exit_code_is_the_verdict_on_the_objectives(
    runs: Path, objectives: Sequence[str], outcome: Outcome, code: int
) -> None:
    """The exit code is 0 if all objectives held, 1 if one was missed, 3 if there is no data or the run is degraded."""
    change(runs / "20260817T101500Z-ramp-local", objectives=list(objectives), outcome=outcome)
    assert ask(runs, "20260817T101500Z-ramp-local") == code


@pytest.mark.parametrize("form", list(Format))
def test_out_writes_any_format_into_a_file(
    runs: Path, form: Format, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "made"
    assert ask(runs, "latest", form=form, out=target) == 0
    assert target.stat().st_size > 200
    *annotations, path = capsys.readouterr().out.splitlines()
    assert path == str(target)
    assert bool(annotations) == (form is Format.GITHUB)
    assert not (runs / "20260817T103000Z-ramp-local" / "report.html").exists()


def test_an_unwritable_file_is_a_sentence(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match=r"`.*nowhere/made` cannot be written: No such file"):
        ask(runs, "latest", out=tmp_path / "nowhere" / "made")


def test_a_folder_without_rows_is_refused_in_a_sentence(runs: Path) -> None:
    (runs / "20260817T103000Z-ramp-local" / "requests.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(RunFolderError, match="cannot be read"):
        build_report([runs / "20260817T103000Z-ramp-local"])


def test_failures_are_listed_from_the_rows_when_no_list_was_written(runs: Path) -> None:
    """The simulator writes no failures.csv, but every failed row is still in the table."""
    told = build_report([runs / "20260817T102000Z-ramp-cloud"]).runs[0]
    assert sum(failure.count for failure in told.failures) == told.totals.requests - told.totals.ok > 0


def test_a_long_run_is_drawn_in_steps_and_a_short_one_in_seconds() -> None:
    """A run of an hour, including its last answers, is drawn in steps of 1 s.

    A run of ten hours is drawn in steps of 10 s.
    """
    assert [step_for(seconds) for seconds in (1, 120, 3610, MAX_POINTS, MAX_POINTS + 1, 36_000)] == [1, 1, 1, 1, 2, 10]


def test_the_index_lists_every_run_newest_first_with_numbers_where_a_report_was_made(runs: Path) -> None:
    for name in ("20260817T101500Z-ramp-local", "20260817T103000Z-ramp-local"):
        ask(runs, name, form=Format.HTML)
    (runs / "broken").mkdir()
    (runs / "broken" / "run.json").write_text('{"format": 99}')
    page = write_index(runs).read_text()
    order = [page.index(f">{name}<") for name in ("20260817T103000Z-ramp-local", "20260817T101500Z-ramp-local")]
    assert order == sorted(order)
    assert 'href="20260817T103000Z-ramp-local/report.html"' in page
    assert 'href="20260817T102000Z-ramp-cloud/report.html"' not in page
    assert "run folder format 99" in page
    assert page.count("<circle") == 2  # the trend of p95: two local runs of one scenario


def test_a_comparison_file_is_named_after_its_runs_and_never_too_long() -> None:
    assert comparison_name(["a", "b"]) == "a-with-b"
    many = comparison_name([f"run-{at}" for at in range(50)])
    assert many.startswith("run-0-with-49-others-")
    assert len(many) < 40


def test_the_report_says_how_the_local_cloud_run_chose_its_cpu(tmp_path: Path) -> None:
    why = "POST /predict costs 0.77 ms of CPU (mean of 200); 0.038 vCPU serve 30 of them a second at 60%"
    for told, expected in (({"cpu_why": why}, why), ({"cpu_why": 7}, ""), ("nonsense", ""), (None, "")):
        target = {"kind": "emulator", "url": "http://127.0.0.1:1", "emulator": told}
        folder = write_rows(tmp_path / str(told)[:20], latency_us=[1000] * 50, record={"target": target})
        report = build_report([folder.path])
        assert report.runs[0].measured.cpu_why == expected
        assert ("Chosen by measurement" in render_text(report)) is bool(expected)
