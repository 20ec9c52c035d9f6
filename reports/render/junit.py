"""Render a report as JUnit XML, so that a CI server shows each objective as a test."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from reports.model import Objective, Regression, Report, RunSummary
from reports.verdict import decide, generator_ratio, regression_sentence


def render_junit(report: Report) -> str:
    """Return JUnit XML: a suite per run, a case per objective (also the implied one) and one for the run's outcome.

    Margins of a comparison form a separate suite. Runs that are only a baseline have no suite.

    A missed objective is a failure. An undecided objective and an incomplete run are errors, which no CI server counts
    as passed.
    """
    suites = ET.Element("testsuites", name="lt")
    for run in report.runs:
        if run.name not in report.baseline:
            suites.append(_suite(run))
    if report.regressions:
        suites.append(_regressions(report.regressions))
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _suite(run: RunSummary) -> ET.Element:
    name = f"{clean(run.scenario)} on {clean(run.name)}"
    verdicts = [objective.verdict for objective in run.objectives]
    open_points = decide([], outcome=run.outcome, reasons=run.reasons, generator_ratio=generator_ratio(run))
    incomplete = open_points.kind == "undecided"
    suite = ET.Element(
        "testsuite",
        name=name,
        timestamp=f"{run.start:%Y-%m-%dT%H:%M:%S}",
        time=f"{run.duration_s:.0f}",
        tests=str(len(verdicts) + 1),
        failures=str(verdicts.count("missed")),
        errors=str(verdicts.count("undecided") + incomplete),
    )
    case = ET.SubElement(suite, "testcase", classname=name, name="the run is complete")
    if incomplete:
        ET.SubElement(case, "error", type=run.outcome, message=clean(". ".join(open_points.why)))
    elif run.reasons:
        ET.SubElement(case, "system-out").text = clean(f"{run.outcome}: {'. '.join(run.reasons)}")
    for objective in run.objectives:
        suite.append(_case(objective, name))
    return suite


def _regressions(found: Sequence[Regression]) -> ET.Element:
    verdicts = [regression.verdict for regression in found]
    suite = ET.Element(
        "testsuite",
        name="regression",
        tests=str(len(found)),
        failures=str(verdicts.count("missed")),
        errors=str(verdicts.count("undecided")),
    )
    for regression in found:
        name = clean(f"{regression.text}: {regression.b_name} against {regression.a_name}")
        case = ET.SubElement(suite, "testcase", classname="regression", name=name)
        said = clean(regression_sentence(regression))
        if regression.verdict == "held":
            ET.SubElement(case, "system-out").text = said
        else:
            kind = "failure" if regression.verdict == "missed" else "error"
            ET.SubElement(case, kind, type=regression.verdict, message=said)
    return suite


def _case(objective: Objective, suite: str) -> ET.Element:
    case = ET.Element("testcase", classname=suite, name=clean(objective.text + " (implied)" * objective.implied))
    if objective.verdict == "held":
        ET.SubElement(case, "system-out").text = clean(objective.why)
    else:
        kind = "failure" if objective.verdict == "missed" else "error"
        ET.SubElement(case, kind, type=objective.verdict, message=clean(objective.why))
    return case


def clean(text: str) -> str:
    """Return the text without the characters that XML 1.0 does not allow."""
    return (
        "".join(char if char in "\t\n" or (char >= " " and not "\ud800" <= char <= "\udfff") else " " for char in text)
        .replace("\ufffe", " ")
        .replace("\uffff", " ")
    )
