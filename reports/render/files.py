"""Write a report into the folder of its run, or next to the folders of its runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from loadtest.recording.folder import RunFolder
from reports.model import Report
from reports.render.html import render_html
from reports.render.stamp import stamped
from reports.verdict import of_report


def write_report(folders: Sequence[Path], report: Report, *, sources: str = "") -> Path:
    """Write the page and return its path.

    The page of a single run is in the folder of the run. A comparison is next to the first folder.

    For a single run, `summary.json` is written too.

    Args:
        folders: the runs' folders.
        report: the report of these runs.
        sources: for the stamp of a single run's page: what `run_sources` returned before the run was read.

    Raises:
        RunFolderError: the folder cannot be written.
        UnusableError: no installed package contains the chart script.
    """
    page = render_html(report)
    home = RunFolder(folders[0])
    if len(folders) == 1:
        summary = report.model_dump_json() + "\n"
        home.write_derived(home.summary, summary)
        home.write_derived(home.report, stamped(page, sources, of_report(report).kind, summary))
        return home.report
    path = home.path.parent / f"compare-{comparison_name([folder.name for folder in folders])}.html"
    home.write_derived(path, page)
    return path


def comparison_name(ids: Sequence[str]) -> str:
    """Return the stem of a comparison's file name: both ids of a pair, else the first id and a digest of all."""
    if len(ids) == 2:
        return f"{ids[0]}-with-{ids[1]}"
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:8]
    return f"{ids[0]}-with-{len(ids) - 1}-others-{digest}"
