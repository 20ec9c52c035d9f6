"""Serve the live page of a run on loopback. At the end of the run the page becomes the finished report."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

from reports.data.formats import elapsed
from reports.live.tally import worst
from reports.live.wording import describe, objective_text
from reports.render.charts import payload

from ..core.access import Access, RequestHead
from ..core.addresses import LOOPBACK
from ..core.errors import FleetError, LoadTestError

if TYPE_CHECKING:
    from reports.live.follow import LiveRun
    from reports.live.tally import Event

    from ..fleet.progress import Look, ProgressSnapshot, SideSnapshot

State = Literal["starting", "running", "ending", "reporting", "done", "failed"]

EVERY_S = 1.0
"""Minimum time between two updates of the page."""

POINTS_PER_S = 300.0
"""Charts with more points than this are redrawn less often, because at this number one point is one pixel."""

HOLD_S = 10.0
"""A request for updates is answered after this time, even if nothing has changed."""

SEEN_S = 3.0
"""A page counts as open if it asked for updates within HOLD_S plus this time. The run's end waits until open pages have
fetched the report."""

FETCH_S = 5.0
"""The longest time that the run's end waits for open pages."""

MAX_CONNECTIONS = 32

SILENT_S = 15.0
"""A connection that sends nothing for this long is closed."""

MAX_BODY_BYTES = 1024

ANALYST_NICENESS = 10


class LivePage:
    """Listen for the page's requests, and store the state that they read. Listening ends with the `with` block.

    Attributes:
        stop_asked: whether the page's stop button was pressed.
    """

    def __init__(self, port: int = 0) -> None:
        self.stop_asked = False
        self._access = Access()
        self._news = threading.Condition()
        self._version = 0
        self._told_s = 0.0
        self._state: State = "starting"
        self._text = "starting"
        self._tiles: list[dict[str, str]] = []
        self._planned_s: float | None = None
        self._run: LiveRun | None = None
        self._events: tuple[Event, ...] = ()
        self._analysis = 0
        self._body = ""
        self._trouble = ""
        self._drawing = threading.Lock()
        self._charts: dict[str, Any] | None = None
        self._number = 0
        self._drawn_s = 0.0
        self._finished: str | None = None
        self._asked_s: float | None = None
        self._fetched = threading.Event()
        self._over = threading.Event()
        self._server = _Server(port, self)
        self.url = f"http://{LOOPBACK}:{self._server.server_address[1]}/#key={self._access.secret}"

    def __enter__(self) -> LivePage:
        """Listen."""
        threading.Thread(target=self._server.serve_forever, name="live page", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._over.set()
        with self._news:
            self._news.notify_all()
        self._server.shutdown()
        self._server.server_close()

    # ---- updates from the run

    def wait_for(self, text: str) -> None:
        """Before the run starts, show what `lt` is waiting for."""
        self._tell(text=text)

    def follow(self, run: LiveRun, planned_s: float | None) -> None:
        """Begin to show this run."""
        run.keep_rows()
        self._run, self._planned_s = run, planned_s
        threading.Thread(target=self._analyse, args=(run,), name="live analysis", daemon=True).start()

    def show(self, look: Look, *, waits_for: str, ending: bool, note: str = "") -> None:
        """Update the state of the run. The page gets a state at most once every EVERY_S, but events at once."""
        events = () if self._run is None else tuple(self._run.events)
        at_once = events != self._events or (ending and self._state == "running")
        if time.monotonic() - self._told_s < EVERY_S and not at_once:
            return
        self._events = events
        begun = look.snapshot.elapsed_s is not None
        state: State = "ending" if ending else "running" if begun else "starting"
        self._tell(state, text="" if begun else waits_for, tiles=self._tiles_of(look, note) if begun else [])

    def finish(self, page: Path) -> None:
        """Show the finished report. Return when every open page has fetched the report, or after FETCH_S."""
        self._over.set()
        self._finished = page.read_text(encoding="utf-8")
        self._tell("done")
        if self._asked_s is not None and time.monotonic() - self._asked_s < SEEN_S + HOLD_S:
            self._fetched.wait(FETCH_S)

    def reporting(self) -> None:
        """Show that the load is over and the report is being written."""
        self._over.set()
        self._tell("reporting", text="the load is over; writing the report")

    def fail(self, text: str) -> None:
        """Show why the run failed."""
        self._over.set()
        self._tell("failed", text=text)
        if self._asked_s is not None and time.monotonic() - self._asked_s < SEEN_S + HOLD_S:
            time.sleep(0.2)  # gives the waiting page time to fetch the report

    def _tell(self, state: State | None = None, *, text: str = "", tiles: list[dict[str, str]] | None = None) -> None:
        with self._news:
            self._state, self._text = state or self._state, text
            self._tiles = self._tiles if tiles is None else tiles
            self._told_s = time.monotonic()
            self._version += 1
            self._news.notify_all()

    def _tiles_of(self, look: Look, note: str) -> list[dict[str, str]]:
        assert self._run is not None
        snapshot, of = look.snapshot, "" if self._planned_s is None else f"of {elapsed(self._planned_s)}"
        waiting = f"oldest {snapshot.oldest_s or 0:.0f} s" if snapshot.in_flight else ""
        instances = self._run.instances_now(look)
        rate, p95, failed = (
            " · ".join(f"{mark} {text}" for mark, text in zip("AB", texts, strict=True)) if snapshot.sides else texts[0]
            for texts in zip(*map(_numbers, snapshot.sides or (snapshot,)), strict=True)
        )
        found = worst(self._run.so_far())
        tiles = [
            _tile("time", elapsed(int(snapshot.elapsed_s or 0.0)), of),
            _tile("users", "–" if snapshot.users is None else f"{snapshot.users:,}"),
            _tile("requests/s", rate, f"{snapshot.requests:,} in all"),
            _tile("p95", p95, "of the last 5 s"),
            _tile("failed", failed, tone="bad" if snapshot.failed else ""),
            _tile("in flight", f"{snapshot.in_flight or 0:,}", waiting),
            _tile("instances", "–" if instances is None else f"{instances:,}", "answering"),
        ]
        if found is not None:
            tone = "unsure" if found.held is None else "good" if found.held else "bad"
            tiles.append(
                _tile("nearest to its limit", objective_text(found), "of B" if snapshot.sides else "", tone=tone)
            )
        if snapshot.sides:
            tiles.append(_tile("B against A", note or "known after a minute of steady load"))
        return tiles

    # ---- the analysis of the run so far, in a separate thread

    def _analyse(self, run: LiveRun) -> None:
        from reports.live.analysis import Budget
        from reports.render.live import render_body

        _be_nice()
        _import_the_analysis()
        budget, news = Budget(), (0, 0)
        while not self._over.wait(EVERY_S / 2):
            now_s = time.monotonic()
            if run.changes == 0 or run.rows is None or run.rows.full:
                continue
            if not budget.decide(now_s, news=run.news() != news):
                continue
            news, begun_s = run.news(), time.thread_time()
            try:
                run.analyse()
                assert run.report is not None
                self._body, self._trouble = render_body(run.report), ""
                self._analysis += 1
            except LoadTestError as error:
                self._trouble = str(error)
            except Exception as error:  # the page continues without this analysis; the report at the end contains it
                self._trouble = f"the analysis so far failed ({type(error).__name__}: {error})"
            budget.paid(now_s, time.thread_time() - begun_s)

    # ---- answers to the page

    def answer_state(self, after: int, have: int) -> bytes:
        """Wait until the state is newer than `after`, and return it as JSON.

        Chart data that the page already has (number `have`) is left out.
        """
        self._asked_s = time.monotonic()
        with self._news:
            self._news.wait_for(lambda: self._version > after, HOLD_S)
            run = self._run
            told: dict[str, Any] = {
                "version": self._version,
                "state": self._state,
                "text": self._text,
                "tiles": self._tiles,
                "trouble": self._trouble,
                "analysis": self._analysis,
            }
        if run is not None:
            told |= {"events": [describe(event) for event in run.events][-8:], "analysed_s": run.analysed_s}
            told["drawn"] = self._drawn(run)
            told["data"] = self._charts if told["drawn"] != have else None
        return json.dumps(told, allow_nan=False).encode()

    def _drawn(self, run: LiveRun) -> int:
        """Return the number of the newest chart data. Compute the data again if the newest data is old enough."""
        with self._drawing:
            now_s = time.monotonic()
            if now_s - self._drawn_s >= max(EVERY_S, run.points / POINTS_PER_S) and (made := run.report_now()):
                self._charts, self._drawn_s = payload(made, level=1), now_s
                self._number += 1
            return self._number

    def answer_body(self) -> bytes:
        """Return the parts of the page from the newest analysis."""
        return self._body.encode()

    def answer_report(self) -> bytes | None:
        """Return the finished report; None before it is finished."""
        if self._finished is None:
            return None
        return self._finished.encode()

    def fetched(self) -> None:
        """Record that a page has fetched the finished report."""
        self._fetched.set()


def _numbers(of: ProgressSnapshot | SideSnapshot) -> tuple[str, str, str]:
    """Return rate, p95 and failures."""
    p95 = "–" if of.p95_ms is None else f"{of.p95_ms:,.{0 if of.p95_ms >= 100 else 1}f} ms"
    return f"{of.requests_per_s:,.0f}", p95, f"{of.failed:,}"


def _tile(name: str, value: str, small: str = "", *, tone: str = "") -> dict[str, str]:
    return {"name": name, "value": value, "small": small, "tone": tone}


def _number_in(query: str, name: str) -> int:
    """Return a number from the query string; −1 if it is missing."""
    text = parse_qs(query).get(name, [""])[0]
    return int(text) if text.isdecimal() and len(text) < 10 else -1


def _be_nice() -> None:
    """Lower this thread's priority, so that it does not take CPU from the load generators."""
    if sys.platform == "linux":  # only on systems where each thread has its own niceness
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), ANALYST_NICENESS)


def _import_the_analysis() -> None:
    """Import the analysis while the run starts, because the report at the end needs it anyway."""
    import reports.summary.build  # noqa: F401


class _Server(ThreadingHTTPServer):
    """Listen on loopback, and serve at most MAX_CONNECTIONS connections at a time."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, page: LivePage) -> None:
        self.page = page
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise FleetError(
                f"`--live {port}`: cannot listen there ({error.strerror}). Choose another port."
            ) from error

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do nothing, because a closed page is not an error."""


class _Handler(BaseHTTPRequestHandler):
    """Answer requests that contain the page's key, and reject all others."""

    server: _Server
    timeout = SILENT_S
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "lt", ""

    def do_GET(self) -> None:
        from reports.render.live import live_policy, render_shell

        path, _, query = self.path.partition("?")
        if not self._admitted(needs_secret=path != "/"):
            return
        page = self.server.page
        if path == "/":
            self._answer(200, render_shell().encode(), "text/html; charset=utf-8", policy=live_policy())
        elif path == "/state":
            self._answer(200, page.answer_state(_number_in(query, "after"), _number_in(query, "have")))
        elif path == "/body":
            self._answer(200, page.answer_body(), "text/html; charset=utf-8")
        elif path == "/report" and (report := page.answer_report()) is not None:
            self._answer(200, report, "text/html; charset=utf-8")
            page.fetched()
        else:
            self._answer(404, b'{"error":"There is no such page."}')

    def do_POST(self) -> None:
        if not self._admitted(needs_secret=True):
            return
        size = self.headers.get("Content-Length", "0")
        if not size.isdecimal() or int(size) > MAX_BODY_BYTES or "Transfer-Encoding" in self.headers:
            self._answer(413, b'{"error":"The body is too long."}', close=True)
            return
        self.rfile.read(int(size))
        if self.path != "/stop":
            self._answer(404, b'{"error":"There is no such page."}')
            return
        self.server.page.stop_asked = True
        self._answer(200, b"{}")

    def _admitted(self, *, needs_secret: bool) -> bool:
        head = RequestHead.of(self.command, self.headers.items())
        refusal = self.server.page._access.refusal(head, needs_secret=needs_secret)
        if refusal is not None:
            self._answer(refusal.status, json.dumps({"error": refusal.text}).encode(), close=True)
        return refusal is None

    def _answer(
        self, status: int, body: bytes, kind: str = "application/json", *, policy: str = "", close: bool = False
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        if policy:
            self.send_header("Content-Security-Policy", policy)
        if close:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log."""
