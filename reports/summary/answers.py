"""Summarise the comparison of a run's answers with the reference answers from before its load."""

from __future__ import annotations

from loadtest.recording.run import AnswerCheckRecord
from reports import model
from reports.data.endpoints import EndpointKey
from reports.data.series import Series

NOWHERE = EndpointKey("", "")


def answers(
    record: AnswerCheckRecord | None, series: Series, failures: list[model.Failure]
) -> model.AnswerCheck | None:
    """Return the comparison; None if there was none.

    Args:
        record: the record in `run.json`.
        series: the run's series.
        failures: the run's failures, by endpoint.
    """
    if record is None:
        return None
    sent = dict(zip(series.endpoints, series.by_endpoint.tolist(), strict=True))
    endpoints = [
        model.CheckedEndpoint(
            method=endpoint.method,
            name=endpoint.name,
            references=endpoint.references,
            requests=int(sent.get(series.index.kept(EndpointKey(endpoint.name, endpoint.method)) or NOWHERE, 0)),
            compared=endpoint.checked,
            wrong=sum(
                failure.count
                for failure in failures
                if (failure.kind, failure.method, failure.name) == ("wrong_answer", endpoint.method, endpoint.name)
            ),
            left_out=endpoint.left_out,
        )
        for endpoint in record.endpoints
    ]
    examples = [
        model.WrongAnswer(
            at_s=round(item.at_s - series.t0_ns / 1e9, 3),
            **{name: getattr(item, name) for name in ("method", "name", "differs", "request", "expected", "got")},
        )
        for item in record.wrong
    ]
    return model.AnswerCheck(
        compared=sum(endpoint.checked for endpoint in record.endpoints),
        wrong=int(series.by_outcome["wrong_answer"].sum()),
        endpoints=endpoints,
        examples=examples,
    )
