"""Follow a run against two targets, and determine when each margin is certainly held or missed."""

from __future__ import annotations

from collections.abc import Sequence

from reports.analysis.until_decided import Look, UntilDecided

from ..core.margins import Margin
from ..core.plan import Point, steady_s
from ..fleet.progress import ProgressSnapshot, Recent
from ..recording.folder import RunFolder


class Decision:
    """Ends a run when its margins are decided, or only shows the result so far.

    Args:
        margins: how much slower the second target may be. Margins of a single endpoint are judged only after the run.
        ends: whether the run ends when its margins are decided.

    Attributes:
        text: the result so far, for the live line; "" at first.
        reached: the evaluation that ended the run; None until then.
    """

    def __init__(self, margins: Sequence[Margin], *, ends: bool) -> None:
        self._margins = tuple(margin for margin in margins if not margin.scope)
        self._ends = ends
        self._rule: UntilDecided | None = None
        self.text = ""
        self.reached: Look | None = None

    def begin(self, points: Sequence[Point]) -> tuple[Decision, ...]:
        """Return this object as the run's goal, for a plan whose steady phase is known."""
        if not self._margins:
            return ()
        steady = steady_s(points)
        self._rule = UntilDecided(self._margins, begin_s=steady[0] if steady else 0.0)
        return (self,)

    def __call__(self, snapshot: ProgressSnapshot, new: tuple[Recent, ...]) -> str | None:
        """Return why the run should end; None if it should continue."""
        if self._rule is None or snapshot.load_start_ns is None:
            return None
        for recent in new:
            ok = recent.outcome == 0
            start_s = (recent.end_ns - recent.latency_us * 1000 - snapshot.load_start_ns) / 1e9
            self._rule.add(recent.side[ok], start_s[ok], recent.latency_us[ok])
        look = None if snapshot.elapsed_s is None else self._rule.look(snapshot.elapsed_s)
        if look is None:
            return None
        self.text = look.text
        if not (self._ends and look.decided):
            return None
        self.reached = look
        return look.decided

    def keep(self, folder: RunFolder) -> None:
        """Write the decision to the run's record, if it ended the run."""
        if self.reached is None:
            return
        run = folder.read_run()
        run.decisions = self.reached.records(self._margins)
        folder.write_run(run)
