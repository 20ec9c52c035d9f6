"""Fetch the scenario from a master into a folder: its file, the user's modules that it imports, and its arguments."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..core.temp_folders import PREFIX
from .bundle import BundleError, lay_out
from .messages import SCENARIO, own_proof

ASK_EVERY_S = 1.0

PLAIN_AFTER_S = 5.0
"""If the master has not answered our request within this time, we request the file in the way Locust's own workers
do."""

MODULES, OPTIONS = "modules", "options.json"
"""The files that are written into the folder."""

STATUS = 4


def fetch(host: str, port: int, timeout_s: float, folder: Path | None = None) -> tuple[Path, str]:
    """Write the scenario into a folder; return the folder and the locustfile's path.

    If no folder is given, the function creates one when the master has answered. So a process that is killed while it
    waits leaves no folder behind.

    If the scenario cannot be written, this new folder is removed; a folder that the caller gave stays, with the files
    that were written.

    Raises:
        BundleError: the master cannot send the scenario.
        OSError: the scenario cannot be written.
        TimeoutError: the master did not answer.
    """
    answer = _ask(host, port, timeout_s)
    if "error" in answer:
        raise BundleError(str(answer["error"]))
    if "locustfiles" in answer:  # a plain Locust master sends the file without other modules
        files = {str(file["filename"]): str(file["contents"]).encode() for file in answer["locustfiles"]}
        answer = {"files": files, "locustfile": next(iter(files)), "options": {}}
    made = None if folder else Path(tempfile.mkdtemp(prefix=f"{PREFIX}scenario-"))
    folder = folder or made
    assert folder is not None
    try:
        lay_out(answer["files"], folder / MODULES)
        (folder / OPTIONS).write_text(json.dumps(answer["options"]), encoding="utf-8")
        return folder, str(folder / MODULES / str(answer["locustfile"]))
    except BaseException:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
        raise


def _ask(host: str, port: int, timeout_s: float) -> Mapping[str, Any]:
    import locust
    from gevent import Timeout, sleep, spawn
    from locust.rpc import Message, zmqrpc

    name = f"{socket.gethostname()}_scenario_{uuid4().hex}"
    client = zmqrpc.Client(host, port, name)
    begin_s = time.monotonic()

    def ask() -> None:
        while True:
            plain = time.monotonic() - begin_s > PLAIN_AFTER_S
            request = {"version": locust.__version__, "proof": own_proof(name)}
            client.send(Message("locustfile" if plain else SCENARIO, request, name))
            sleep(ASK_EVERY_S)

    asking = spawn(ask)
    try:
        with Timeout(timeout_s, TimeoutError(f"the master at {host}:{port} did not send the scenario")):
            message = client.recv()
            return dict(message.data)
    finally:
        asking.kill()
        client.close(linger=0)


def main(arguments: list[str]) -> None:
    """Fetch the scenario; print the folder and the locustfile's path. Arguments: `HOST PORT TIMEOUT_S [FOLDER]`."""
    host, port, timeout_s, *folder = arguments
    try:
        print(*fetch(host, int(port), float(timeout_s), *map(Path, folder)), sep="\n")
    except (BundleError, OSError) as error:  # among them TimeoutError
        print(f"No scenario from {host}:{port}: {error}.", file=sys.stderr)
        sys.exit(STATUS)
