"""Limit a load shape that is not ours to the users, spawn rate and duration of the options."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent
from locust.env import Environment

from ..users.shapes import PlannedShape
from .messages import BOUNDS_VARIABLE

Tick = tuple[Any, ...] | None
"""The result of a shape's `tick`: users, spawn rate and possibly user classes; None ends the run."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of a shape; None means no bound.

    Attributes:
        shape: the name of the shape to use if there are several; `none` for no shape.
    """

    shape: str | None = None
    users: int | None = None
    spawn_rate: float | None = None
    duration_s: float | None = None

    @classmethod
    def from_environment(cls) -> Bounds:
        """Read the bounds that the parent process has set."""
        return cls(**json.loads(os.environ.get(BOUNDS_VARIABLE, "{}")))

    def to_json(self) -> str:
        """Return the bounds as text for the master's environment."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})


def bounded(tick: Tick, bounds: Bounds, elapsed_s: float) -> Tick:
    """Return the shape's request at `elapsed_s`, reduced to the bounds."""
    if tick is None or (bounds.duration_s is not None and elapsed_s >= bounds.duration_s):
        return None
    users, rate, *classes = tick
    return (
        users if bounds.users is None else min(users, bounds.users),
        rate if bounds.spawn_rate is None else min(rate, bounds.spawn_rate),
        *classes,
    )


def apply_bounds(environment: Environment, bounds: Bounds, end_run: Callable[[], None]) -> None:
    """Choose the shape of a master.

    If the shape is not one of ours, limit it. Our own shapes read the options themselves.

    Args:
        environment: the environment of a master that already has a runner.
        bounds: the bounds of the shape.
        end_run: called at the end of the duration, in its own greenlet. Locust's own loop calls the shape's `tick`
            again only after all users of the last call have been started. At a slow spawn rate this takes minutes.
    """
    if bounds.shape is not None:
        shapes = environment.available_shape_classes or {}
        environment.shape_class = None if bounds.shape == "none" else shapes[bounds.shape]
    shape = environment.shape_class
    if shape is None:
        return
    shape.runner = environment.runner
    if isinstance(shape, PlannedShape):
        return
    tick = shape.tick
    shape.tick = lambda: bounded(tick(), bounds, shape.get_run_time())  # type: ignore[method-assign]
    if bounds.duration_s is not None:
        duration_s = bounds.duration_s
        environment.events.test_start.add_listener(lambda **_: gevent.spawn_later(duration_s, end_run))
