"""docs/report.md, and the formats in which other programs read a report."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from docs.schema import PAGE, written
from reports.model import SUMMARY_FORMAT, Report
from reports.summary.schema import parts
from tests.reports import sample


def test_the_page_describes_summary_json_as_it_is() -> None:
    """`python -m docs.schema` changes nothing."""
    page = PAGE.read_text(encoding="utf-8")
    assert written(page) == page
    assert f"## summary.json, format {SUMMARY_FORMAT}" in page


def test_every_part_is_described_once() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(parts(Report)) > 20
    for part in parts(Report):
        assert page.count(f"\n### {part.__name__}\n") == 1


def test_a_summary_of_another_format_is_refused() -> None:
    made = sample.report().model_dump(mode="json") | {"format": SUMMARY_FORMAT + 1}
    with pytest.raises(ValidationError, match="format"):
        Report.model_validate(made)


def test_no_number_of_a_report_is_infinite_or_undefined() -> None:
    """JSON has no infinity and no NaN, so unknown numbers are null."""
    with pytest.raises(ValidationError, match="finite"):
        sample.report(sample.run(duration_s=float("nan")))
