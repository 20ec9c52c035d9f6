"""Show how a run is doing: one live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.live import Live
from rich.text import Text

from ..fleet.progress import ProgressSnapshot
from .terminal import talk

WAITS_S = 5.0
"""A request that has waited so long is worth a look."""

PLAIN_EVERY_S = 10.0


class ProgressLine:
    """The line, for as long as the `with` block lasts."""

    def __init__(self, planned_s: float | None, *, expect_workers: int) -> None:
        self.planned_s = planned_s
        self.expect_workers = expect_workers
        self._live = Live(console=talk, transient=True, refresh_per_second=4) if talk.is_terminal else None
        self._last_plain_s = time.monotonic()
        self._warned: set[str] = set()

    def __enter__(self) -> ProgressLine:
        """Begin."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()

    def show(self, snapshot: ProgressSnapshot, *, ending: bool) -> None:
        """Show the state; each warning is printed once."""
        for warning in snapshot.saturated:
            kind = warning.split(" was ")[0].split(" uses ")[0]
            if kind not in self._warned:
                self._warned.add(kind)
                talk.print(f"[yellow]![/] load generator: {warning}")
        line = self._line(snapshot, ending=ending)
        if self._live is not None:
            self._live.update(Text.from_markup(line))
        elif time.monotonic() - self._last_plain_s >= PLAIN_EVERY_S:
            self._last_plain_s = time.monotonic()
            talk.print(line)

    def _line(self, snapshot: ProgressSnapshot, *, ending: bool) -> str:
        if snapshot.elapsed_s is None:
            return f"{snapshot.workers} of {self.expect_workers} load generators are ready …"
        planned = "" if self.planned_s is None else f" / {_clock(self.planned_s)}"
        parts = [
            f"{_clock(snapshot.elapsed_s)}{planned}",
            f"{'–' if snapshot.users is None else snapshot.users} users",
            f"{snapshot.requests_per_s:.0f} requests/s",
            f"p50 {_ms(snapshot.p50_ms)}",
            f"p95 {_ms(snapshot.p95_ms)}",
            f"[red]{snapshot.failed} failed[/]" if snapshot.failed else "0 failed",
        ]
        if snapshot.in_flight:
            waiting = f"{snapshot.in_flight} in flight, oldest {snapshot.oldest_s or 0:.0f} s"
            parts.append(f"[red]{waiting}[/]" if (snapshot.oldest_s or 0) >= WAITS_S else waiting)
            if (snapshot.oldest_s or 0) >= WAITS_S and not snapshot.requests_per_s:
                parts.append("[red]the service has stopped answering[/]")
        if ending:
            parts.append("stopping: users finish what they began")
        return " · ".join(parts)


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
