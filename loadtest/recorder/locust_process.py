"""Run Locust in this process with the recorder, which receives every event before the scenario does."""

from __future__ import annotations

import atexit
import json
import logging
import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from .messages import (
    FETCHED_VARIABLE,
    FOLDER_VARIABLE,
    PARENT_VARIABLE,
    SCENARIO,
    UI_SECRET_VARIABLE,
    UNLOADABLE,
    own_proof,
)

log = logging.getLogger(__name__)

STATUS_UNLOADABLE = 4

RETRIES = 5
"""Number of attempts, of 5 s each, to reach the master again after it has sent the scenario. If all attempts fail,
the worker assumes that the master has ended. Locust itself tries for 5 min."""


def main(arguments: list[str]) -> None:
    """Run Locust's own `main` with these arguments. `main` ends the process."""
    from locust import events, runners
    from locust import main as locust_main

    from . import settings

    if PARENT_VARIABLE in os.environ:
        settings.keep_out(also_taken=False)
    if FETCHED_VARIABLE in os.environ:
        runners.CONNECT_RETRY_COUNT = RETRIES
    hear_first(events)
    _load_with_authors_errors(locust_main)
    _give_fetched_options(locust_main)
    sys.argv = ["locust", *arguments]
    locust_main.main()


def hear_first(events: Any) -> None:
    """Remove secrets from this process's output, count the listeners' errors, and register our `init` listener.

    This function is called before the scenario is loaded, so that our listeners come first, and before a master
    listens.
    """
    from .hooks import observe
    from .master_socket import guard_master_socket
    from .redacted_output import redact_output
    from .task_errors import TaskErrors

    redact_output()
    guard_master_socket()
    errors = TaskErrors("master")
    sender: Any = None

    def listener_failed(event: str, error: BaseException) -> None:
        where = "exit" if isinstance(error, SystemExit) else "init" if event == "init" else "listener"
        record = errors.add(error, where=where, task=event)
        if sender is not None and record is not None and event == "init":
            sender.failed_in_init(record)  # Locust ends the process because of this error

    def listener_was_slow(event: str, name: str, took_s: float) -> None:
        if sender is not None:
            sender.listener_was_slow(event, name, took_s)

    def take_part(environment: Any, **_: object) -> None:
        nonlocal sender
        sender = take_side(environment, errors)

    def ask_for_token(environment: Any, **_: object) -> None:
        from locust.runners import WorkerRunner

        from .tokens import authorize

        if isinstance(environment.runner, WorkerRunner):
            authorize(environment)

    observe(events, listener_failed, listener_was_slow)
    events.init._handlers.insert(0, take_part)
    events.init.add_listener(ask_for_token)


def take_side(environment: Any, errors: Any) -> Any:
    """Set up the recorder in a worker, or in a master that has a run folder. Return a worker's Sender."""
    from locust.runners import MasterRunner, WorkerRunner

    from . import parent
    from .ending import forward_ending

    runner = environment.runner
    parent_pid = int(os.environ[PARENT_VARIABLE]) if PARENT_VARIABLE in os.environ else None
    if isinstance(runner, WorkerRunner):
        from ..users.host_guard import guard_stock_clients
        from ..users.sides import split_users
        from .liveness import introduce
        from .worker import Sender

        # After this call, the master may tell the worker to start users, so the listeners must be registered before it.
        sender = Sender(environment, runner, errors, parent_pid=parent_pid)
        sender.startup()
        guard_stock_clients()
        split_users()
        introduce(runner)
        forward_ending(runner)
        parent.ends_orderly()
        return sender
    if isinstance(runner, MasterRunner) and FOLDER_VARIABLE in os.environ:
        _lead(environment, runner, errors, parent_pid)
        parent.ends_orderly()
    return None


def _lead(environment: Any, runner: Any, errors: Any, parent_pid: int | None) -> None:
    """Set up the master."""
    import gevent

    from ..recording.folder import RunFolder
    from .bounds import Bounds, apply_bounds
    from .ending import MasterEnding
    from .liveness import WorkerWatch
    from .master import Collector

    _guard_web_page(environment)
    folder = RunFolder(Path(os.environ[FOLDER_VARIABLE]))
    watch = WorkerWatch(environment, runner)
    collector = Collector(environment, runner, folder, errors, parent_pid=parent_pid, why_lost=watch.why)
    collector.startup()
    ending = MasterEnding(environment, runner, collector.degrade)
    apply_bounds(environment, Bounds.from_environment(), runner.quit)
    runner.register_message(SCENARIO, lambda msg, **_: _send_scenario(environment, msg))
    runner.register_message(UNLOADABLE, lambda msg, **_: _worker_cannot_load(environment, folder, msg))

    def end_before_the_start() -> None:
        if collector.start_s is None:
            _end_now(runner, 128 + signal.SIGTERM)

    gevent.signal_handler(signal.SIGTERM, end_before_the_start)

    def record_exit(**_: object) -> None:
        run = folder.read_run()
        run.scenario_exit_code = environment.process_exit_code
        if ending.at_s is not None:
            run.ended_by_scenario_at_s, run.ended_by_scenario_where = ending.at_s, ending.where
        folder.write_run(run)

    environment.events.quit.add_listener(record_exit)


def _guard_web_page(environment: Any) -> None:
    """Apply the access rules to Locust's own page before it listens."""
    if environment.web_ui is not None:
        from ..core.access import Access
        from .web_guard import guard

        secret = os.environ.pop(UI_SECRET_VARIABLE, None)
        guard(environment, environment.web_ui, Access(secret=secret) if secret else Access())


def _end_now(runner: Any, status: int) -> NoReturn:
    """End a master that has not begun, and the workers that have joined.

    Locust itself would continue to wait for the other workers.
    """
    from locust.rpc import Message

    for client in runner.clients.all:
        runner.server.send_to_client(Message("quit", None, client.id))
    runner.server.close(linger=500)  # ms
    logging.shutdown()
    os._exit(status)


def _send_scenario(environment: Any, msg: Any) -> None:
    """Answer a worker on another machine that requests the scenario."""
    from locust.argument_parser import default_args_dict
    from locust.rpc import Message

    from .bundle import OURS, BundleError, gather

    locustfile = Path(environment.parsed_locustfiles[0])
    bundled = OURS.parent / "scenarios"
    roots = [locustfile.parent, *([bundled.parent] if locustfile.resolve().is_relative_to(bundled) else []), Path.cwd()]
    own = {name: value for name, value in vars(environment.parsed_options).items() if name not in default_args_dict()}
    try:
        data = {"files": gather(locustfile, roots), "locustfile": locustfile.name, "options": own}
    except (BundleError, OSError) as error:
        data = {"error": str(error)}
    environment.runner.server.send_to_client(Message(SCENARIO, data, msg.node_id))


def _worker_cannot_load(environment: Any, folder: Any, msg: Any) -> None:
    """End a run that is waiting for a worker that cannot load the scenario."""
    message = f"a worker on {msg.data['host']} cannot load the scenario: {msg.data['error']}"
    log.error("%s", message)
    run = folder.read_run()
    if run.load_start is None:
        run.reasons.append(message)
        folder.write_run(run)
        _end_now(environment.runner, STATUS_UNLOADABLE)


def _load_with_authors_errors(locust_main: Any) -> None:
    """If a locustfile cannot be imported, report the error with a traceback that starts in the author's file.

    A worker also sends the error to its master.
    """
    load = locust_main.merge_locustfiles_content

    def load_or_explain(locustfiles: list[str]) -> Any:
        from locust import events

        from .joining import wait_for_workers
        from .load_error import format_load_error

        try:
            loaded = load(locustfiles)
        except (Exception, SystemExit) as error:
            text = format_load_error(error, Path(locustfiles[0]))
            print(text, file=sys.stderr)
            if "--worker" in sys.argv:
                last = text.splitlines()[-1]
                _tell_master(
                    f"{last} (the scenario's own modules are sent along; packages and data files must be on "
                    f"that machine)"
                )
            sys.exit(STATUS_UNLOADABLE)
        events.init.add_listener(wait_for_workers)  # added after the scenario's own listeners
        if FETCHED_VARIABLE in os.environ:  # this is needed for imports inside tasks
            sys.path.append(str(Path(locustfiles[0]).parent))
        return loaded

    locust_main.merge_locustfiles_content = load_or_explain


def _tell_master(error: str) -> None:
    from locust.argument_parser import parse_locustfile_option
    from locust.rpc import Message, zmqrpc

    options: Any = parse_locustfile_option()
    name = f"{socket.gethostname()}_unloadable_{os.getpid()}"
    client = zmqrpc.Client(options.master_host, options.master_port, name)
    message = {"host": socket.gethostname(), "error": error[:1000], "proof": own_proof(name)}
    client.send(Message(UNLOADABLE, message, name))
    client.close(linger=2000)  # ms


def _give_fetched_options(locust_main: Any) -> None:
    """Give a worker on another machine the master's values of the scenario's own arguments."""
    fetched = os.environ.get(FETCHED_VARIABLE)
    if fetched is None:
        return
    from ..core.temp_folders import hold, remove_leftovers
    from .fetch import OPTIONS

    values = json.loads((Path(fetched) / OPTIONS).read_text(encoding="utf-8"))
    get_parser = locust_main.get_parser

    def get_parser_with_values(*arguments: Any, **options: Any) -> Any:
        parser = get_parser(*arguments, **options)
        for action in parser._actions:
            if action.dest in values:
                action.default, action.required = values[action.dest], False
        return parser

    locust_main.get_parser = get_parser_with_values
    hold(Path(fetched))
    if os.environ.get("LT_FETCHED_HERE") == fetched:
        remove_leftovers()
        atexit.register(shutil.rmtree, fetched, ignore_errors=True)
