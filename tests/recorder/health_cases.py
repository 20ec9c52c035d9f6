"""What blocked a worker's event loop: a listener of the scenario, a computation, or nothing in this process."""

from __future__ import annotations

import locust  # noqa: F401 - first: it patches sockets and threads
import pytest
from locust.env import Environment

from loadtest.recorder.health import COMPUTING, SlowListener, held_by
from loadtest.recorder.hooks import observe

MADE = SlowListener("test_start", "make", 8.0)


@pytest.mark.parametrize(
    ("lag_s", "lag_cpu_ratio", "slowest", "said"),
    [
        (8.0, 0.3, MADE, "the scenario's test_start listener make"),  # a busy machine gave the worker a third of a core
        (8.0, 0.9, SlowListener(), COMPUTING),
        (8.0, 0.1, SlowListener(), ""),  # stopped, or without CPU
        (20.0, 0.1, MADE, ""),
        (0.0, 0.0, MADE, ""),  # a listener that lets other greenlets run, so nothing was late
    ],
)
def test_a_delay_is_the_scenarios_where_its_listener_ran(
    lag_s: float, lag_cpu_ratio: float, slowest: SlowListener, said: str
) -> None:
    assert held_by(lag_s, lag_cpu_ratio, slowest) == said


def test_a_slow_listener_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener is reported by its event and name, even if it raises an error at the end."""
    now = iter([0.0, 0.5, 1.0, 9.0])
    monkeypatch.setattr("loadtest.recorder.hooks.time.monotonic", lambda: next(now))
    slow: list[tuple[str, str, float]] = []
    events = Environment().events
    observe(events, lambda *_: None, lambda *told: slow.append(told))

    def quick(**_: object) -> None:
        return

    def make(**_: object) -> None:
        raise KeyError

    events.test_start.add_listener(quick)
    events.test_start.add_listener(make)
    events.test_start.fire(environment=None)
    assert [(event, name.rpartition(".")[2], took_s) for event, name, took_s in slow] == [("test_start", "make", 8.0)]
