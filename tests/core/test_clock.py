"""The clock for timestamps: steps of the machine's wall clock change no duration, and are reported."""

from __future__ import annotations

import pytest

from loadtest.core.clock import AnchoredClock

S = 1_000_000_000


class Machine:
    """A wall clock and a monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.wall_ns, self.monotonic_ns = 1_700_000_000 * S, 5 * S

    def pass_s(self, seconds: float) -> None:
        self.wall_ns += round(seconds * S)
        self.monotonic_ns += round(seconds * S)

    def clock(self) -> AnchoredClock:
        return AnchoredClock(lambda: self.wall_ns, lambda: self.monotonic_ns)


@pytest.mark.parametrize("step_s", [-3600, -5, 5, 3600])
def test_a_step_changes_no_duration_and_is_reported_once(step_s: int) -> None:
    """10 s with a step in the middle are 10 s on this clock. The step is reported once, with its time."""
    machine = Machine()
    clock = machine.clock()
    begin_ns = clock.now_ns()
    machine.pass_s(4)
    assert clock.take_step() is None
    machine.wall_ns += step_s * S
    step = clock.take_step()
    assert step is not None
    assert step.by_s == pytest.approx(step_s)
    assert step.at_ns - begin_ns == 4 * S
    machine.pass_s(6)
    assert clock.now_ns() - begin_ns == 10 * S
    assert clock.take_step() is None


def test_steps_add_up() -> None:
    """A step of +1 h and a step back are reported as two steps."""
    machine = Machine()
    clock = machine.clock()
    told = []
    for step_s in (3600, -3600):
        machine.wall_ns += step_s * S
        step = clock.take_step()
        assert step is not None
        told.append(step.by_s)
    assert told == [3600, -3600]


def test_slewing_is_no_step() -> None:
    """A clock that NTP slews by 0.05 % for 100 s is off by 50 ms. This is not a step."""
    machine = Machine()
    clock = machine.clock()
    machine.pass_s(100)
    machine.wall_ns += S // 20
    assert clock.take_step() is None


def test_a_wall_time_taken_after_a_step_is_brought_back() -> None:
    """If the machine's clock is an hour ahead, timestamps that a client takes from it are moved back by an hour."""
    machine = Machine()
    clock = machine.clock()
    machine.wall_ns += 3600 * S
    machine.pass_s(2)
    assert clock.from_wall_ns(machine.wall_ns - S) == clock.now_ns() - S
