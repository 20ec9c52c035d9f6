"""Lay out a report as one tree of sections, in the order in which every format shows them."""

from __future__ import annotations

from reports.model import Report
from reports.render.sections import answers, compared, latency, measured, service
from reports.render.tree import Section, filled


def outline(report: Report) -> list[Section]:
    """Return the report's sections, without empty ones."""
    return filled(
        [
            answers.in_short(report),
            answers.failures(report),
            compared.answers(report),
            answers.spikes(report),
            latency.over_time(report),
            *latency.comparisons(report),
            latency.percentiles(report),
            latency.warm_up(report),
            service.capacity(report),
            service.endpoints(report),
            service.instances(report),
            service.cost(report),
            measured.how(report),
        ]
    )
