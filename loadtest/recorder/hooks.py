"""Receive every event of Locust before all other listeners, and count the listeners' errors."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from locust import log as locust_log
from locust.event import EventHook, Events
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser

CONTROL_FLOW = (StopUser, StopTest, RescheduleTask, RescheduleTaskImmediately, InterruptTaskSet)
"""Exceptions that a listener raises on purpose. Locust passes on these exceptions to the task that fired the event."""

LOCUSTS_OWN = "locust.runners"
"""The module whose listeners count Locust's own totals."""

First = Callable[[dict[str, Any]], dict[str, Any]]
"""A function that receives an event, never raises, and returns the event for Locust's own listeners."""

Measure = Callable[[Callable[..., None], dict[str, Any]], AbstractContextManager[dict[str, Any]]]
"""A function that times a block and fires its event. The arguments are the function that fires the event, and the
fields that are known before the block."""

OnError = Callable[[str, BaseException], None]

OnSlow = Callable[[str, str, float], None]
"""A function that is called for a listener that took SLOW_S or longer, with the event, the listener's name and the
seconds."""

SLOW_S = 1.0


class ObservedHook(EventHook):
    """Locust's hook, with a first listener that always stays first, and with a count of the other listeners' errors.

    A scenario may add listeners before ours, raise errors in them, or empty the list. `lt_first` still receives every
    event. Otherwise the hook works like Locust's own hook.
    """

    lt_name: str = ""
    lt_first: First | None = None
    lt_on_error: OnError | None = None
    lt_on_slow: OnSlow | None = None
    lt_measure: Measure | None = None

    def fire(self, *, reverse: bool = False, **kwargs: Any) -> None:
        """Call `lt_first`, then the listeners."""
        for_locust = kwargs if self.lt_first is None else self.lt_first(kwargs)
        handlers = self._handlers[::-1] if reverse else self._handlers.copy()
        if self.lt_first is not None:  # if a scenario's listener raises, Locust's totals would miss the event
            handlers.sort(key=_is_locusts, reverse=True)
        for handler in handlers:
            begin_s = time.monotonic()
            try:
                handler(**(for_locust if _is_locusts(handler) else kwargs))
            except CONTROL_FLOW:
                raise
            except Exception as error:  # as in Locust, the other listeners are still called
                logging.error("Uncaught exception in event handler: \n%s", traceback.format_exc())
                locust_log.unhandled_greenlet_exception = True
                self._count(error)
            except SystemExit as error:
                self._count(error)
                raise
            finally:
                took_s = time.monotonic() - begin_s
                if took_s >= SLOW_S and self.lt_on_slow is not None and not _is_locusts(handler):
                    self.lt_on_slow(self.lt_name, getattr(handler, "__qualname__", type(handler).__name__), took_s)

    @contextmanager
    def measure(
        self, request_type: str, name: str, response_length: int = 0, context: Any = None
    ) -> Generator[dict[str, Any]]:
        """Measure a request like Locust's own `measure`.

        If there is an `lt_measure`, the request is known from its start.
        """
        if self.lt_measure is None:
            with super().measure(request_type, name, response_length, context) as event:
                yield event
            return
        begin = {
            "request_type": request_type,
            "name": name,
            "response_length": response_length,
            "context": context or {},
            "exception": None,
            "start_time": time.time(),
        }
        with self.lt_measure(self.fire, begin) as event:
            yield event

    def _count(self, error: BaseException) -> None:
        if self.lt_on_error is not None:
            self.lt_on_error(self.lt_name, error)


def observe(events: Events, on_error: OnError, on_slow: OnSlow | None = None) -> None:
    """Turn every hook of `events` into an ObservedHook in place, so that existing references stay valid."""
    for name, hook in vars(events).items():
        if type(hook) is EventHook:
            hook.__class__ = ObservedHook
        if isinstance(hook, ObservedHook):
            hook.lt_name, hook.lt_on_error, hook.lt_on_slow = name, on_error, on_slow


def listen_first(hook: EventHook, first: First, measure: Measure | None = None) -> None:
    """Call `first` before all listeners of a hook, and Locust's own listeners next, even if others are added later.

    Args:
        hook: the hook, which becomes an ObservedHook.
        first: receives the events of the hook.
        measure: replaces the hook's `measure`; None keeps Locust's `measure`.
    """
    if not isinstance(hook, ObservedHook):  # the scenario has replaced the hook by an object of its own class
        hook.__class__ = type("ObservedHook", (ObservedHook, type(hook)), {})
    assert isinstance(hook, ObservedHook)
    hook.lt_first, hook.lt_measure = first, measure


def _is_locusts(handler: object) -> bool:
    return getattr(handler, "__module__", "") == LOCUSTS_OWN
