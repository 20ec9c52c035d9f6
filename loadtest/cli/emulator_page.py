"""Show a running emulator as a live page on a terminal; without a terminal, print its events as plain lines."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .interrupts import INTERRUPTED, INTERRUPTS
from .terminal import out, talk

if TYPE_CHECKING:  # slow to import, and needed only in this function
    from ..emulator.control import Event, LocalCloudRun
    from ..emulator.handle import EmulatorConfig
    from ..emulator.running import Running

EVERY_S = 0.5
EVENTS_SHOWN = 8


def watch(config: EmulatorConfig) -> int:
    """Run an emulator in this process and show its state until Ctrl-C.

    Raises:
        EmulatorError: the emulator cannot start, or the deployment of the service failed. Nothing keeps running.
    """
    return asyncio.run(_watch(config))


async def _watch(config: EmulatorConfig) -> int:
    from ..emulator.control import LocalCloudRun
    from ..emulator.running import running_emulator

    stop = asyncio.Event()
    _stop_on_interrupts(asyncio.get_running_loop(), stop)
    emulator = LocalCloudRun(config.options, on_event=_plain_line)
    async with contextlib.AsyncExitStack() as stack:
        starting = asyncio.create_task(
            stack.enter_async_context(
                running_emulator(emulator, config.key, config.template, front_port=config.front_port)
            )
        )
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait((starting,))
            return INTERRUPTED
        running = starting.result()
        out.print(f"service  {running.url}")
        out.print(f"state    http://127.0.0.1:{running.api_port}/state")
        out.print(f"Google's APIs (gRPC and REST)  127.0.0.1:{running.api_port}")
        out.print(f"their access token  {running.token_file}", markup=False, soft_wrap=True)
        await _show(emulator, running, stop)
        talk.print("Stopping every instance (press Ctrl-C again to stop at once).")
    return 0


def _stop_on_interrupts(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Let the first interrupt set `stop`, and let every later interrupt end the process at once.

    The event loop removes its own handlers when it closes, and an interrupt after that would kill the process without
    clean-up. The handlers that this function sets are not removed.
    """
    asked = False

    def interrupted(*_: object) -> None:
        nonlocal asked
        if asked or loop.is_closed():
            os._exit(INTERRUPTED)
        asked = True
        loop.call_soon_threadsafe(stop.set)

    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupted)


async def _show(emulator: LocalCloudRun, running: Running, stop: asyncio.Event) -> None:
    if not talk.is_terminal:
        await stop.wait()
        return
    from ..emulator.state import state_of

    with Live(console=talk, auto_refresh=False, transient=True) as live:
        while not stop.is_set():
            live.update(page(await state_of(emulator), url=running.url), refresh=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await stop.wait()


def _plain_line(event: Event) -> None:
    if not talk.is_terminal:
        talk.print(f"{datetime.fromtimestamp(event.at_s):%H:%M:%S}  {event.text}", markup=False)


def page(state: Mapping[str, Any], *, url: str) -> RenderableType:
    """Return the page for a state (`loadtest.emulator.state.state_of`)."""
    parts: list[RenderableType] = []
    for service in state["services"]:
        for revision in service["revisions"]:
            if revision["serving"] or revision["instances"]:
                parts.extend(_revision(service, revision))
    if state["emulator"]["not_limited"]:
        parts.append(Text(state["emulator"]["not_limited"], style="bold red"))
    for event in state["events"][-EVENTS_SHOWN:]:
        parts.append(Text(f"{datetime.fromtimestamp(event['at_s']):%H:%M:%S}  {event['text']}", style="dim"))
    parts.append(Text(f"{url} · Ctrl-C stops it", style="dim"))
    return Group(*parts)


def _revision(service: Mapping[str, Any], revision: Mapping[str, Any]) -> list[RenderableType]:
    codes = ", ".join(f"{code}: {count:,}" for code, count in revision["by_code"].items()) or "none yet"
    decision = revision["decision"]
    lines: list[RenderableType] = [
        Text(f"{service['name']} · {revision['name']} · {revision['cpu'] or 0:g} vCPU", style="bold"),
        Text(f"answered {codes} · pending {revision['pending']:,}"),
        Text(f"{decision['desired']} desired by {decision['driver']}: {decision['reason']}"),
    ]
    table = Table("instance", "state", "in flight", "CPU", "memory", "started in", box=None, pad_edge=False)
    for instance in revision["instances"]:
        table.add_row(
            instance["name"],
            instance["state"],
            f"{instance['in_flight']}",
            "–" if instance["cpu_ratio"] is None else f"{instance['cpu_ratio']:.0%}",
            f"{instance['memory_bytes'] / 2**20:.0f} MiB",
            "–" if instance["startup_s"] is None else f"{instance['startup_s']:.1f} s",
        )
    return [*lines, table] if revision["instances"] else lines
