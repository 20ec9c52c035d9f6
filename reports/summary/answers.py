"""Say how a run's answers compare with those that were taken before its load."""

from __future__ import annotations

from loadtest.recording.run import AnswerCheckRecord
from reports import model
from reports.data.endpoints import EndpointKey
from reports.data.series import Series

NOWHERE = EndpointKey("", "")


def answers(
    record: AnswerCheckRecord | None, series: Series, failures: list[model.Failure]
) -> model.AnswerCheck | None:
    """Return the comparison, None where there was none.

    Args:
        record: of `run.json`.
        series: of the run.
        failures: of the run, by endpoint.
    """
    if record is None:
        return None
    sent = dict(zip(series.endpoints, series.by_endpoint.tolist(), strict=True))
    endpoints = [
        model.CheckedEndpoint(
            method=one.method,
            name=one.name,
            references=one.references,
            requests=int(sent.get(series.index.kept(EndpointKey(one.name, one.method)) or NOWHERE, 0)),
            compared=one.checked,
            wrong=sum(
                failure.count
                for failure in failures
                if (failure.kind, failure.method, failure.name) == ("wrong_answer", one.method, one.name)
            ),
            left_out=one.left_out,
        )
        for one in record.endpoints
    ]
    examples = [
        model.WrongAnswer(
            at_s=round(one.at_s - series.t0_ns / 1e9, 3),
            **{name: getattr(one, name) for name in ("method", "name", "differs", "request", "expected", "got")},
        )
        for one in record.wrong
    ]
    return model.AnswerCheck(
        compared=sum(one.checked for one in record.endpoints),
        wrong=int(series.by_outcome["wrong_answer"].sum()),
        endpoints=endpoints,
        examples=examples,
    )
