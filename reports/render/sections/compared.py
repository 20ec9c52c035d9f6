"""Lay out the comparison of the answers under load with the reference answers."""

from __future__ import annotations

from reports.data import formats as f
from reports.model import AnswerCheck, Report
from reports.render.columns import table_of
from reports.render.tree import Block, Section, Words


def answers(report: Report) -> Section:
    """Return how many answers were compared, which ones differed, and the first differing answers."""
    several = len(report.runs) > 1
    checked = [(run, run.answers) for run in report.runs if run.answers is not None]
    blocks: list[Block] = [
        Words(
            compared_sentence(answers, run.totals.requests),
            tone="bad" if answers.wrong else "" if answers.compared else "unsure",
            lead=run.name if several else "",
        )
        for run, answers in checked
    ]
    endpoints = [(run, endpoint) for run, answers in checked for endpoint in answers.endpoints]
    blocks.append(table_of("Answers compared, by endpoint", endpoints, name_runs=several))
    examples = [(run, example) for run, answers in checked for example in answers.examples]
    blocks.append(table_of("The first answers that differed", examples, name_runs=several))
    return Section("answers", "Answers under load", tuple(blocks), nav="Answers", brief=True)


def compared_sentence(answers: AnswerCheck, requests: int) -> str:
    """Return the result of the comparison in a sentence or two."""
    if not answers.compared:
        return (
            "No answer was compared: the load sent none of the requests that were sent before it. Draw payloads from a "
            "pool of at most 1,000 that begins the same in every process (docs/users.md)."
        )
    of = f"{f.count(answers.compared)} of {f.plural(requests, 'request')}"
    if not answers.wrong:
        return f"{of} had an answer from before the load to compare with: none differed."
    return (
        f"The model answered differently under load: {f.plural(answers.wrong, 'answer')} differed. {of} had an answer "
        "from before the load to compare with."
    )
