"""Define what a fleet runs: the scenario, and the processes that the options ask for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..core.addresses import LOOPBACK
from .scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """Options of the processes that make the load, as `lt run` parses them.

    Attributes:
        workers: processes started on this machine.
        expect_workers: total number of workers to wait for; all workers in addition to `workers` join from other
            machines.
        bind: the address the master listens on for workers.
        port: the port the master listens on; 0 takes a free port.
        join_timeout_s: how long to wait for all the workers.
        ui_port: the port of Locust's own web page on loopback; None for no page.
        seed: the seed of the scenario's data.
    """

    workers: int
    expect_workers: int
    bind: str = LOOPBACK
    port: int = 0
    join_timeout_s: float = 60.0
    ui_port: int | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """One scenario against one target, by one fleet.

    Attributes:
        host: the target's base URL; if it is None, each user class keeps its own host.
        join_secret: the secret a worker needs to join; empty if none is needed.
        environment: variables for every process, in addition to this process's own.
        answers: the file with the answers from before the load; None if answers are not compared.
    """

    options: FleetOptions
    scenario: Scenario
    host: str | None
    join_secret: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)
    answers: Path | None = None

    def bounds(self) -> str:
        """Return the upper limits that the master applies to the scenario's own shape."""
        load = self.scenario.load_for_locust()
        return json.dumps({"shape": self.scenario.shape_option, **load.model_dump()})
