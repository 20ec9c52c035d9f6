"""Generate runs in which any number of instances are slow at their first requests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.kinds import Drawn, Rng, _steady


def draw(rng: Rng) -> Drawn:
    """Return a run with one to twelve instances, warm or started during the run, each slow at 1 to 40 requests."""
    warm = bool(rng.random() < 0.5)
    seconds = int(rng.integers(300, 900))
    world = _steady(rng, seconds=seconds, stuck=True, scale_in_s=1e6, cores=int(rng.choice([1, 2, 4, 8])))
    users = float(np.round(np.exp(rng.uniform(np.log(10), np.log(150)))))
    load = users * world.service_ms / 1000 / world.cores
    count = int(rng.integers(1, 13))
    slow = int(np.exp(rng.uniform(0, np.log(40))))
    extra_ms = float(rng.uniform(3, 30) * (world.service_ms + world.wait_ms))
    at = np.sort(rng.uniform(30, seconds - 60, count))
    world = replace(
        world,
        users=np.full(seconds, users),
        warm=max(count if warm else 1, int(np.ceil(load / rng.uniform(0.15, 0.35)))),
        swaps=() if warm else tuple((float(moment), -1) for moment in at),
        first_count=slow,
        first_extra_ms=extra_ms,
        lazy_ms=extra_ms if warm else 0.0,
    )
    return Drawn("lazy instances" if warm else "instances added", world, ())
