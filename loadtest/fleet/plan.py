"""Define what a fleet runs: its processes as the options ask for them, and the scenario."""

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
        expect_workers: workers to wait for in all; the ones beyond `workers` join from other machines.
        bind: the address the master listens on for workers.
        port: the port of it; 0 takes a free one.
        join_timeout_s: how long to wait for all the workers.
        ui_port: of Locust's own web page on loopback; None for none.
        seed: of what the scenario sends.
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
        host: the target's base URL; None leaves every user class the one it names.
        join_secret: the secret a worker needs to join; empty: none.
        environment: variables for every process, in addition to this one's.
        answers: the file with the answers from before the load; None where they are not compared.
    """

    options: FleetOptions
    scenario: Scenario
    host: str | None
    join_secret: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)
    answers: Path | None = None

    def bounds(self) -> str:
        """Return what bounds a shape of the scenario's own, for the master."""
        load = self.scenario.load_for_locust()
        return json.dumps({"shape": self.scenario.shape_option, **load.model_dump()})
