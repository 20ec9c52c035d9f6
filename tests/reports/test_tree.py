"""One tree is rendered in three formats: all show the same content, and the numbers of rules are not copied into it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reports.data import rules
from reports.data.timeline import CHARTS
from reports.model import Part, Report, Shown
from reports.render import sentences
from reports.render.columns import WRITERS
from reports.render.html import render_html
from reports.render.markdown import escaped, render_markdown
from reports.render.sections import outline
from reports.render.text import render_text
from reports.render.tree import Cards, Facts, Points, Table, Words
from reports.summary.schema import parts
from tests.reports import sample
from tests.reports.sample import blocks_of


def with_everything() -> Report:
    """Two runs with a value in every field that a table shows."""
    incidents = [{"kind": "clock jump", "text": "The clock of w1 was set back by 5 s at 10:16:00 UTC."}]
    error = {"where": "task", "exception": "KeyError", "message": "'x'", "user_class": "U", "task": "t", "count": 3}
    runs = []
    for name in ("local", "emulator"):
        run = sample.run(name, task_errors=[error | {"traceback": ""}])
        run["measured"]["incidents"] = incidents
        run["response"] = sample.quantiles(30.0)
        runs.append(run)
    return sample.report(*runs, comparisons=[sample.comparison()])


def plain(text: str) -> str:
    """Return the words of a text, without markup, escapes or line breaks."""
    if text.startswith("<!doctype"):
        text = html.unescape(re.sub(r"<[^>]*>", " ", text)).replace("\u00a0", " ")
    return " ".join(re.sub(r"\\(?=[^a-z0-9\s])", "", text).split())


def texts_of(report: Report) -> Iterator[str]:
    """Yield every text of the tree: headings, sentences, table heads, and cells with their qualifications and
    details.
    """
    for section in outline(report):
        yield section.heading
    for block in blocks_of(outline(report)):
        match block:
            case Words():
                yield block.text
            case Cards():
                yield from (text for card in block.cards for text in (card.title, card.value.rstrip("."), *card.lines))
            case Points():
                yield from block.items
            case Facts():
                yield from (text for name, cell in block.rows for text in (name, cell.text))
            case Table():
                yield from (column.head for column in block.columns)
                yield from (text for row in block.rows for cell in row for text in (cell.text, *cell.small, *cell.more))


@pytest.mark.parametrize("render", [render_html, render_text, render_markdown])
def test_every_text_of_the_tree_is_in_every_format(render: object) -> None:
    """Tables and sentences are in every format.

    Only charts differ between the formats, and their numbers are in tables too.
    """
    report = with_everything()
    shown = plain(render(report))  # type: ignore[operator] # all take a report
    missing = [text for text in dict.fromkeys(texts_of(report)) if plain(text) not in shown]
    assert missing == []
    assert len(list(texts_of(report))) > 400


def test_every_table_of_the_tree_has_its_heads_on_the_page_and_in_markdown() -> None:
    report = with_everything()
    page, markdown = render_html(report), render_markdown(report)
    for table in (block for block in blocks_of(outline(report)) if isinstance(block, Table)):
        heads = [column.head for column in table.columns]
        assert f"| {' | '.join(map(escaped, heads))} |" in markdown
        assert html.escape(table.label).replace("&#x27;", "&#39;") in page
        assert all(len(row) == len(heads) for row in table.rows)


@pytest.mark.parametrize("part", parts(Report), ids=lambda part: part.__name__)
def test_every_field_that_is_shown_has_a_writer(part: type[Part]) -> None:
    for field in part.model_fields.values():
        for shown in (mark for mark in field.metadata if isinstance(mark, Shown)):
            assert shown.write == "percentiles" or shown.write in WRITERS


def test_content_that_only_the_page_showed_is_in_the_text_too() -> None:
    """The text contains throttled answers, the latency of failures, fetched series, the last-seen times, and the
    uncertainty of a clock offset.
    """
    text = plain(render_text(with_everything()))
    for said in ("429 × 11", "Failed requests that were answered took", "instance_count", "last seen", "0.05 ms"):
        assert said in text


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ("ON_RATIO", 1.4, "Rises under 40 %"),
        ("ON_MS", 25.0, "under 25 ms"),
        ("MIN_SLOW_REQUESTS", 7, "fewer than 7 slow requests"),
        ("MARGIN", 0.08, "verdict (±8 %)"),
        ("SETTLED_RATIO", 1.25, "within 25 %"),
        ("YOUNG_S", 20.0, "younger than 20 s"),
        ("GENERATOR_LAG_MS", 70.0, "above 70 ms its own delay is measured too"),
    ],
)
def test_a_changed_rule_changes_the_sentence(
    monkeypatch: pytest.MonkeyPatch, rule: str, value: float, expected: str
) -> None:
    monkeypatch.setattr(rules, rule, value)
    normal = sample.run("local", cloud=False, worst_second={"at_s": 3, "p95_ms": 90, "requests": 9, "usual_ms": 40})
    report = sample.report(normal, sample.run(), comparisons=[sample.comparison()])
    assert expected in plain(render_html(report)) + plain(render_text(report))


def test_no_sentence_of_the_renderers_contains_a_number_of_a_rule() -> None:
    """These numbers once had copies in the sentences: ±5 %, 1.3 ×, 1.15 ×, 50 ms."""
    package = Path(sentences.__file__).parent
    for path in [*package.rglob("*.py"), *package.rglob("*.j2")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"±5|1\.3 ×|1\.15|\b50 ms|± ?5 %", text), path


def test_a_chart_is_declared_once() -> None:
    """Every column of the timeline belongs to a line of CHARTS.

    Lines that share a column compute it in the same way.
    """
    columns = [line.column for chart in CHARTS for line in chart.lines]
    assert {"p50_ms", "p95_ms", "p99_ms", "ok_per_s", "users", "in_flight"} <= set(columns)
    assert len({chart.id for chart in CHARTS}) == len(CHARTS)
