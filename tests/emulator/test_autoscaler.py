"""Decisions follow from the observations. Whole scenarios run on a fake clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import pytest

from loadtest.emulator.autoscaler import (
    DECIDE_EVERY_S,
    PANIC_WINDOW_S,
    WINDOW_S,
    CloudRun,
    Decision,
    Idle,
    Knative,
    Limits,
    Observed,
    Peak,
    Policy,
    Window,
    to_stop,
)

LIMITS = Limits(cpu=0.05, concurrency=80, min_instances=0, max_instances=100)
BUSY = Observed(limits=LIMITS, serving=1, last_request_ago_s=0.0)


def test_cpu_driver_wants_so_many_that_each_uses_60_percent() -> None:
    decision = CloudRun().decide(0, replace(BUSY, cpu_vcpu=0.15))
    assert (decision.desired, decision.driver) == (5, "cpu")  # 0.15 / (0.6 × 0.05) = 5, and exactly 5 stays 5
    assert "0.15 vCPU" in decision.reason


def test_concurrency_driver_wants_so_many_that_each_holds_60_percent_of_its_limit() -> None:
    decision = CloudRun().decide(0, replace(BUSY, concurrency=97.0, cpu_vcpu=0.0))
    assert (decision.desired, decision.driver) == (3, "concurrency")  # 97 / 48 = 2.02


def test_the_larger_driver_wins() -> None:
    decision = CloudRun().decide(0, replace(BUSY, concurrency=97.0, cpu_vcpu=0.15))
    assert (decision.desired, decision.driver) == (5, "cpu")


def test_requests_that_find_no_place_get_instances_at_once() -> None:
    # 300 requests wait, 10 places are free, and one starting instance brings 80: the other 210 need 3 instances of 80
    seen = replace(BUSY, pending=300, in_flight=70, starting=1)
    decision = CloudRun().decide(0, seen)
    assert (decision.desired, decision.driver) == (1 + 1 + 3, "on demand")


def test_requests_that_fit_a_starting_instance_start_no_other() -> None:
    decision = CloudRun().decide(0, Observed(limits=LIMITS, pending=60, starting=1, last_request_ago_s=0.0))
    assert decision.desired == 1


def test_requests_that_fit_a_standby_instance_bring_it_back_and_start_none() -> None:
    seen = replace(BUSY, in_flight=80, pending=60, standby=1)
    assert CloudRun().decide(0, seen).desired == 2


def test_one_request_at_zero_starts_one_instance() -> None:
    decision = CloudRun().decide(0, Observed(limits=LIMITS, pending=1, last_request_ago_s=0.0))
    assert (decision.desired, decision.driver) == (1, "on demand")


def test_max_instances_bounds_every_driver_and_the_reason_says_what_was_wanted() -> None:
    decision = CloudRun().decide(0, replace(BUSY, limits=replace(LIMITS, max_instances=4), cpu_vcpu=1.0))
    assert (decision.desired, decision.driver) == (4, "max")
    assert "34 desired" in decision.reason


def test_min_instances_stay_without_a_request() -> None:
    quiet = Observed(limits=replace(LIMITS, min_instances=2), serving=2)
    assert CloudRun().decide(0, quiet) == Decision(2, "min", "at least 2 asked for")


def test_what_an_idle_process_burns_keeps_no_instance() -> None:
    quiet = replace(BUSY, cpu_vcpu=0.002, last_request_ago_s=WINDOW_S)
    assert CloudRun().decide(0, quiet).desired == 0


def test_only_instances_over_their_idle_time_go_and_the_longest_idle_first() -> None:
    idle = [Idle("a", 899), Idle("b", 900), Idle("c", 1000)]
    assert to_stop(idle, idle_limit_s=900, may_go=5) == ["c", "b"]
    assert to_stop(idle, idle_limit_s=900, may_go=1) == ["c"]
    assert to_stop(idle, idle_limit_s=900, may_go=-1) == []


def test_window_averages_over_time_and_not_over_samples() -> None:
    window = Window(60)
    window.add(0, 0)
    window.add(50, 10)  # 10 for the last 10 s of 60
    window.add(51, 10)
    assert window.average(60) == pytest.approx(10 * 10 / 60)


def test_window_forgets_what_is_older_than_itself() -> None:
    window = Window(60)
    window.add(0, 100)
    window.add(10, 1)
    assert window.average(70) == pytest.approx(1)


def test_window_that_is_not_full_averages_what_there_is() -> None:
    window = Window(60)
    window.add(0, 4)
    assert window.average(2) == pytest.approx(4)


def test_peak_holds_the_largest_value_of_its_time() -> None:
    peak = Peak(60)
    assert [peak.add(at_s, value) for at_s, value in ((0, 2), (10, 9), (20, 3), (69, 3), (70, 4), (140, 1))] == [
        2, 9, 9, 9, 4, 1,
    ]  # fmt: skip


def test_knative_aims_at_70_percent_of_the_concurrency() -> None:
    decision = Knative().decide(0, replace(BUSY, concurrency=150.0, panic_concurrency=90.0, serving=2))
    assert (decision.desired, decision.driver) == (3, "concurrency")  # 150 / 56 = 2.7


def test_knative_panics_at_twice_what_it_has_and_does_not_go_down_for_a_minute() -> None:
    seen = replace(BUSY, concurrency=10.0, panic_concurrency=560.0)
    first = Knative().decide(100, seen)
    assert (first.desired, first.driver) == (10, "panic")
    quiet = replace(seen, serving=10, panic_concurrency=0.0, panic_since_s=first.panic_since_s, panic_desired=10)
    assert Knative().decide(159, quiet).desired == 10
    assert Knative().decide(160, quiet).desired == 5  # later the number halves at most, because the down-rate is 2


def test_knative_wants_one_for_a_request_at_zero() -> None:
    assert Knative().decide(0, Observed(limits=LIMITS, pending=3)).desired == 1


@dataclass
class Story:
    """A simulated service: closed-loop users send one request a second each, and instances take `start_s` to start.

    A request costs 1 ms of CPU, and an instance uses at most its CPU limit. Other requests wait at the instances, or
    in the queue if the instances have no more places.
    """

    policy: Policy
    limits: Limits
    start_s: float = 4.0
    cost_s: float = 0.001
    idle_s: float = 900.0
    now_s: float = 0.0
    starting: list[float] = field(default_factory=list)
    serving: int = 0
    peak: int = 0
    backlog: float = 0.0
    served: float = 0.0
    idle_since_s: float | None = None
    log: list[tuple[float, int, Decision]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.concurrency, self.panic, self.cpu = Window(WINDOW_S), Window(PANIC_WINDOW_S), Window(WINDOW_S)
        self.last_request_s: float | None = None
        self.decision = Decision(0, "none", "")

    def play(self, until_s: float, requests_per_s: float) -> None:
        """Simulate until the given time at the given load, with a decision every 2 s."""
        while self.now_s < until_s:
            self._second(requests_per_s)
            if self.now_s % DECIDE_EVERY_S == 0:
                self._decide()

    def _second(self, requests_per_s: float) -> None:
        self.now_s += 1
        ready = [at_s for at_s in self.starting if at_s <= self.now_s]
        self.starting = [at_s for at_s in self.starting if at_s > self.now_s]
        self.serving += len(ready)
        self.backlog += requests_per_s
        done = min(self.backlog, self.serving * self.limits.cpu / self.cost_s)
        self.backlog -= done
        self.served += done
        if requests_per_s or self.backlog:
            self.last_request_s = self.now_s
            self.idle_since_s = None
        elif self.idle_since_s is None:
            self.idle_since_s = self.now_s
        if self.serving:
            self.cpu.add(self.now_s, done * self.cost_s)
        self.concurrency.add(self.now_s, self.backlog)
        self.panic.add(self.now_s, self.backlog)
        self.peak = max(self.peak, self.serving)

    def _decide(self) -> None:
        places = self.serving * self.limits.concurrency
        seen = Observed(
            limits=self.limits,
            starting=len(self.starting),
            serving=self.serving,
            pending=max(0, math.floor(self.backlog - places)),
            in_flight=min(places, math.floor(self.backlog)),
            cpu_vcpu=self.cpu.average(self.now_s) if self.serving else None,
            concurrency=self.concurrency.average(self.now_s),
            panic_concurrency=self.panic.average(self.now_s),
            last_request_ago_s=None if self.last_request_s is None else self.now_s - self.last_request_s,
            panic_since_s=self.decision.panic_since_s,
            panic_desired=self.decision.panic_desired,
        )
        self.decision = self.policy.decide(self.now_s, seen)
        self.log.append((self.now_s, self.serving, self.decision))
        missing = self.decision.desired - self.serving - len(self.starting)
        self.starting += [self.now_s + self.start_s] * max(0, missing)
        if self.idle_since_s is not None:
            gone = to_stop(
                [Idle(str(i), self.now_s - self.idle_since_s) for i in range(self.serving)],
                idle_limit_s=self.idle_s,
                may_go=self.serving - max(self.limits.min_instances, self.decision.desired),
            )
            self.serving -= len(gone)


def test_twenty_minutes_of_the_original_story() -> None:
    """300 requests/s of 1 ms each: with 0.05 vCPU, 30 requests/s are 60 % of an instance's CPU, so ten are needed."""
    story = Story(CloudRun(), LIMITS)
    for second in range(60):
        story.play(second + 1, 5 * (second + 1))  # users arrive at 5 a second
    first = next(at_s for at_s, serving, _ in story.log if serving)
    assert first == 6  # desired at 2 s (the first decision), then 4 s to start
    story.play(180, 300)
    assert story.serving >= 10  # 300 × 1 ms / (0.6 × 0.05) = 10, once a minute of full load is in the window
    assert story.peak <= 14  # the backlog of the ramp may require some more instances
    drivers = {decision.driver for at_s, _, decision in story.log if 120 < at_s <= 180}
    assert drivers == {"cpu"}  # in the end, CPU alone decides
    assert story.backlog == 0  # all sent requests were served
    peak = story.serving
    story.play(600, 0)
    assert story.serving == peak  # seven minutes without load: instances are idle, but kept
    story.play(180 + 900, 0)
    assert story.serving == peak  # until the fifteenth minute without load ends
    story.play(1200, 0)
    assert story.serving == 0  # then all are gone


def test_twenty_minutes_at_a_maximum_saturate_without_scaling_out() -> None:
    story = Story(CloudRun(), replace(LIMITS, max_instances=4))
    story.play(1200, 300)  # four instances of 50 requests/s each
    assert story.serving == 4
    assert story.decision.driver == "max"
    assert story.backlog > 0


def test_twenty_minutes_of_waves_lose_nothing_and_keep_the_minimum() -> None:
    story = Story(CloudRun(), replace(LIMITS, min_instances=2), idle_s=60)
    for wave in range(10):
        story.play(wave * 120 + 60, 200)
        story.play(wave * 120 + 120, 0)
    story.play(1400, 0)
    assert story.served == pytest.approx(10 * 60 * 200)
    assert story.serving == 2


def test_twenty_minutes_under_knative_follow_concurrency_not_cpu() -> None:
    """At 300 requests/s of 1 ms each, hardly any request is in flight, so one instance of 1 vCPU is enough."""
    story = Story(Knative(), replace(LIMITS, cpu=1.0))
    story.play(1200, 300)
    assert story.peak <= math.ceil(6 * 300 / 56)  # panic mode, for the 6 s of backlog after the start from zero
    assert story.decision.desired <= 1
    assert story.backlog == 0
