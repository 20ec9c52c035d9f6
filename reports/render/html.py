"""Render a report as one HTML file that needs nothing else and asks nobody."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
import json
from typing import TYPE_CHECKING

from markupsafe import Markup

from reports.data import formats
from reports.model import Report
from reports.render import charts, sentences
from reports.render.uplot import chart_script

if TYPE_CHECKING:
    import jinja2

FILTERS = (
    formats.change,
    formats.change_interval,
    formats.count,
    formats.day,
    formats.decimal,
    formats.elapsed,
    formats.interval_ms,
    formats.unbroken,
    formats.usd,
    formats.ms,
    formats.percent,
    formats.plural,
    formats.quantile,
    formats.seconds,
    formats.times,
    formats.utc,
    sentences.measured,
    sentences.phase,
)
"""What the template may call: the words of `formats` and `sentences`, so that it holds no arithmetic."""


def render_html(report: Report) -> str:
    """Return the page. Every text of a run stands in it as text, whatever it holds.

    Raises:
        UnusableError: no installed package carries the chart script.
    """
    uplot = chart_script()
    data = charts.payload(report)
    style = f"{uplot.style}\n{page_file('report.css')}"
    scripts = [uplot.script, page_file("charts.js")]
    return template("report.html.j2").render(
        report=report,
        title=sentences.title(report),
        headline=sentences.headline(report),
        cards=sentences.cards(report),
        charts={chart["id"]: chart for chart in data["charts"]},
        spikes=charts.spikes(report),
        load_models=sentences.load_models(report),
        rows=sentences.rows(report),
        timeouts=sentences.timeouts(report),
        marks=sentences.MARKS,
        policy=content_security_policy(scripts, style),
        data=embedded_json(data),
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        uplot_version=uplot.version,
        uplot_notice=page_file("uplot-notice.txt"),
    )


def embedded_json(data: object) -> Markup:
    """Return `data` as JSON that no text in it can break out of a script element with."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


def content_security_policy(scripts: list[str], style: str) -> str:
    """Return a policy under which only these scripts and this style run, and nothing is fetched."""
    allowed = " ".join(_sha256_source(script) for script in scripts) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_sha256_source(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _sha256_source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def page_file(name: str) -> str:
    """Return one of the files of reports/page."""
    return importlib.resources.files("reports.render").joinpath("page", name).read_text(encoding="utf-8")


@functools.cache
def template(name: str) -> jinja2.Template:
    """Return a template of reports/page that knows FILTERS, escapes every text and fails on a missing name."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(page_file),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {function.__name__: function for function in FILTERS}
    return environment.get_template(name)
