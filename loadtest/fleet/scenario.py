"""Find scenarios and describe them without importing Locust into this process."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import UsageError
from ..core.plan import user_seconds
from ..recorder.messages import PARENT_VARIABLE
from ..recording.run import LoadModel, PlanPoint, ScenarioRecord
from . import description_cache

BUNDLED = Path(__file__).parents[2] / "scenarios"
LAUNCH = Path(__file__).parents[1] / "launch.py"
"""The script that starts every process that loads a locustfile."""

DESCRIBE_TIMEOUT_S = 60.0

FAREWELL_S = 5.0
"""How long the process that describes a locustfile may take to end, in case the file left a thread running."""

LAST_LINES = 20


class Request(BaseModel):
    """How a locustfile should be run. None and empty values leave the choice to the file and to Locust's configuration.

    Attributes:
        user_classes: names of the user classes; empty for all.
        shape: the name of a load shape, or `none`.
        arguments: the scenario's own arguments.
    """

    model_config = ConfigDict(frozen=True)

    users: int | None = None
    spawn_rate: float | None = None
    duration_s: float | None = None
    user_classes: tuple[str, ...] = ()
    shape: str | None = None
    tags: tuple[str, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


class PlanOverrides(BaseModel):
    """The load settings from the command line or from Locust's configuration."""

    model_config = ConfigDict(frozen=True)

    users: int | None = None
    spawn_rate: float | None = None
    duration_s: float | None = None


class Scenario(BaseModel):
    """The description of a locustfile.

    Attributes:
        user_classes: names of the user classes that will run.
        hosts: the `host` of each user class, or None.
        http_classes: the user classes whose client needs a base URL.
        points: the plan as (elapsed s, users); empty if the shape is not one of ours and cannot be known in advance.
        overrides: the settings that override or limit the plan.
        shape_option: the load shape as the value of `--shape`; `none` for no shape.
        requests_per_user_s: the most requests that a user sends per second, if its class states this.
        objectives: the file's `objectives` as texts.
        limits: the file's `limits`: settings of the emulator for this scenario.
        arguments: the arguments with which Locust's processes run the scenario as described.
        secret_options: the scenario's own arguments that the scenario declares as secret, such as `--key`.
        notes: sentences that say which settings of Locust's configuration are used and which are not.
        checks_answers: whether any user class sets `check_answers`.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    path: Path
    sha256: str
    description: str
    user_classes: tuple[str, ...]
    open_loop: bool
    shape: str | None
    points: tuple[tuple[float, float], ...]
    users: int | None
    spawn_rate: float | None
    duration_s: float | None
    requests_per_user_s: float | None
    objectives: tuple[str, ...]
    limits: dict[str, float | int | str | bool]
    hosts: dict[str, str | None] = Field(default_factory=dict)
    http_classes: tuple[str, ...] = ()
    overrides: PlanOverrides = PlanOverrides()
    shape_option: str | None = None
    arguments: tuple[str, ...] = ()
    secret_options: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    checks_answers: bool = False

    def request_budget(self) -> float | None:
        """Return the planned number of requests: the user-seconds of the plan × the requests per second of one user.

        A run may send a few more requests, because each user sends its first request as soon as it starts.
        """
        if not self.points or self.requests_per_user_s is None:
            return None
        return user_seconds(self.points) * self.requests_per_user_s

    def load_for_locust(self) -> PlanOverrides:
        """Return the load settings for Locust. Without a shape, Locust needs all three numbers."""
        if self.shape is not None:
            return self.overrides
        return PlanOverrides(users=self.users, spawn_rate=self.spawn_rate, duration_s=self.duration_s)

    def record(self) -> ScenarioRecord:
        """Return the record of the scenario for `run.json`."""
        return ScenarioRecord(
            name=self.name,
            path=str(self.path),
            sha256=self.sha256,
            description=self.description,
            load_model=LoadModel.OPEN if self.open_loop else LoadModel.CLOSED,
            plan=[PlanPoint(at_s=at_s, users=users) for at_s, users in self.points],
        )


def bundled() -> dict[str, Path]:
    """Return the bundled scenarios' paths by name.

    Every file in `scenarios/` that defines a user class is a bundled scenario.
    """
    return {
        path.stem: path
        for path in sorted(BUNDLED.glob("*.py"))
        if not path.name.startswith("_") and "class " in path.read_text(encoding="utf-8")
    }


def locate(name: str) -> Path:
    """Return the path of the scenario called `name`, or of the locustfile at that path.

    Raises:
        UsageError: there is no such scenario and no such file; the message lists the bundled scenarios.
    """
    known = bundled()
    if name in known:
        return known[name]
    path = Path(name)
    if path.is_file() and path.suffix == ".py":
        # links are not resolved, because modules are imported from the folder that contains the link
        return path.absolute()
    if path.is_dir():
        found = sorted(str(path / item.name) for item in path.glob("*.py") if not item.name.startswith("_"))
        raise UsageError(
            f"`--scenario {name}` is a folder. Locust would merge its files, but lt runs a single file: "
            f"{' or '.join(found[:5]) or 'it has no locustfile'}. To run several together, import their user classes "
            f"in a new file."
        )
    raise UsageError(
        f"`--scenario {name}`: there is no such scenario or file. Bundled: {', '.join(known)}; "
        "or give the path of a locustfile, NAME.py."
    )


def describe_all(paths: Iterable[Path]) -> list[Scenario | str]:
    """Describe locustfiles in one process. If a locustfile is broken, its description is a sentence that says why."""
    return describe_each([(path, Request()) for path in paths])


def describe_one(path: Path, **overrides: Any) -> Scenario:
    """Describe a locustfile with the settings with which it will run.

    Args:
        path: the path of the locustfile.
        overrides: the fields of `Request`.

    Raises:
        UsageError: the file cannot be imported, or cannot be run with these options; the message says why and contains
            the traceback.
    """
    (scenario,) = describe_each([(path, Request(**overrides))])
    if isinstance(scenario, str):
        raise UsageError(scenario)
    return scenario


def first_requests(path: Path, request: Request, *, seed: int) -> tuple[str, ...]:
    """Return the command that sends a scenario's first requests. The caller appends the base URL."""
    asked = json.dumps({"request": request.model_dump(), "seed": seed})
    return (sys.executable, str(LAUNCH), ".fleet.first_requests", "-f", str(path), asked)


def describe_each(requests: list[tuple[Path, Request]]) -> list[Scenario | str]:
    """Describe locustfiles in one process, except those whose description is cached (description_cache.py)."""
    keys = [description_cache.key_of(path, request.model_dump(mode="json")) for path, request in requests]
    known = [key and _kept(key) for key in keys]
    new = iter(_describe([request for request, scenario in zip(requests, known, strict=True) if not scenario]))
    found: list[Scenario | str] = []
    for (path, _), key, scenario in zip(requests, keys, known, strict=True):
        if scenario:
            found.append(scenario)
            continue
        answer = next(new)
        if "error" in answer:
            found.append(str(answer["error"]))
            continue
        found.append(described := Scenario(name=path.stem, **answer))
        if key:
            description_cache.keep(key, described.model_dump_json())
    return found


def _kept(key: str) -> Scenario | None:
    text = description_cache.read(key)
    try:
        return (text and Scenario.model_validate_json(text)) or None
    except ValueError:  # incomplete
        return None


def _describe(requests: list[tuple[Path, Request]]) -> list[dict[str, Any]]:
    """Return the result of `describe.answer_for` for each request, computed in another process.

    The answers come over a separate pipe, because locustfiles may print.
    """
    if not requests:
        return []
    requested = json.dumps([(str(path), request.model_dump()) for path, request in requests])
    read, write = os.pipe()
    with tempfile.TemporaryFile() as printed, os.fdopen(read, "rb") as answers:
        process = subprocess.Popen(
            [sys.executable, str(LAUNCH), ".fleet.describe", "-f", str(requests[0][0]), str(write), requested],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            pass_fds=[write],
            start_new_session=True,  # so that everything that a locustfile starts ends with it
            env={**os.environ, PARENT_VARIABLE: str(os.getpid())},
        )
        os.close(write)
        try:
            line = _line_of(answers, DESCRIBE_TIMEOUT_S)
            ended = _wait(process, FAREWELL_S)
        finally:
            _end_group(process)
        printed.seek(0)
        said = printed.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
    if line is None:
        return [
            {"error": f"{path} did not finish importing within {DESCRIBE_TIMEOUT_S:.0f} s."} for path, _ in requests
        ]
    if not line:
        how = "" if ended is None else f" by signal {-ended}" if ended < 0 else f" with status {ended}"
        detail = "\n".join([f"its process ended{how}.", *said])
        return [{"error": f"{path} could not be imported: {detail}"} for path, _ in requests]
    described: list[dict[str, Any]] = json.loads(line)
    return described


def _line_of(pipe: IO[bytes], timeout_s: float) -> bytes | None:
    """Read a line from a pipe.

    The result is empty if the pipe was closed without a line, and None if no line came in time.
    """
    give_up_s = time.monotonic() + timeout_s
    parts: list[bytes] = []
    with selectors.DefaultSelector() as selector:  # select.select fails on descriptors from 1024 up
        selector.register(pipe, selectors.EVENT_READ)
        while not (parts and parts[-1].endswith(b"\n")):
            if not selector.select(max(0.0, give_up_s - time.monotonic())):
                return None
            part = os.read(pipe.fileno(), 1 << 20)
            if not part:
                return b""
            parts.append(part)
    return b"".join(parts)


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> int | None:
    try:
        return process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
