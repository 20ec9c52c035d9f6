"""End a task whose request was not answered."""

from __future__ import annotations

from locust.exception import RescheduleTask


class NoAnswerError(RescheduleTask):
    """A scenario asked for the content of an answer that never came.

    The request is recorded as what it is (a timeout, a refused connection); the rest of the task, which would go on
    with nothing, is skipped, and Locust waits and takes the next one. It is not an error of the scenario.
    """
