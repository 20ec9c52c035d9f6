"""Watch a run to its end: show it, stop it when a condition says so, pass on Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.progress import ProgressLine
from loadtest.progress import Follower, Glance, Recent
from recording.errors import FleetError

if TYPE_CHECKING:
    from loadtest.fleet import Fleet
    from recording.folder import RunFolder

LOOK_EVERY_S = 0.25

Brake = Callable[[Glance, tuple[Recent, ...]], str | None]
"""Called at every look with how the run is doing and what came in since; a sentence ends the run early and says why."""


@dataclass(frozen=True, slots=True)
class End:
    """How a fleet ended.

    Attributes:
        interrupted: cut short by the user.
        braked: cut short by a condition.
        reasons: why the run is not complete, as sentences.
    """

    interrupted: bool = False
    braked: bool = False
    reasons: tuple[str, ...] = ()


def watch(fleet: Fleet, folder: RunFolder, planned_s: float | None, brakes: tuple[Brake, ...]) -> End:
    """Watch the fleet to its end; Ctrl-C asks it to end early, a second one forces it.

    Raises:
        FleetError: it ended before the first request; the text has its last words.
    """
    follower = Follower(folder)
    interrupted, braked = False, ""
    with ProgressLine(planned_s, expect_workers=fleet.plan.expect_workers) as line:
        while True:
            try:
                while fleet.running():
                    glance, new = follower.look(time.monotonic())
                    line.show(glance, ending=interrupted or bool(braked))
                    if not braked and (why := next(filter(None, (brake(glance, new) for brake in brakes)), None)):
                        braked = why
                        line.say(why)
                        fleet.stop()
                    time.sleep(LOOK_EVERY_S)
                code = fleet.finish()
                break
            except KeyboardInterrupt:
                if interrupted:
                    return End(
                        interrupted=True, reasons=("a second Ctrl-C forced the end: the last rows may be missing",)
                    )
                interrupted = True
                fleet.stop()
    if code != 0 and not interrupted and follower.look(time.monotonic())[0].requests == 0:
        raise FleetError(f"Locust ended with status {code} before the first request:\n{fleet.last_words()}")
    reasons = [braked] if braked else []
    if code:
        reasons.append(f"the Locust master ended {f'by signal {-code}' if code < 0 else f'with status {code}'}")
    return End(interrupted=interrupted, braked=bool(braked), reasons=tuple(reasons))
