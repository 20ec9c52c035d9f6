"""The verb `worker`: join a master on another machine."""

from __future__ import annotations

from typing import Annotated

import typer


def join(
    master: Annotated[
        str, typer.Option("--master", metavar="HOST[:PORT]", help="Where `lt run --expect-workers` waits; port 5557.")
    ],
    processes: Annotated[
        int | None,
        typer.Option(help="Load-generating processes. [default: cores − 1]", show_default=False),
    ] = None,
    join_timeout: Annotated[str, typer.Option(help="How long to wait for the master.")] = "5m",
) -> int:
    """Join a run on another machine: get the scenario from the run's master, and send load until the run ends.

    The master prints the command for its workers. This command contains the join secret, which the worker reads from
    LT_JOIN_SECRET. Locust's protocol is not encrypted: use this verb only inside a private network
    (docs/distributed.md).

    Examples:
        LT_JOIN_SECRET=… python lt.py worker --master 10.0.0.2:5557
    """
    import os

    from ..core.addresses import parse_address
    from ..core.errors import UsageError
    from ..core.exit_codes import ExitCode
    from ..core.temp_folders import temporary_folder
    from ..fleet.worker_pool import WorkerPool
    from ..runs.options import parse_duration
    from .terminal import talk

    host, port = parse_address(master, option="--master")
    count = max(1, (os.cpu_count() or 2) - 1) if processes is None else processes
    if count < 1:
        raise UsageError(f"`--processes {count}`: must be at least 1.")
    pool = WorkerPool(host, port, count)
    with talk.status(f"waiting for the master at {host}:{port}"):
        pool.wait_for_master(parse_duration(join_timeout, option="--join-timeout"))
    talk.print(f"{count} worker(s) joined {host}:{port}; they end with the run", markup=False)
    try:
        with temporary_folder("scenario") as folder:
            code = pool.run(folder)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.UNUSABLE if code else ExitCode.HELD
