"""Failures are listed by endpoint and message, whatever the number of messages.

The last line counts all other failures.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from loadtest.recording.failures import LISTED, Failures
from loadtest.recording.run import FailedBodyRecord
from reports.model import Failure
from reports.render.text import render_text
from reports.summary.build import build_report
from tests.recording.frames import frames, record, spooled
from tests.reports.folders import write_rows


def failures_of(path: Path, **rows: object) -> list[Failure]:
    folder = write_rows(path, **rows)  # type: ignore[arg-type] # the columns of the test
    return build_report([folder.path]).runs[0].failures


def test_each_endpoint_has_its_failures_and_their_share(tmp_path: Path) -> None:
    """27 of 100 requests of a rare endpoint fail. This is 2.7 % of all requests and 27 % of the endpoint's requests."""
    found = failures_of(
        tmp_path,
        latency_us=[1000] * 1000,
        name=["/rare"] * 100 + ["/usual"] * 900,
        outcome=["http_error"] * 27 + ["ok"] * 973,
        status=[500] * 27 + [200] * 973,
        error=["HTTP 500"] * 27 + [None] * 973,
    )
    (failure,) = found
    assert (failure.method, failure.name, failure.kind, failure.status, failure.message) == (
        "POST",
        "/rare",
        "http_error",
        500,
        "HTTP 500",
    )
    assert (failure.count, failure.share) == (27, 0.27)
    assert (failure.first_s, failure.last_s) == (0.0, pytest.approx(0.26))


def test_messages_that_differ_in_ids_share_a_line(tmp_path: Path) -> None:
    """There are 5,000 messages that each contain a different id, and one message that came twice without any change."""
    errors = [f"order {at} of user {at * 7} not found" for at in range(5000)] + ["HTTP 500"] * 2
    found = failures_of(
        tmp_path, latency_us=[1000] * 5002, outcome=["check_failed"] * 5002, error=errors, status=[200] * 5002
    )
    assert [(item.message, item.count) for item in found] == [
        ("order {n} of user {n} not found", 5000),
        ("HTTP 500", 2),
    ]


def test_messages_without_ids_are_ranked_with_a_remainder_that_counts(tmp_path: Path) -> None:
    words = [f"{chr(97 + at // 676)}{chr(97 + at // 26 % 26)}{chr(97 + at % 26)}" for at in range(5000)]
    rows = {"outcome": ["check_failed"] * 5010, "error": words + ["the usual one"] * 10}
    found = failures_of(tmp_path, latency_us=[1000] * 5010, **rows)
    assert (found[0].message, found[0].count) == ("the usual one", 10)
    assert sum(item.count for item in found) == 5010
    assert [item.message for item in found[-2:]] == ["(800 more kinds of failure)", "(4,001 other kinds of failure)"]


def test_the_file_has_a_bounded_number_of_lines_and_counts_every_failure(tmp_path: Path) -> None:
    words = [f"{chr(97 + at // 676)}{chr(97 + at // 26 % 26)}{chr(97 + at % 26)}" for at in range(3000)]
    folder = write_rows(tmp_path, latency_us=[1000] * 3000, outcome=["check_failed"] * 3000, error=words)
    failures = Failures()
    for batch in folder.row_batches():
        failures.add(batch)
    lines = list(csv.DictReader(failures.csv().splitlines()))
    assert len(lines) == LISTED + 1
    assert sum(int(line["count"]) for line in lines) == 3000
    assert lines[-1]["message"] == "(2,000 other kinds of failure)"


def test_a_damaged_failures_file_is_replaced_by_a_new_count_and_reported(tmp_path: Path) -> None:
    rows = {"outcome": ["http_error"] * 3 + ["ok"], "error": ["HTTP 500"] * 3 + [None], "status": [500] * 3 + [200]}
    folder = write_rows(tmp_path, latency_us=[1000] * 4, **rows)
    folder.failures.write_text(
        "method,name,kind,status,message,first,last,count\nPOST,/predict,http_error,500,x,,,99\n"
    )
    (run,) = build_report([folder.path]).runs
    assert [(failure.message, failure.count) for failure in run.failures] == [("HTTP 500", 3)]
    assert any("different numbers of failures; the rows are used" in said for said in run.measured.missing)


def test_a_body_is_in_the_first_line_of_its_endpoint_and_status(tmp_path: Path) -> None:
    """Sealing copies the bodies from the record into the list of failures.

    The report shows their content as a sentence.
    """
    said = '{"detail": [{"type": "missing", "loc": ["body", "age"], "msg": "Field required"}]}'
    kept = FailedBodyRecord(method="POST", name="/predict", status=500, body=said)
    other = FailedBodyRecord(method="POST", name="/other", status=500, body="of another endpoint")
    folder = spooled(tmp_path, frames(2, failed=3), record(failed_bodies=[kept, other]))
    folder.ensure_sealed()
    (line,) = csv.DictReader(folder.failures.read_text(encoding="utf-8").splitlines())
    assert (line["name"], line["status"], line["count"], line["body"]) == ("/predict", "500", "6", said)
    report = build_report([folder.path])
    assert [failure.body for failure in report.runs[0].failures] == [said]
    assert "body.age: Field required" in render_text(report)
    folder.failures.unlink()  # without this file, failures are counted from the rows
    assert [failure.body for failure in build_report([folder.path]).runs[0].failures] == [said]
