"""Render a report as GitHub's workflow commands, with an annotation for each missed or undecided objective."""

from __future__ import annotations

import hashlib

from reports.data.formats import printable
from reports.model import Report
from reports.render import sentences
from reports.render.markdown import render_markdown
from reports.verdict import of_report

MAX_ANNOTATIONS = 10
"""Highest number of annotations of each level per step. GitHub drops all others without a message."""

LEVELS = {"missed": "error", "undecided": "warning", "unjudged": "warning", "held": "notice"}

MAX_CHARS = 1_000
"""Longest annotation. GitHub shows only the beginning of a longer message."""


def render_github(report: Report) -> str:
    """Return the annotations, then the Markdown, quoted so that GitHub finds no command in it."""
    return annotation_lines(report) + quoted(render_markdown(report))


def annotation_lines(report: Report) -> str:
    """Return a line per reason of the verdict: `::error title=…::…` if it is missed, a warning if it is undecided."""
    verdict = of_report(report)
    level = LEVELS[verdict.kind]
    title = f"{sentences.title(report)}: {verdict.kind}"
    shown = verdict.why[:MAX_ANNOTATIONS]
    if len(verdict.why) > MAX_ANNOTATIONS:
        left = len(verdict.why) - MAX_ANNOTATIONS + 1
        shown = [*shown[:-1], f"{left} more reasons: see the summary"]
    return "".join(f"::{level} title={_property(title)}::{_data(reason)}\n" for reason in shown)


def quoted(text: str) -> str:
    """Return the text between two lines that stop GitHub from obeying commands in it: names may contain anything."""
    token = f"lt-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return f"::stop-commands::{token}\n{text}::{token}::\n"


def _data(text: str) -> str:
    """Return the text as a command's message. `%`, CR and LF are replaced by GitHub's own escapes."""
    return printable(text)[:MAX_CHARS].replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text[:200]).replace(":", "%3A").replace(",", "%2C")
