"""Show the progress of a run on the live page and as a block of lines; without a terminal, print lines now and then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from rich.live import Live
from rich.markup import escape
from rich.text import Text

from reports.data.formats import elapsed
from reports.live.follow import LiveRun
from reports.live.tally import worst
from reports.live.wording import describe, objective_text

from ..fleet.progress import Look, ProgressSnapshot
from .terminal import talk

if TYPE_CHECKING:
    from ..recording.folder import RunFolder
    from .live import LivePage

WAITS_S = 5.0
"""A request is shown when it has waited this long."""

PLAIN_EVERY_S = 10.0

BLOCKS = "▁▂▃▄▅▆▇█"

SPARKLINE = 40
"""The number of block characters that draw p95 over the run so far."""


class Progress:
    """Shows a run for as long as the `with` block lasts."""

    def __init__(
        self,
        folder: RunFolder,
        planned_s: float | None,
        *,
        expect_workers: int,
        live: LivePage | None = None,
        note: Callable[[], str] = str,
    ) -> None:
        self.planned_s = planned_s
        self.expect_workers = expect_workers
        self._run = LiveRun(folder)
        self._page = live
        self._note = note
        self._live = Live(console=talk, transient=True, refresh_per_second=4) if talk.is_terminal else None
        self._last_plain_s = time.monotonic() - PLAIN_EVERY_S  # show at once what the start of the run is waiting for
        self._warned: set[str] = set()
        if live is not None:
            live.follow(self._run, planned_s)

    def __enter__(self) -> Progress:
        """Begin."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the block of lines."""
        if self._live is not None:
            self._live.stop()

    @property
    def stop_asked(self) -> bool:
        """Whether the live page's stop button was pressed."""
        return self._page is not None and self._page.stop_asked

    def show(self, look: Look, *, ending: bool) -> None:
        """Show the state. Each warning is printed once."""
        snapshot = look.snapshot
        for warning in snapshot.saturated:
            kind = warning.split(" was ")[0].split(" uses ")[0]
            if kind not in self._warned:
                self._warned.add(kind)
                talk.print(f"[yellow]![/] load generator: {escape(warning)}")
        self._run.add(look)
        for said in self._run.failing():
            talk.print(f"[yellow]![/] {escape(said)}. Ctrl-C ends the run and keeps the recorded rows.")
        if self._page is not None:
            self._page.show(look, waits_for=self._waits_for(snapshot), ending=ending, note=self._note())
        if self._live is not None:
            self._live.update(Text.from_markup("\n".join(self._block(look, ending=ending))))
        elif time.monotonic() - self._last_plain_s >= PLAIN_EVERY_S:
            self._last_plain_s = time.monotonic()
            talk.print(" · ".join(self._facts(look, ending=ending)))

    def _waits_for(self, snapshot: ProgressSnapshot) -> str:
        return f"{snapshot.workers} of {self.expect_workers} load generators are ready"

    def _block(self, look: Look, *, ending: bool) -> list[str]:
        """Return the lines of the block: time, numbers, p95 so far, the worst objective and the latest events."""
        facts = self._facts(look, ending=ending)
        if look.snapshot.elapsed_s is None:
            return facts
        lines = [facts[0] + " · " + " · ".join(facts[1:4]), "  ".join(["", *facts[4:]])]
        if drawn := sparkline(self._run.p95_ms(), SPARKLINE):
            lines.append(f"  p95 {drawn}")
        lines += [f"  {escape(describe(event))}" for event in list(self._run.events)[-1:]]
        return lines

    def _facts(self, look: Look, *, ending: bool) -> list[str]:
        snapshot = look.snapshot
        if snapshot.elapsed_s is None:
            return [f"{self._waits_for(snapshot)} …"]
        planned = "" if self.planned_s is None else f" / {elapsed(self.planned_s)}"
        parts = [
            f"{elapsed(int(snapshot.elapsed_s))}{planned}",
            f"{'–' if snapshot.users is None else snapshot.users} users",
            f"{snapshot.requests_per_s:.0f} requests/s",
            ", ".join(f"{mark} p95 {_ms(side.p95_ms)}" for mark, side in zip("AB", snapshot.sides, strict=True))
            if snapshot.sides
            else f"p50 {_ms(snapshot.p50_ms)}, p95 {_ms(snapshot.p95_ms)}",
            f"[red]{_failed(snapshot)}[/]" if snapshot.failed else "0 failed",
        ]
        if (instances := self._run.instances_now(look)) is not None:
            parts.append(f"{instances} instance{'s' * (instances != 1)}")
        if (objective := worst(self._run.so_far())) is not None and objective.held is not None:
            text = escape(objective_text(objective))
            parts.append(text if objective.held else f"[red]{text}[/]")
        if snapshot.in_flight:
            waiting = f"{snapshot.in_flight} in flight, oldest {snapshot.oldest_s or 0:.0f} s"
            parts.append(f"[red]{waiting}[/]" if (snapshot.oldest_s or 0) >= WAITS_S else waiting)
            if (snapshot.oldest_s or 0) >= WAITS_S and not snapshot.requests_per_s:
                parts.append("[red]the service has stopped answering[/]")
        if note := self._note():
            parts.append(escape(note))
        if ending:
            parts.append("stopping: users finish their tasks")
        return parts


def _failed(snapshot: ProgressSnapshot) -> str:
    sides = ", ".join(f"{mark} {side.failed}" for mark, side in zip("AB", snapshot.sides, strict=False))
    return f"{snapshot.failed} failed ({sides})" if sides else f"{snapshot.failed} failed"


def sparkline(values: list[float], width: int) -> str:
    """Return numbers as a line of block characters, with a space for each missing number; "" if all are missing."""
    known = [value for value in values if not math.isnan(value)]
    if not known or max(known) <= 0:
        return ""
    width = min(width, len(values))
    slices = [values[at * len(values) // width : (at + 1) * len(values) // width] for at in range(width)]
    highest = [max((value for value in part if not math.isnan(value)), default=None) for part in slices]
    blocks = (" " if item is None else BLOCKS[min(7, int(8 * item / max(known)))] for item in highest)
    return f"{''.join(blocks)} up to {_ms(max(known))}"


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
