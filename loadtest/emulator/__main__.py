"""Run one emulator as a process of its own: `python -m loadtest.emulator`, driven through its stdin and stdout.

One line of JSON comes in (`handle.EmulatorConfig`); one goes out once the service is READY or FAILED
(`handle.StartResult`); events go to stderr. The end of stdin, SIGINT or SIGTERM stop everything: so nothing stays
when whoever started it is gone, however it went. A second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import datetime

from ..core.errors import EmulatorError
from .control import Event, LocalCloudRun
from .handle import EmulatorConfig, StartResult
from .hosting import hosted


def main() -> None:
    """Serve until told to stop."""
    order = EmulatorConfig.from_json(sys.stdin.readline())
    try:
        asyncio.run(_serve(order))
    except EmulatorError as error:
        print(StartResult(failed=str(error)).to_json(), flush=True)
        sys.exit(4)


async def _serve(order: EmulatorConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    emulator = LocalCloudRun(order.options, on_event=_write)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, lambda: os._exit(130) if stop.is_set() else stop.set())
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    async with hosted(emulator, order.key, order.template, front_port=order.front_port) as host:
        print(StartResult(url=host.url, api_port=host.api_port, pid=os.getpid()).to_json(), flush=True)
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(stdin.read())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)


def _write(event: Event) -> None:
    print(f"{datetime.fromtimestamp(event.at_s):%H:%M:%S}  {event.text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
