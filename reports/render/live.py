"""Render the page of a run in progress: a frame that polls for updates, and the parts of the report for it."""

from __future__ import annotations

import functools

from markupsafe import Markup

from reports.model import Report
from reports.render import charts, sentences
from reports.render.html import content_security_policy, drawable, page_file, template
from reports.render.sections import outline
from reports.render.uplot import chart_script


@functools.cache
def render_shell() -> str:
    """Return the page that a browser opens. It contains nothing about the run and needs no secret.

    Raises:
        UnusableError: no installed package contains the chart script.
    """
    return template("live.html.j2").render(style=Markup(_style()), scripts=[Markup(script) for script in _scripts()])


@functools.cache
def live_policy() -> str:
    """Return the live page's policy: only its own scripts and style run, and it fetches only from its own listener.

    The finished report can replace the page under the same policy, because the policy allows the scripts and styles of
    both.
    """
    return f"{content_security_policy(_scripts(), _style())}; connect-src 'self'; frame-ancestors 'none'"


def render_body(report: Report) -> str:
    """Return the header, the table of contents and every part of a report, without its data and scripts."""
    data = charts.payload(report)
    drawn = {chart["id"]: chart for chart in data["charts"]}
    return template("body.html.j2").render(
        report=report,
        title=sentences.title(report),
        sections=drawable(outline(report), drawn),
        charts=drawn,
        endpoints=data["endpoints"],
    )


def _scripts() -> list[str]:
    return [chart_script().script, page_file("charts.js"), page_file("live.js")]


def _style() -> str:
    return f"{chart_script().style}\n{page_file('report.css')}"
