"""Define the number of users over time: plans, as pure functions of elapsed time, and the Locust shape of a plan."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass

from locust import LoadTestShape, events
from locust.env import Environment

from ..core.plan import Point, users_at


@dataclass(frozen=True, kw_only=True)
class Plan(ABC):
    """Planned users over time, from 0 s to `duration_s`.

    The command line may override these three fields. Each kind of plan defines the meaning of these fields.

    Attributes:
        users: the maximum number of users.
        spawn_rate: users started per second while the plan rises.
        duration_s: length in seconds.
    """

    users: int
    spawn_rate: float
    duration_s: float

    @abstractmethod
    def points(self) -> tuple[Point, ...]:
        """Return the points in ascending time, the first at 0 s and the last at `duration_s`."""

    def users_at(self, elapsed_s: float) -> float | None:
        """Return the planned users; None before the start and after the end."""
        return users_at(self.points(), elapsed_s)

    def overridden(
        self, *, users: int | None = None, spawn_rate: float | None = None, duration_s: float | None = None
    ) -> Plan:
        """Return the plan with the given fields replaced."""
        return dataclasses.replace(
            self,
            users=self.users if users is None else users,
            spawn_rate=self.spawn_rate if spawn_rate is None else spawn_rate,
            duration_s=self.duration_s if duration_s is None else duration_s,
        )


@dataclass(frozen=True, kw_only=True)
class Ramp(Plan):
    """Rise from 0 to `users` at `spawn_rate`, then stay there to the end."""

    def points(self) -> tuple[Point, ...]:
        """Return three points: the start, the end of the rise, and the end."""
        knee_s = self.users / self.spawn_rate
        if knee_s >= self.duration_s:
            return ((0.0, 0.0), (self.duration_s, self.spawn_rate * self.duration_s))
        return ((0.0, 0.0), (knee_s, float(self.users)), (self.duration_s, float(self.users)))


SHAPELESS = Ramp(users=10, spawn_rate=1, duration_s=60)
"""The plan of a locustfile without a shape, if the command line sets nothing."""


@dataclass(frozen=True, kw_only=True)
class Burst(Plan):
    """Repeat a burst `times` times.

    A burst stays at `idle_users` for `idle_ratio` of its time, rises to `users` at `spawn_rate`, and stays there.
    """

    idle_users: int = 0
    idle_ratio: float = 0.5
    times: int = 1

    def points(self) -> tuple[Point, ...]:
        """Return four points per burst: start, start of the rise, end of the rise, end."""
        points: list[Point] = []
        cycle_s = self.duration_s / self.times
        for turn in range(self.times):
            begin_s = turn * cycle_s
            foot_s = begin_s + self.idle_ratio * cycle_s
            end_s = begin_s + cycle_s
            knee_s = min(foot_s + max(self.users - self.idle_users, 0) / self.spawn_rate, end_s)
            top = self.idle_users + self.spawn_rate * (knee_s - foot_s)
            points += [(begin_s, self.idle_users), (foot_s, self.idle_users), (knee_s, top), (end_s, top)]
        return tuple(points)


@dataclass(frozen=True, kw_only=True)
class Staircase(Plan):
    """Climb to `users` in `steps` equal steps of equal length, each with a rise at `spawn_rate`."""

    steps: int = 10

    def points(self) -> tuple[Point, ...]:
        """Return the start, the end of the rise and the end of every step."""
        step_s = self.duration_s / self.steps
        step_users = self.users / self.steps
        rise_s = min(step_users / self.spawn_rate, step_s)
        points: list[Point] = [(0.0, 0.0)]
        for step in range(self.steps):
            points += [
                (step * step_s + rise_s, (step + 1) * step_users),
                ((step + 1) * step_s, (step + 1) * step_users),
            ]
        return tuple(points)


class PlannedShape(LoadTestShape):
    """Locust's shape around a plan. A scenario defines a subclass and sets `plan`.

    Locust's own `--users`, `--spawn-rate` and `--run-time` override the plan's fields, also with plain `locust`.
    """

    abstract = True
    use_common_options = True
    plan: Plan

    def __init__(self) -> None:
        super().__init__()
        # Just before the start, Locust writes its defaults (1 user, 1/s) into the same options. The options are
        # read here, while they still contain the values of the command line.
        events.init.add_listener(self._override)

    def _override(self, environment: Environment, **_: object) -> None:
        options = environment.parsed_options
        if options is not None:
            self.plan = self.plan.overridden(
                users=options.num_users, spawn_rate=options.spawn_rate, duration_s=options.run_time
            )

    def tick(self) -> tuple[int, float] | None:
        """Return (users, spawn rate) for the second that begins now; None ends the run.

        A tick represents the following second, so it uses the plan's value in the middle of that second. The spawn rate
        is high enough to reach this value in one step. The slope of the ramp comes from the plan itself; with a lower
        spawn rate, Locust would block.
        """
        plan = self.plan
        elapsed_s = self.get_run_time()
        if elapsed_s >= plan.duration_s:
            return None
        planned = plan.users_at(min(elapsed_s + 0.5, plan.duration_s - 1e-9)) or 0.0
        return round(planned), max(1.0, abs(round(planned) - self.get_current_user_count()))
