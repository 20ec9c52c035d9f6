"""Tell what locustfiles hold, as JSON; run as a process of its own, since importing Locust patches the process."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
import traceback
from pathlib import Path
from typing import Any


def describe(path: Path, *, users: int | None, spawn_rate: float | None, duration_s: float | None) -> dict[str, Any]:
    """Return the fields of `loadtest.fleet.scenario.Scenario`, the plan with the given fields in place of its own.

    Raises:
        Exception: whatever the locustfile raises when it is imported.
    """
    from locust.util.load_locustfile import load_locustfile

    from ..users.open_loop import OpenLoopUser
    from ..users.shapes import SHAPELESS, PlannedShape

    source = path.read_bytes()
    found, shapes = load_locustfile(str(path))[:2]
    classes = list(found.values())
    module = inspect.getmodule(classes[0]) if classes else None
    shape = shapes[0] if shapes else None
    known = shape.plan if isinstance(shape, PlannedShape) else SHAPELESS if shape is None else None
    plan = known and known.overridden(users=users, spawn_rate=spawn_rate, duration_s=duration_s)
    open_loop = bool(classes) and all(issubclass(user, OpenLoopUser) for user in classes)
    return {
        "path": str(path),
        "sha256": hashlib.sha256(source).hexdigest(),
        "description": (ast.get_docstring(ast.parse(source)) or "").split("\n")[0],
        "user_classes": sorted(found),
        "host": next((user.host for user in classes if user.host), None),
        "open_loop": open_loop,
        "shape": type(shape).__name__ if shape is not None else None,
        "corners": plan.corners() if plan is not None else (),
        "users": plan.users if plan is not None else users,
        "spawn_rate": plan.spawn_rate if plan is not None else spawn_rate,
        "duration_s": plan.duration_s if plan is not None else duration_s,
        "requests_per_user_s": max((float(getattr(user, "requests_per_s", 0) or 0) for user in classes), default=0)
        or None,
        "objectives": tuple(getattr(module, "objectives", ())),
        "limits": dict(getattr(module, "limits", {})),
    }


def main() -> None:
    """Answer the requests on stdin, a JSON list of `describe`'s arguments, in order; a broken one with {"error"}."""
    answers: list[dict[str, Any]] = []
    for request in json.load(sys.stdin):
        try:
            answers.append(describe(Path(request.pop("path")), **request))
        except BaseException as error:  # a locustfile may raise anything, or exit; its words are the answer
            last = traceback.extract_tb(error.__traceback__)[-1]
            answers.append({"error": f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
