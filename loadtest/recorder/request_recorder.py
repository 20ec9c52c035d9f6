"""Write the row of every request, whether or not Locust's request event reports it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from time import perf_counter_ns
from typing import Any

import gevent
from gevent.monkey import get_original

from ..core.clock import AnchoredClock
from ..core.templates import path_template
from ..recording.buffer import RECORDED_KEY, RowBuffer
from ..recording.outcomes import (
    GENERATOR,
    NO_ANSWER_BY_THE_END,
    OK,
    TIMEOUT,
    UNANSWERED,
    account_for,
    error_text,
    interruption_text,
    outcome_of,
    text_of,
)
from ..users.answers import AnswerWatch
from ..users.sides import current_side
from .cut_off import interruption
from .events import EventRow, RefusedEventError, broken_body, field_text, for_locust, row_of
from .failed_bodies import FailedBodies
from .in_flight import InFlight, State, StockRequest
from .refusals import Refusals
from .stock_answers import stock_answer

MAX_CUSTOM_METHODS = 50

thread_id: Callable[[], int] = get_original("_thread", "get_ident")
"""Returns the id of the system thread. Gevent's version returns a different id for every greenlet."""

SLACK_NS = 1_000_000_000
"""A start time that a client reports may lie this far outside the run, because the client reads the clock before the
recorder does, and may round the time."""


class RequestRecorder:
    """The first listener of the request event.

    The listener never raises an error. In `refusals` the listener counts, by kind, the values that it cannot record.

    Attributes:
        custom_methods: types of requests that are reported only when they end, so that their start is unknown.
        refusals: values that could not be recorded unchanged.
        answers: checks the answers of Locust's own clients; None if they are not checked.
        bodies: the bodies of failed answers.
    """

    def __init__(self, buffer: RowBuffer, clock: AnchoredClock, lateness_us: Callable[[float], int]) -> None:
        self.buffer = buffer
        self.refusals = Refusals()
        self.bodies = FailedBodies()
        self.custom_methods: set[str] = set()
        self.in_flight = InFlight(buffer, self, lateness_us)
        self.answers: AnswerWatch | None = None
        self._clock = clock
        self._lateness_us = lateness_us
        self._begin_ns = clock.now_ns()
        self._loop = gevent.get_hub().loop
        self._thread_id = thread_id()

    def heard(self, event: dict[str, Any]) -> dict[str, Any]:
        """Record a request event with any fields, and return it in the form that Locust's own totals accept."""
        try:
            if self.answers is not None:
                event = self._looked_at(event, self.answers)
            self._record(event)
            return for_locust(event)
        except (
            Exception
        ) as error:  # if a row is lost because of a bug in our code, this is recorded and not only logged
            self.refusals.add(f"recorder: {type(error).__name__}", error, lost=True)
            return event

    @staticmethod
    def _looked_at(event: dict[str, Any], answers: AnswerWatch) -> dict[str, Any]:
        """Return the event of one of Locust's own clients. If the answer is wrong, the event is a failure."""
        context = event.get("context")
        if isinstance(context, Mapping) and RECORDED_KEY in context:
            return event
        answer = stock_answer(event)
        error = None if answer is None else answers.look(*answer, event)
        return event if error is None else {**event, "exception": error}

    def _record(self, event: dict[str, Any]) -> None:
        method, name = text_of(event.get("request_type")), text_of(event.get("name"))
        self.buffer.count_events(name, method)
        context = event.get("context")
        # this is a request of FastUser, which already has its row
        if isinstance(context, Mapping) and RECORDED_KEY in context:
            if event.get("exception") is not None:
                response = event.get("response")
                status = getattr(response, "status_code", 0) or 0
                self.bodies.add(method=method, name=name, status=status, response=response)
            return
        now_ns = perf_counter_ns()
        request = self.in_flight.of_event(event)
        if request is None:
            self.buffer.begun += 1
            if len(self.custom_methods) < MAX_CUSTOM_METHODS:
                self.custom_methods.add(method[:50])
        elif not self.buffer.end(request):
            return  # the request was closed at the end of the run, and already has its row
        else:
            request.state = State.RECORDED
        measured_us = None if request is None else ((request.ended_ns or now_ns) - request.started_ns) // 1000
        try:
            row = row_of(event, self._left_out, latency_us=measured_us)
        except RefusedEventError as refused:
            self.refusals.add(refused.name, refused.value, lost=True)
            return
        if request is not None:
            self._append_known(request, row, event.get("response"))
        else:
            row = self._unless_cut_off(row)
            start_ns = self._start_ns(row, now_ns)
            late_us = self._lateness_us(now_ns / 1e9 - row.latency_us / 1e6)
            self._append(row, start_ns, late_us, row.name, current_side())

    def _unless_cut_off(self, row: EventRow) -> EventRow:
        """Return the row.

        If a `finally` fired the event while the user was being stopped, the outcome is `unanswered`.
        """
        error = interruption()
        if error is None:
            return row
        account_for(error)
        return replace(row, outcome=UNANSWERED, error=row.error or interruption_text(error))

    def interrupted(self, request: StockRequest, error: BaseException | None) -> None:
        """Write the row of a request without an answer."""
        if error is None:
            outcome, text = UNANSWERED, NO_ANSWER_BY_THE_END
        elif isinstance(error, Exception):
            outcome, text = outcome_of(None, error), error_text(error)
        else:
            found = outcome_of(None, error)
            outcome, text = (found if found in (TIMEOUT, GENERATOR) else UNANSWERED), interruption_text(error)
        age_us = (perf_counter_ns() - request.started_ns) // 1000
        self._append_known(
            request,
            EventRow(
                name=field_text(request.name, "name", self._left_out),
                method=field_text(request.method, "request_type", self._left_out),
                latency_us=age_us,
                start_s=None,
                status=0,
                outcome=outcome,
                error=text,
                bytes=0,
                instance="",
                instance_age_ms=-1,
                server_us=-1,
            ),
        )

    def unjudged(self, request: StockRequest, event: dict[str, Any]) -> None:
        """Write the row of an answer that the scenario never checked in a `with` block.

        The request counts as failed if the transport reported an error, or if the status is 400 or above.
        """
        measured_us = ((request.ended_ns or perf_counter_ns()) - request.started_ns) // 1000
        response = event.get("response")
        failure = event.get("exception") or getattr(response, "error", None) or broken_body(response)
        status = getattr(response, "status_code", 0) or 0
        if failure is None and isinstance(status, int) and status >= 400:
            failure = f"HTTP {status}"
        row = row_of({**event, "exception": failure}, self._left_out, latency_us=measured_us)
        self._append_known(request, row, response)

    def _left_out(self, name: str, value: object) -> None:
        self.refusals.add(name, value, lost=False)

    def _append_known(self, request: StockRequest, row: EventRow, response: object = None) -> None:
        name = row.name if request.is_named else path_template(row.name)
        if row.outcome != OK:
            self.bodies.add(method=row.method, name=name, status=row.status, response=response)
        self._append(row, request.started_ns + self._clock.ahead_ns, request.late_us, name, request.side)

    def _start_ns(self, row: EventRow, moment_ns: int) -> int:
        """Return when a custom client's request began.

        The result is the time that the client reported if it lies within the run, else the current time minus the
        latency.
        """
        now_ns = moment_ns + self._clock.ahead_ns
        latency_ns = row.latency_us * 1000
        if row.start_s is not None:
            start_ns = self._clock.from_wall_ns(round(row.start_s * 1e9))
            if self._begin_ns - SLACK_NS <= start_ns <= now_ns + SLACK_NS - latency_ns:
                return start_ns
            self.refusals.add("start_time is not within the run", row.start_s, lost=False)
        return now_ns - latency_ns

    def _append(self, row: EventRow, start_ns: int, late_us: int, name: str, side: int) -> None:
        """Append a row in the event loop's thread, because a client library may report requests from its own threads.

        The buffer has no lock. If two threads added new names at the same time, each could get the other's index.
        """
        if thread_id() == self._thread_id:
            self._append_here(row, start_ns, late_us, name, side)
        else:
            self._loop.run_callback_threadsafe(self._append_here, row, start_ns, late_us, name, side)

    def _append_here(self, row: EventRow, start_ns: int, late_us: int, name: str, side: int) -> None:
        buffer = self.buffer
        buffer.add(
            start=start_ns,
            latency_us=row.latency_us,
            late_us=late_us,
            name=buffer.name_id(name),
            method=buffer.name_id(row.method),
            status=row.status,
            outcome=row.outcome,
            error=buffer.error_id(row.error),
            bytes=row.bytes,
            instance=buffer.instance_id(row.instance),
            instance_age_ms=row.instance_age_ms,
            server_us=row.server_us,
            side=side,
        )
