"""Run one emulator as a separate process, `python -m loadtest.emulator`, controlled through its stdin and stdout.

The process reads one line of JSON (`handle.EmulatorConfig`), and writes one line of JSON when the service is READY or
FAILED (`handle.StartResult`). Events go to stderr. The end of stdin, SIGINT or SIGTERM stops everything, so nothing is
left behind, even if the parent process is killed. A second signal ends the emulator at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from datetime import datetime

from ..core.errors import EmulatorError
from .control import Event, LocalCloudRun
from .handle import EmulatorConfig, StartResult
from .running import running_emulator


def main(arguments: Sequence[str] = ()) -> None:
    """Read the configuration from stdin, and serve until a signal or the end of stdin.

    The process takes no arguments.
    """
    del arguments
    config = EmulatorConfig.from_json(sys.stdin.readline())
    try:
        asyncio.run(_serve(config))
    except EmulatorError as error:
        print(StartResult(failed=str(error)).to_json(), flush=True)
        sys.exit(4)


async def _serve(config: EmulatorConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    emulator = LocalCloudRun(config.options, on_event=_write)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, lambda: os._exit(130) if stop.is_set() else stop.set())
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    ended = [asyncio.create_task(stop.wait()), asyncio.create_task(stdin.read())]
    async with contextlib.AsyncExitStack() as stack:
        starting = asyncio.create_task(
            stack.enter_async_context(
                running_emulator(emulator, config.key, config.template, front_port=config.front_port)
            )
        )
        await asyncio.wait((starting, *ended), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait((starting,))
            return
        running = starting.result()
        answer = StartResult(
            url=running.url, api_port=running.api_port, pid=os.getpid(), token=running.token_file.read_text().strip()
        )
        print(answer.to_json(), flush=True)
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)


def _write(event: Event) -> None:
    print(f"{datetime.fromtimestamp(event.at_s):%H:%M:%S}  {event.text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
