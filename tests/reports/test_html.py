"""The text of the page: its embedded data, the scripts that it allows, and its sentences."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtest.core.errors import UnusableError
from reports.model import Report
from reports.render import charts
from reports.render.html import embedded_json, page_file, render_html
from reports.render.templates import environment
from reports.render.uplot import CARRIERS, Carrier, chart_script
from tests.reports import sample


def unpacked(payload: dict[str, Any], column: int) -> list[float | None]:
    """Decode a column in the same way as the page's script."""
    time = payload["time"]
    raw = np.frombuffer(gzip.decompress(base64.b64decode(time["packed"])), np.uint8)
    planes = raw.reshape(-1, 4, time["length"])[column]
    whole = np.cumsum(np.ascontiguousarray(planes.T).view("<u4")[:, 0], dtype=np.uint32).view(np.int32)
    return [None if value == charts.NO_VALUE else value / time["scales"][column] for value in whole.tolist()]


def test_packed_numbers_come_back_within_a_pixel_and_gaps_as_gaps() -> None:
    """Values are kept with the precision of five digits of the largest value.

    An axis of 1,200 px can show only three digits.
    """
    report = sample.report(sample.run())
    payload = charts.payload(report)
    latency = next(chart for chart in payload["charts"] if chart["id"] == "latency")
    for line, name in zip(latency["series"], ("p50_ms", "p95_ms", "p99_ms"), strict=False):
        truth = report.runs[0].series.columns[name]
        back = unpacked(payload, line["column"])
        assert [value is None for value in back] == [value is None for value in truth]
        known = [(a, b) for a, b in zip(back, truth, strict=True) if a is not None and b is not None]
        worst = max(abs(a - b) for a, b in known)
        assert 0 < worst < max(b for _, b in known) * 1e-4


def test_runs_of_different_length_share_one_grid_of_times() -> None:
    """t = 0 is the load start of each run. A shorter run simply ends."""
    long, short = sample.run("local", cloud=False), sample.run("emulator")
    short["series"] = sample.series(40, 20.0, cloud=True)
    payload = charts.payload(sample.report(long, short))
    load = next(chart for chart in payload["charts"] if chart["id"] == "load")
    users = [line for line in load["series"] if line["name"].startswith("users")]
    assert payload["time"]["length"] == 120
    assert [unpacked(payload, line["column"])[39:41] for line in users] == [[195.0, 200.0], [195.0, None]]


@pytest.mark.parametrize(("others", "names"), [(0.0, ["HTTP error"]), (1.0, ["HTTP error", "of these 503"])])
def test_a_status_that_all_errors_have_does_not_cover_their_line(others: float, names: list[str]) -> None:
    run = sample.run("local", cloud=False)
    columns = run["series"]["columns"]
    columns["failed_per_s.timeout"] = [0.0] * len(columns["failed_per_s.timeout"])
    errors = columns["failed_per_s.http_error"]
    columns["status_per_s.503"] = [error - others if error else 0.0 for error in errors]
    errors[-1] = None  # the last second is not over
    failures = next(chart for chart in charts.payload(sample.report(run))["charts"] if chart["id"] == "failed")
    assert [line["name"] for line in failures["series"]] == names


def test_runs_are_distinguished_by_more_than_colour() -> None:
    """Each line has the name of its run, and the number of its run, which determines the dashes."""
    payload = charts.payload(sample.report())
    for chart in payload["charts"]:
        for line in chart["series"]:
            assert line["run"] == {"local": 0, "emulator": 1}[line["name"].split(" · ")[-1]]


def test_embedded_json_cannot_leave_its_element() -> None:
    text = str(embedded_json({"name": sample.HOSTILE}))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text)["name"] == sample.HOSTILE


def test_only_the_scripts_and_the_style_of_the_page_are_allowed() -> None:
    """The policy contains the digest of each inline script and of the style, and nothing else."""
    page = render_html(sample.report())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    inline = re.findall(r"<script>(.*?)</script>", page, re.S) + re.findall(r"<style>(.*?)</style>", page, re.S)
    digests = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline}
    assert set(re.findall(r"sha256-([^&']+)", policy[1])) == digests
    assert "unsafe" not in policy[1]
    assert policy[1].startswith("default-src &#39;none&#39;")


def test_no_text_of_a_run_becomes_markup() -> None:
    page = render_html(sample.hostile())
    assert "<img" not in page
    assert page.count("</script>") == 3


def test_the_page_is_small() -> None:
    """A page of two runs of an hour, with 3,600 points per line, is smaller than 400 KB."""
    runs = [sample.run(name, cloud=name == "emulator") for name in ("local", "emulator")]
    for run in runs:
        run["series"] = sample.series(3600, 20.0, cloud=run["name"] == "emulator")
    assert len(render_html(sample.report(*runs)).encode()) < 400_000


def test_the_template_formats_and_computes_nothing() -> None:
    """Templates contain no arithmetic: numbers come from the model, and words come from filters."""
    for name in ("report.html.j2", "index.html.j2"):
        for inside in re.findall(r"\{[{%](.*?)[%}]\}", page_file(name), re.S):
            assert not re.search(r"[\w)\]] [-+*/] [\w(]|\*\*|//|\| *(round|sum|int|float)\b", inside), inside


def test_a_page_is_made_from_the_json_alone() -> None:
    report = sample.report()
    assert render_html(Report.model_validate_json(report.model_dump_json())) == render_html(report)


def test_the_notice_of_the_chart_script_is_printed() -> None:
    page = render_html(sample.report())
    assert "Leon Sorokin" in page
    assert "Permission is hereby granted, free of charge" in page
    assert f"uPlot {CARRIERS[0].version}" in page


def test_a_closed_loop_is_named_with_what_it_hides() -> None:
    assert "real callers would see worse" in render_html(sample.report(sample.run()))


def test_an_open_loop_shows_service_and_response_time_side_by_side() -> None:
    run = sample.run(load_model="open", response=sample.quantiles(200.0))
    page = render_html(sample.report(run))
    heads = page[page.index('aria-label="Percentiles"') :]
    assert heads.index("service time") < heads.index("response time") < heads.index("p50")
    assert "(open loop)" in page


def test_a_timeout_is_a_bound_and_in_no_percentile() -> None:
    page = render_html(sample.report(sample.run())).replace("\u00a0", " ")
    assert "12 more requests timed out after 10.0 s or longer and are not in these percentiles." in page


def test_a_changed_chart_script_is_refused_with_a_cure() -> None:
    """The first package's digest does not match, and the second package is not installed."""
    carrier = CARRIERS[0]
    changed = Carrier(**{name: getattr(carrier, name) for name in carrier.__slots__} | {"script_sha256": "0" * 64})
    absent = Carrier(**{name: getattr(carrier, name) for name in carrier.__slots__} | {"package": "no_such_package"})
    with pytest.raises(
        UnusableError, match=r"differ from those of youplot==1\.0\.0.*no_such_package.*pip install youplot"
    ):
        chart_script([changed, absent])
    assert chart_script([changed, carrier]).version == carrier.version


def test_a_compiled_template_is_kept_until_its_source_or_the_program_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiled file that is damaged, or cannot be written, is not an error."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)

    def page(source: str, program: str = "lt", kept: Path = tmp_path) -> str:
        made = environment(lambda name: source, (), kept=kept, program=(program,))
        return made.get_template("page").render(x="<")

    def written() -> tuple[int, bytes]:
        """Return values that change when a template is compiled and cached."""
        (file,) = tmp_path.iterdir()
        return file.stat().st_mtime_ns, file.read_bytes()

    assert page("{{ x }}") == "&lt;"
    first = written()
    assert page("{{ x }}") == "&lt;"
    assert written() == first
    assert page("{{ x }}!") == "&lt;!"
    second = written()
    assert page("{{ x }}!", "a later lt") == "&lt;!"
    assert len({first, second, written()}) == 3
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    assert page("{{ x }}!", "a later lt") == "&lt;!"
    file.write_bytes(file.read_bytes()[:20])
    assert page("{{ x }}!", "a later lt") == "&lt;!"
    assert page("{{ x }}", kept=tmp_path / "absent") == "&lt;"
