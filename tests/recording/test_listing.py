"""The list of runs agrees with the validated records, although it does not validate what lt wrote itself."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from loadtest.cli.columns import padded
from loadtest.cli.run_list import print_runs
from loadtest.recording.catalogue import list_runs
from loadtest.recording.digest import KEY, digest_of
from loadtest.recording.folder import RunFolder
from loadtest.recording.listing import ENDED, listed
from loadtest.recording.readers import count_rows
from loadtest.recording.run import Outcome
from tests.recording.frames import T0, frames, record, spooled


def sealed(runs: Path, **changes: object) -> RunFolder:
    folder = spooled(runs, frames(20), record(label="a", end=T0 + timedelta(seconds=90), **changes))
    folder.ensure_sealed()
    return folder


def edited(folder: RunFolder, **values: object) -> None:
    """Change values of the record, and leave its digest unchanged."""
    fields = json.loads(folder.record.read_text())
    folder.record.write_text(json.dumps(fields | values))


@pytest.mark.parametrize("outcome", [Outcome.COMPLETE, Outcome.DEGRADED, Outcome.RUNNING])
@pytest.mark.parametrize("values", [{}, {"label": "b"}, {"digest": None}, {"digest": "0"}, {"end": "soon"}])
def test_a_line_agrees_with_the_validated_record(tmp_path: Path, outcome: Outcome, values: dict[str, object]) -> None:
    """The records are unchanged, edited, without a digest, without a living process, and with an invalid value."""
    folder = sealed(tmp_path, outcome=outcome)
    if values:
        edited(folder, **values)
    ((_, run, why),) = list_runs(tmp_path)
    (line,) = listed(tmp_path)
    assert line.why == why
    if run is None:
        assert (line.outcome, line.start) == ("unreadable", None)
        return
    assert run.end is not None
    assert run.load_start is not None
    assert (line.label, line.outcome, line.start) == (run.label, run.outcome.value, run.start)
    assert (line.scenario, line.target, line.url) == (run.scenario.name, run.target.kind, run.target.url)
    assert (line.length_s, line.requests) == ((run.end - run.load_start).total_seconds(), count_rows(folder))


@pytest.mark.parametrize(
    "values",
    [
        {"start": 5},
        {"start": None},
        {"start": "2026-01-01T00:00:00"},
        {"target": None},
        {"scenario": {"name": 1}},
        {"outcome": "odd"},
        {"outcome": ["complete"]},
        {"sealed": {}},
        {"sealed": "none"},
        {"label": 5},
        {"git_commit": {}},
    ],
)
def test_a_record_with_a_digest_of_its_own_is_checked_where_its_values_are_not_lts(
    tmp_path: Path, values: dict[str, object]
) -> None:
    """Anyone can compute a digest. The digest shows that nothing was damaged, but not who wrote the record."""
    folder = sealed(tmp_path)
    fields = json.loads(folder.record.read_text()) | values
    folder.record.write_text(json.dumps(fields | {KEY: digest_of(fields)}))
    ((_, run, why),) = list_runs(tmp_path)
    (line,) = listed(tmp_path)
    assert (line.why, line.start) == (why, None if run is None else run.start)
    assert print_runs(tmp_path) == 0


def test_the_outcomes_that_need_no_look_at_a_process_are_all_but_running() -> None:
    """The list defines these outcomes itself, because pydantic's models take long to import."""
    assert set(ENDED) == set(Outcome) - {Outcome.RUNNING}


def test_replaced_rows_are_counted_again_and_damaged_ones_are_reported(tmp_path: Path) -> None:
    """The record's count applies only to a file of the sealed size."""
    folder = sealed(tmp_path / "first")
    other = spooled(tmp_path / "second", frames(300))
    other.ensure_sealed()
    folder.rows.write_bytes(other.rows.read_bytes())
    assert [(line.requests, line.damaged) for line in listed(tmp_path / "first")] == [(3000, False)]
    folder.rows.write_bytes(b"no rows")
    assert [(line.requests, line.damaged) for line in listed(tmp_path / "first")] == [(None, True)]
    folder.rows.unlink()
    assert [(line.requests, line.damaged) for line in listed(tmp_path / "first")] == [(None, False)]


def test_columns_are_as_wide_as_their_widest_cell_on_a_terminal() -> None:
    r"""Wide characters take two columns, combining characters take none, and control characters are escaped."""
    assert padded([["a", "1"], ["日本", "20"], ["e\u0301", "3"], ["\x1b", "4"]], right=(1,)) == [
        ["a   ", " 1"],
        ["日本", "20"],
        ["e\u0301   ", " 3"],
        ["\\x1b", " 4"],
    ]
