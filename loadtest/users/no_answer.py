"""End a task whose request was not answered."""

from __future__ import annotations

from locust.exception import RescheduleTask


class NoAnswerError(RescheduleTask):
    """A scenario requested the content of an answer that never came.

    The request is recorded with its own outcome (a timeout, a refused connection). The rest of the task is skipped,
    because the task cannot continue without an answer, and Locust continues with the next task. This exception does not
    count as an error of the scenario.
    """
