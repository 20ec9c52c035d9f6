"""Render a report as one HTML file that loads nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
import importlib.util
import json
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from reports.data import formats
from reports.model import Report
from reports.render import charts, sentences, tree
from reports.render.sections import outline
from reports.render.stamp import program
from reports.render.uplot import chart_script

if TYPE_CHECKING:
    import jinja2


@functools.lru_cache(maxsize=1 << 14)
def prose(text: str) -> Markup:
    """Return a text for the page that never breaks a line between a number and its unit, or inside an option."""
    return Markup(re.sub(r"(?<!\S)--\w[\w-]*", r'<span class="nb">\g<0></span>', str(escape(formats.unbroken(text)))))


@functools.lru_cache(maxsize=1 << 10)
def marks(column: tree.Column, tone: str) -> Markup:
    """Return the attributes of a cell in this column.

    The results are cached, because a table of 500 endpoints asks 7,000 times for the same few columns.
    """
    kinds = f"{'n ' if column.number else ''}{'wide ' if column.wide else ''}{tone}"
    return Markup('class="{}" data-label="{}"').format(kinds, column.head)


FILTERS = (
    formats.count,
    formats.day,
    formats.ms,
    formats.percent,
    formats.phase,
    formats.plural,
    formats.seconds,
    marks,
    tree.kind_of,
    prose,
    zip,
)
"""The functions that templates may call. Templates only define the layout; the texts come from the tree and from
`formats`."""


def render_html(report: Report) -> str:
    """Return the page. Every text of a run is escaped.

    Raises:
        UnusableError: no installed package contains the chart script.
    """
    uplot = chart_script()
    data = charts.payload(report)
    style = f"{uplot.style}\n{page_file('report.css')}"
    scripts = [uplot.script, page_file("charts.js")]
    drawn = {chart["id"]: chart for chart in data["charts"]}
    return template("report.html.j2").render(
        report=report,
        title=sentences.title(report),
        sections=drawable(outline(report), drawn),
        charts=drawn,
        endpoints=data["endpoints"],
        policy=content_security_policy(scripts, style),
        data=embedded_json(data),
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        uplot_version=uplot.version,
        uplot_notice=page_file("uplot-notice.txt"),
    )


def drawable(sections: list[tree.Section], drawn: Collection[str]) -> list[tree.Section]:
    """Return the sections without the charts that have nothing to draw."""
    return tree.filled([replace(section, blocks=_with_charts(section.blocks, drawn)) for section in sections])


def _with_charts(blocks: tuple[tree.Block, ...], drawn: Collection[str]) -> tuple[tree.Block, ...]:
    found: list[tree.Block] = []
    for block in blocks:
        if isinstance(block, tree.Charts):
            found.append(replace(block, ids=tuple(element for element in block.ids if element in drawn)))
        elif isinstance(block, tree.Beside):
            found.append(tree.Beside(_with_charts(block.blocks, drawn)))  # type: ignore[arg-type] # blocks of the same kinds
        else:
            found.append(block)
    return tuple(found)


def embedded_json(data: object) -> Markup:
    """Return `data` as JSON that is escaped so that no text in it can end the script element."""
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
    """Return a template of reports/page. It can call FILTERS, it escapes every text, and fails if a name is missing."""
    from reports.render.templates import environment

    kept = Path(importlib.util.cache_from_source(__file__)).parent
    return environment(page_file, FILTERS, kept=kept, program=program()).get_template(name)
