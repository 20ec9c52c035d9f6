"""Draw runs that reach a service's capacity and runs that do not, each with its true capacity and knee."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tests.kinds import Drawn, Rng, Seen
from tests.world import Floats, World


@dataclass(frozen=True)
class Ceiling:
    """A run with the true values for one instance of its service.

    Attributes:
        drawn: the simulated service and load, without any disturbance.
        seen: the recorded data.
        reached: whether the load exceeded the capacity.
        per_instance_per_s: the most requests/s that one instance answers.
        in_flight: that number × the mean time of a request without waiting, which is the knee of one instance.
    """

    drawn: Drawn
    seen: Seen
    reached: bool
    per_instance_per_s: float
    in_flight: float

    @property
    def instances(self) -> int:
        """The number of instances that serve."""
        return self.drawn.world.warm


def _service(rng: Rng) -> World:
    """Return a service of one to three instances, each of one to four cores."""
    mixed = rng.random() < 0.4
    endpoints = (("/predict", 0.7, 1.0), ("/features", 0.3, float(rng.uniform(0.5, 1.5))))
    return World(
        int(rng.integers(200, 700)),
        np.zeros(1),
        service_ms=float(rng.uniform(12, 60)),
        sigma=float(rng.uniform(0.15, 0.45)),
        wait_ms=float(rng.choice([0.0, 20.0, 60.0])),
        endpoints=endpoints if mixed else (("/predict", 1.0, 1.0),),
        cores=int(rng.choice([1, 2, 4])),
        warm=int(rng.integers(1, 4)),
        concurrency=int(rng.choice([20, 80, 200])),
        stuck=True,
        drift=float(rng.uniform(0.02, 0.07)),
    )


def truth(world: World) -> tuple[float, float]:
    """Return the most requests/s of one instance, and the number it has in flight at that rate without a queue."""
    spread = float(np.exp(world.sigma**2 / 2))
    mix = sum(share * factor for _, share, factor in world.endpoints) / sum(share for _, share, _ in world.endpoints)
    core_s = world.service_ms / 1000 * mix * spread * (1 + 9 * world.tail + 5 * world.bimodal)
    alone_s = core_s + world.wait_ms / 1000 * spread
    most = min(world.cores / core_s, world.concurrency / alone_s)
    return most, most * alone_s


def _climb(rng: Rng, seconds: int, most: float, how: str) -> Floats:
    """Return a load that climbs to `most`: slowly over a part of the run, in steps, or at once after a light start."""
    at = np.arange(seconds)
    if how == "ramp":
        return np.asarray(most * np.minimum(1.0, (at + 1) / (seconds * rng.uniform(0.5, 0.95))))
    if how == "steps":
        steps = int(rng.integers(4, 8))
        return np.asarray(most * (np.minimum(at // (seconds // steps), steps - 1) + 1) / steps)
    light = rng.uniform(0.08, 0.2)
    return np.where(at < seconds * rng.uniform(0.2, 0.4), most * light, most)


LOADS = ("closed", "open", "think", "no pause", "no pause, from the start", "users unknown")


def draw(rng: Rng) -> Ceiling:
    """Return one run. The load of the run has any form, and climbs above the capacity or to at most 85 % of it."""
    world, load = _service(rng), str(rng.choice(LOADS))
    most, knee = truth(world)
    room = world.warm * most
    reached = bool(rng.random() < 0.6)
    of = float(rng.uniform(1.25, 3.0) if reached else rng.uniform(0.2, 0.85))
    how = str(rng.choice(["ramp", "steps", "jump"]))
    if load.startswith("no pause"):
        # users without pauses are always in flight: half the knee leaves cores idle, and twice the knee keeps all cores
        # busy
        of = float(rng.uniform(2.5, 8.0) if reached else rng.uniform(0.15, 0.5))
        users = max(1.0, np.round(knee * world.warm * of))
        reached = users >= 2 * knee * world.warm
        climbs = np.full(world.seconds, users) if load.endswith("start") else _climb(rng, world.seconds, users, how)
        world = replace(world, users=np.maximum(1.0, climbs), pace_s=0.0)
        if not reached and users > 0.7 * knee * world.warm:
            return draw(rng)
    elif load == "think":
        think_s = float(rng.uniform(0.5, 2.0))
        users = np.round(room * of * (think_s + knee / most))
        world = replace(world, users=_climb(rng, world.seconds, float(users), how), think_s=think_s)
    else:
        users = np.round(room * of)
        is_open = load == "open" or (load == "users unknown" and rng.random() < 0.3)
        if is_open and reached:
            users = np.round(room * rng.uniform(1.1, 1.6))  # with open-loop load, the queue grows without end
        world = replace(world, users=_climb(rng, world.seconds, float(users), how), open_loop=is_open)
    if world.users.max() > 400 or world.users.max() < 2:
        return draw(rng)
    seen = Seen(headers=bool(rng.random() < 0.6), gauge=bool(rng.random() < 0.5), users=load != "users unknown")
    kind = f"{load}, {how}" if not load.endswith("start") else load
    return Ceiling(Drawn(kind, world, ()), seen, reached, most, knee)
