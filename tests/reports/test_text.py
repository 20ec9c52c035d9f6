"""Text, Markdown and JUnit have the same content as the page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from reports.data import formats
from reports.model import DataFile
from reports.render.html import render_html
from reports.render.junit import render_junit
from reports.render.markdown import render_markdown
from reports.render.sparkline import p95_over_time
from reports.render.text import render_text
from reports.verdict import of_report
from tests.reports import sample

PARTS = (
    "In short",
    "Failures",
    "p95 spikes and why",
    "Over time, phase by phase",
    "emulator against local",
    "Latency by percentile",
    "Warm-up",
    "Capacity",
    "By endpoint",
    "Instances",
    "Cost",
    "How measured",
)


@pytest.mark.parametrize("render", [render_text, render_markdown])
def test_every_part_of_the_page_is_in_it(render: object) -> None:
    text = render(sample.report())  # type: ignore[operator] # both take a report
    places = [re.search(f"^(## )?{part}$", text, re.M).start() for part in PARTS]  # type: ignore[union-attr] # or fail
    assert places == sorted(places)
    for number in ("4,120 ms", "812 ms", "361 s", "$0.021", "27,375", "saturation, then scale-out"):
        assert number in text


def test_the_end_of_a_run_is_summarised_briefly() -> None:
    text = render_text(sample.report(sample.run()), brief=True)
    assert "Over time, phase by phase" in text
    assert "How measured" not in text
    assert len(text.splitlines()) < 45


def test_no_control_character_of_a_run_reaches_the_terminal() -> None:
    run = sample.run(scenario="a\x1b[2Jb\rc")
    assert {char for char in render_text(sample.report(run)) if not char.isprintable()} == {"\n"}


def test_markdown_shows_hostile_names_as_text() -> None:
    text = render_markdown(sample.hostile())
    assert "<img" not in text.replace("\\<", "")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(line.replace("\\|", "").endswith("|") for line in rows)


def test_the_line_of_blocks_leaves_a_gap_where_nothing_was_measured() -> None:
    """120 s are drawn in 60 blocks.

    A block stands for two seconds. The gap from 60 s to 62 s leaves the block of 60 s and 61 s empty, but not the next
    one.
    """
    line = p95_over_time(sample.report(sample.run()).runs[0]).split(": ")[1]
    assert len(line) == 60
    assert [at for at, block in enumerate(line) if block == " "] == [30]
    assert "█" in line


def test_a_run_in_which_nothing_succeeded_is_not_said_to_be_without_spikes() -> None:
    totals = sample.run()["totals"] | {"ok": 0}
    text = render_text(sample.report(sample.run(totals=totals, spikes=[], slow_first=None)))
    assert "p95 spikes: Not known." in text
    assert "every one failed" in text
    assert "no p95 spike" not in text


@pytest.mark.parametrize(
    ("verdicts", "outcome", "expected"),
    [
        ([], "complete", "unjudged"),
        (["held"], "complete", "held"),
        (["held", "missed", "undecided"], "complete", "missed"),
        (["held", "undecided"], "complete", "undecided"),
        (["held"], "degraded", "undecided"),
        ([], "degraded", "undecided"),
        (["missed"], "degraded", "missed"),
    ],
)
def test_a_missed_objective_weighs_most_and_nothing_missing_is_a_pass(
    verdicts: list[str], outcome: str, expected: str
) -> None:
    objective = sample.run()["objectives"][0]
    run = sample.run(outcome=outcome, objectives=[objective | {"verdict": verdict} for verdict in verdicts])
    assert of_report(sample.report(run)).kind == expected


def test_junit_counts_missed_as_failures_and_undecided_as_errors() -> None:
    objective = sample.run()["objectives"][0]
    told = [objective | {"verdict": verdict, "why": sample.HOSTILE} for verdict in ("held", "missed", "undecided")]
    root = ET.fromstring(
        render_junit(sample.report(sample.run(objectives=told, outcome="degraded", reasons=["\x00w"])))
    )
    suite = root[0]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors")}
    assert counts == {"tests": "4", "failures": "1", "errors": "2"}
    assert [[child.tag for child in case] for case in suite] == [["error"], ["system-out"], ["failure"], ["error"]]
    assert suite[2][0].get("message") == sample.HOSTILE


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (formats.ms(None), "–"),
        (formats.ms(0.4567), "0.46 ms"),
        (formats.ms(41.61), "41.6 ms"),
        (formats.ms(4120.5), "4,120 ms"),
        (formats.ms(12_340), "12.3 s"),
        (formats.at_least(1000.0), "≥ 1,000 ms"),
        (formats.interval_ms(41.0, None), "≥ 41.0"),
        (formats.elapsed(3725), "1:02:05"),
        (formats.elapsed(59.6), "1:00"),
        (formats.seconds(0.03), "0.03 s"),
        (formats.seconds(3900), "1 h 5 min"),
        (formats.percent(0.0), "0 %"),
        (formats.percent(0.99999), "100.00 %"),
        (formats.percent(0.000001), "< 0.01 %"),
        (formats.change(-0.034), "−3.4 %"),
        (formats.change(0.0), "+0.0 %"),
        (formats.change(1.5), "× 2.5"),
        (formats.change_interval(-0.1, 0.2), "−10 % … +20 %"),
        (formats.change_interval(27.0, 768.3), "at least 28 times"),
        (formats.change_interval(-0.1, 20.0), "−10 % or more"),
        (formats.moved(83.6), "rose 84-fold"),
        (formats.moved(0.8), "fell by 20 %"),
        (formats.usd(0.000783), "$0.00078"),
        (formats.usd(0.0), "$0.00"),
        (formats.quantile(0.999), "p99.9"),
        (formats.quantile(1.0), "max"),
        (formats.plural(1, "spike"), "1 spike"),
        (formats.listing(["a", "b", "c"]), "a, b and c"),
        (formats.unbroken("✓ 41.6 ms at 3 %"), "✓\u00a041.6\u00a0ms at 3\u00a0%"),
    ],
)
def test_numbers_are_written_for_people(written: str, expected: str) -> None:
    assert written == expected


@pytest.mark.parametrize("render", [render_text, render_markdown, render_html])
def test_the_report_counts_the_rows_of_data_files(render: object) -> None:
    """The report says how many rows a file has, that each was sent once, and a maximum for the rows not sent."""
    files = [
        {"name": "ids.parquet", "rows": 100_000, "not_sent_at_most": 100},
        {"name": "names.csv", "rows": 1, "not_sent_at_most": 0},
    ]
    made = sample.report(sample.run())
    measured = made.runs[0].measured.model_copy(
        update={"data_files": [DataFile.model_validate(file) for file in files]}
    )
    run = made.runs[0].model_copy(update={"measured": measured})
    text = " ".join(render(made.model_copy(update={"runs": [run]})).split())  # type: ignore[operator] # all take a report
    assert (
        "100,000 rows of ids.parquet: each sent once; at most 100 not sent; 1 row of names.csv: each sent once" in text
    )
