"""Find scenarios and describe them without importing Locust into this process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ..core.errors import UsageError
from ..core.plan import user_seconds
from ..recording.run import LoadModel, PlanPoint, ScenarioRecord

BUNDLED = Path(__file__).parents[2] / "scenarios"

DESCRIBE_TIMEOUT_S = 60.0


class Scenario(BaseModel):
    """What a locustfile says of itself.

    Attributes:
        corners: (elapsed s, users) of its plan; empty when its shape is not one of ours and cannot be foretold.
        requests_per_user_s: the most requests one user sends per second, where its class states it.
        objectives: the file's `objectives`, as written.
        limits: the file's `limits`: what the local Cloud Run should be given for it.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    path: Path
    sha256: str
    description: str
    user_classes: tuple[str, ...]
    host: str | None
    open_loop: bool
    shape: str | None
    corners: tuple[tuple[float, float], ...]
    users: int | None
    spawn_rate: float | None
    duration_s: float | None
    requests_per_user_s: float | None
    objectives: tuple[str, ...]
    limits: dict[str, float | int | str | bool]

    def request_budget(self) -> float | None:
        """Return the most requests the plan can send: its area in user-seconds × requests per user and second."""
        if not self.corners or self.requests_per_user_s is None:
            return None
        return user_seconds(self.corners) * self.requests_per_user_s

    def record(self) -> ScenarioRecord:
        """Return what `run.json` keeps of it."""
        return ScenarioRecord(
            name=self.name,
            path=str(self.path),
            sha256=self.sha256,
            description=self.description,
            load_model=LoadModel.OPEN if self.open_loop else LoadModel.CLOSED,
            plan=[PlanPoint(at_s=at_s, users=users) for at_s, users in self.corners],
        )


def bundled() -> dict[str, Path]:
    """Return the bundled scenarios' paths by name: every file in `scenarios/` that defines a user class."""
    return {
        path.stem: path
        for path in sorted(BUNDLED.glob("*.py"))
        if not path.name.startswith("_") and "class " in path.read_text(encoding="utf-8")
    }


def locate(name: str) -> Path:
    """Return the path of the scenario called `name`, or of the locustfile at that path.

    Raises:
        UsageError: there is neither; the text lists the bundled ones.
    """
    known = bundled()
    if name in known:
        return known[name]
    path = Path(name)
    if path.is_file():
        return path.resolve()
    raise UsageError(
        f"`--scenario {name}`: there is no such scenario or file. Bundled: {', '.join(known)}; "
        "or give the path of a locustfile."
    )


def describe_all(paths: Iterable[Path]) -> list[Scenario | str]:
    """Describe locustfiles in one process; a broken one comes as the sentence that says why."""
    return _describe([{"path": str(p), "users": None, "spawn_rate": None, "duration_s": None} for p in paths])


def describe_one(
    path: Path, *, users: int | None = None, spawn_rate: float | None = None, duration_s: float | None = None
) -> Scenario:
    """Describe a locustfile with its plan overridden the way the run will do it.

    Raises:
        UsageError: it cannot be imported, or defines no user.
    """
    (scenario,) = _describe([{"path": str(path), "users": users, "spawn_rate": spawn_rate, "duration_s": duration_s}])
    if isinstance(scenario, str):
        raise UsageError(scenario)
    if not scenario.user_classes:
        raise UsageError(f"{path} defines no Locust user: a scenario needs a class derived from `User` with a task.")
    return scenario


def _describe(requests: list[dict[str, object]]) -> list[Scenario | str]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "loadtest.fleet.describe"],
            input=json.dumps(requests),
            capture_output=True,
            text=True,
            timeout=DESCRIBE_TIMEOUT_S,
            check=False,
            env=locust_environment(),
        )
        answers = json.loads(done.stdout[done.stdout.rindex("[{") :])  # a locustfile may print while it is imported
    except subprocess.TimeoutExpired:
        return [
            f"{request['path']} did not finish importing within {DESCRIBE_TIMEOUT_S:.0f} s." for request in requests
        ]
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        return [f"{request['path']} could not be imported: {last}" for request in requests]
    return [
        f"{request['path']} could not be imported: {answer['error']}"
        if "error" in answer
        else Scenario(name=Path(str(request["path"])).stem, **answer)
        for request, answer in zip(requests, answers, strict=True)
    ]


def locust_environment() -> dict[str, str]:
    """Return the environment of a Locust process: this checkout importable whatever the working folder."""
    import os

    path = os.pathsep.join(part for part in (str(BUNDLED.parent), os.environ.get("PYTHONPATH", "")) if part)
    return {**os.environ, "PYTHONPATH": path}
