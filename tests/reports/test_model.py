"""The parts of the summary: there is one class per result, and old documents can still be read."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from reports.model import Report
from reports.render.html import render_html
from reports.render.text import render_text

ROOT = Path(__file__).parent.parent.parent
OLD = Path(__file__).parent / "data" / "summary-format-1.json"


def test_each_result_has_one_class() -> None:
    """No class name of the documented summary is used a second time in reports/."""
    names = Counter(
        node.name
        for path in (ROOT / "reports").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    parts = {
        node.name
        for node in ast.parse((ROOT / "reports" / "model.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    assert len(parts) > 20
    assert {name for name in parts if names[name] > 1} == set()


def test_a_summary_written_by_an_earlier_version_of_this_format_still_reads_and_renders() -> None:
    """Version 0.1.0 wrote the file. Fields that were added since then are None, 0 or empty."""
    report = Report.model_validate_json(OLD.read_bytes())
    assert [spike.cause for spike in report.runs[0].spikes] == ["saturation, then scale-out"]
    assert "saturation, then scale-out" in render_text(report)
    assert "saturation, then scale-out" in render_html(report)
