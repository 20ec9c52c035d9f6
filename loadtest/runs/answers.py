"""Collect the answers to a scenario's first requests before the load, so that the run can compare answers with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ..core.console import Console
from ..core.temp_folders import temporary_folder
from ..fleet.answers import take_reference
from ..fleet.scenario import Request, Scenario
from ..platforms.base import Target
from ..recording.run import AnswerCheckRecord, CheckedEndpointRecord
from .options import RunOptions


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers from before the load: their file for the master, and their entry in the run's record.

    The file and the entry are None if no answers were collected.
    """

    file: Path | None = None
    record: AnswerCheckRecord | None = None


@contextmanager
def answers_before(
    options: RunOptions, plan: Scenario, target: Target, *, host: str | None, console: Console
) -> Iterator[Answers]:
    """Collect the answers to the scenario's first requests if answers should be compared.

    The file with the answers exists while the block lasts.

    A run with two targets compares the targets with each other, so no answers are collected.

    Raises:
        FleetError: no answers can be compared.
    """
    if not (options.check_answers or plan.checks_answers) or options.target.sides:
        yield Answers()
        return
    doing = (
        "collecting reference answers: the scenario's first requests are sent one at a time, each twice (up to 45 s)"
    )
    with temporary_folder("answers") as folder:
        file = folder / "answers"
        asked = {name: getattr(options, name) for name in ("user_classes", "tags", "exclude_tags", "arguments")}
        with console.status(doing):
            reference = take_reference(
                options.locustfile,
                file,
                request=Request(**asked),
                host=host,
                check=options.answer_check,
                forced=options.check_answers,
                seed=options.fleet.seed,
                environment=target.environment,
            )
        record = AnswerCheckRecord(
            endpoints=[CheckedEndpointRecord.model_validate(asdict(endpoint)) for endpoint in reference.endpoints]
        )
        for endpoint in record.endpoints:
            left_out = f"; {endpoint.left_out}" if endpoint.left_out else ""
            console.say(f"Answers: {endpoint.references:,} kept of {endpoint.method} {endpoint.name}{left_out}")
        yield Answers(file, record)
