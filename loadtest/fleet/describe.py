"""Describe locustfiles as JSON.

This module runs in a separate process, because importing Locust patches the process.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..recorder.load_error import format_load_error, missing_module

NAME = "loadtest"
"""The usual name of this package. If the user has a package of that name, ours has another name
(loadtest/launch.py)."""


class RefusedError(Exception):
    """A locustfile can be imported, but cannot be run with these options. The message is a sentence."""


class Tags:
    """The tags of tasks to run, and the tags of tasks to leave out."""

    def __init__(self, included: list[str], excluded: list[str]) -> None:
        self.included, self.excluded = included, excluded


@dataclass(frozen=True, slots=True)
class Loaded:
    """A locustfile that is ready to run: Locust's environment, user classes, shapes and settings."""

    environment: Any
    chosen: dict[str, Any]
    classes: dict[str, Any]
    shapes: dict[str, Any]
    settings: Any
    tags: Tags
    source: bytes


def load(path: Path, request: dict[str, Any]) -> Loaded:
    """Import a locustfile, and choose the classes, shape and tasks according to the options.

    Args:
        path: the path of the locustfile.
        request: the fields of `loadtest.fleet.scenario.Request`.

    Raises:
        RefusedError: the locustfile cannot be run with these options.
        Exception: any error that the locustfile raises when it is imported.
    """
    import locust
    from locust.env import Environment
    from locust.main import merge_locustfiles_content

    from ..recorder.settings import ArgumentsError, read_settings

    source = path.read_bytes()
    classes, shapes, tasks, _ = merge_locustfiles_content([str(path)])
    try:
        options, settings = read_settings(request["arguments"], path.name)
    except ArgumentsError as error:
        raise RefusedError(str(error)) from None
    if not classes:
        raise RefusedError(f"{path} defines no Locust user: a scenario needs a class derived from `User` with a task.")
    chosen = _chosen(classes, request["user_classes"] or settings.values.get("user_classes") or [], path)
    try:
        environment = Environment(
            user_classes=list(chosen.values()),
            events=locust.events,
            parsed_options=options,
            available_user_classes=classes,  # type: ignore[arg-type] # Locust itself passes classes in this place
            available_user_tasks=tasks,
        )
        for config in options.config_users or ():
            for user in config:
                environment.update_user_class(user)
    except ValueError as error:
        raise RefusedError(f"{path}: {error}") from None
    except KeyError as error:
        raise RefusedError(f"{path}: config-users names {error}; its user classes are {', '.join(classes)}.") from None
    tags = Tags(
        request["tags"] or settings.values.get("tags") or [],
        request["exclude_tags"] or settings.values.get("exclude_tags") or [],
    )
    environment.tags, environment.exclude_tags = tags.included or None, tags.excluded or None
    _require_tasks(environment.user_classes, environment, tags, path)
    return Loaded(environment, chosen, classes, shapes, settings, tags, source)


def describe(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of `loadtest.fleet.scenario.Scenario`. The arguments and errors are the same as in `load`."""
    loaded = load(path, request)
    users, settings = loaded.environment.user_classes, loaded.settings
    shape = _shape(loaded.shapes, request["shape"], path)
    return {
        **_plan(users, shape, request, settings.values),
        "path": str(path),
        "sha256": hashlib.sha256(loaded.source).hexdigest(),
        "description": (ast.get_docstring(ast.parse(loaded.source)) or "").split("\n")[0],
        "user_classes": sorted(user.__name__ for user in users),
        "hosts": {user.__name__: user.host or None for user in users},
        "http_classes": sorted(user.__name__ for user in users if speaks_http(user)),
        "shape": type(shape).__name__ if shape is not None else None,
        "requests_per_user_s": max((float(getattr(user, "requests_per_s", 0) or 0) for user in users), default=0)
        or None,
        "objectives": tuple(getattr(_module_of(users), "objectives", ())),
        "limits": dict(getattr(_module_of(users), "limits", {})),
        "arguments": _arguments(loaded, request["arguments"]),
        "secret_options": settings.secret_options,
        "notes": settings.sentences(),
        "checks_answers": any(_check_answers(user, path) for user in users),
    }


def _module_of(users: list[Any]) -> Any:
    return inspect.getmodule(users[0]) if users else None


def _chosen(classes: dict[str, Any], names: Iterable[str], path: Path) -> dict[str, Any]:
    names = list(dict.fromkeys(names))
    if unknown := [name for name in names if name not in classes]:
        raise RefusedError(f"`--user-class {unknown[0]}`: {path.name} has {', '.join(classes)}.")
    return {name: classes[name] for name in names} if names else dict(classes)


def _shape(shapes: dict[str, Any], name: str | None, path: Path) -> Any:
    """Return the shape to use, or None."""
    if name == "none":
        return None
    if name is not None and name not in shapes:
        raise RefusedError(f"`--shape {name}`: {path.name} has {', '.join(shapes) or 'none'}.")
    if name is None and len(shapes) > 1:
        raise RefusedError(
            f"{path.name} has {len(shapes)} load shapes: choose one with --shape {' or --shape '.join(shapes)}, or "
            f"run without a shape with --shape none."
        )
    return shapes[name] if name is not None else next(iter(shapes.values()), None)


def _plan(users: list[Any], shape: Any, request: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return what determines the number of users: the points of the plan, and the settings that override it."""
    from ..users.open_loop import OpenLoopUser
    from ..users.shapes import SHAPELESS, PlannedShape

    overrides = {
        "users": request["users"] or settings.get("num_users"),
        "spawn_rate": request["spawn_rate"] or settings.get("spawn_rate"),
        "duration_s": request["duration_s"] or settings.get("run_time"),
    }
    known = shape.plan if isinstance(shape, PlannedShape) else SHAPELESS if shape is None else None
    plan = known and known.overridden(**overrides)
    return {
        "open_loop": bool(users) and all(issubclass(user, OpenLoopUser) for user in users),
        "points": plan.points() if plan is not None else (),
        "users": plan.users if plan is not None else overrides["users"],
        "spawn_rate": plan.spawn_rate if plan is not None else overrides["spawn_rate"],
        "duration_s": plan.duration_s if plan is not None else overrides["duration_s"],
        "overrides": overrides,
        "shape_option": request["shape"],
    }


def speaks_http(user: Any) -> bool:
    """Whether the client of the class needs a base URL."""
    from locust import FastHttpUser, HttpUser

    from ..users.fast_user import FastUser

    return issubclass(user, (HttpUser, FastHttpUser, FastUser))


def _require_tasks(users: list[Any], environment: Any, tags: Tags, path: Path) -> None:
    """Reject tags that select no task; the message names the existing tags.

    A class without tasks is not reported, because it may override `run` or add tasks later.
    """
    with_tasks = [user for user in users if user.tasks]
    there = sorted({tag for user in with_tasks for task in user.tasks for tag in _tags_of(task)})
    if not (tags.included or tags.excluded) or not with_tasks:
        return
    environment._filter_tasks_by_tags()
    if not any(user.tasks for user in with_tasks):
        given = [f"--tags {tag}" for tag in tags.included] + [f"--exclude-tags {tag}" for tag in tags.excluded]
        raise RefusedError(
            f"`{' '.join(given)}`: no task of {path.name} is left. Its tags are {', '.join(there) or '(none)'}."
        )


def _tags_of(task: Any) -> set[str]:
    found = set(getattr(task, "locust_tag_set", ()))
    if isinstance(task, type):
        found |= {tag for inner in getattr(task, "tasks", ()) for tag in _tags_of(inner)}
    return found


def _check_answers(user: Any, path: Path) -> bool:
    """Whether the answers of a user class are compared."""
    from ..core.answers import AnswerCheck

    asked = getattr(user, "check_answers", None)
    if asked is not None and not isinstance(asked, bool | AnswerCheck):
        raise RefusedError(
            f"{path}: {user.__name__}.check_answers is {asked!r}: use True, False, or AnswerCheck(ignore=(…,))."
        )
    return bool(asked)


def _arguments(loaded: Loaded, own: list[str]) -> list[str]:
    """Return the arguments for Locust's processes.

    User classes come first, because other arguments may accept any number of values, and would take a user class as a
    value.
    """
    tags, settings = loaded.tags, loaded.settings.values
    arguments = [] if len(loaded.chosen) == len(loaded.classes) else list(loaded.chosen)
    arguments += ["--tags", *tags.included] if tags.included else []
    arguments += ["--exclude-tags", *tags.excluded] if tags.excluded else []
    arguments += ["--equal-weights"] if settings.get("equal_weights") else []
    if "--config-users" not in own and (configs := settings.get("config_users")):
        arguments += ["--config-users", *(json.dumps(config) for config in configs)]
    return [*arguments, *own]


def answer_for(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return the result of `describe`, or {"error": the reason why there is none}."""
    try:
        return describe(path, request)
    except RefusedError as error:
        return {"error": str(error)}
    except BaseException as error:  # a locustfile may raise any exception or call sys.exit
        text = format_load_error(error, path)
        missing = missing_module(error) or ""
        if __package__.partition(".")[0] != NAME and missing.startswith(f"{NAME}."):
            place = getattr(sys.modules.get(NAME), "__file__", None) or path
            text += (
                f"\n{place} has the name of lt's own package `{NAME}` and is imported instead of it: to use lt's "
                f"`{missing}`, rename this file or folder."
            )
        return {"error": text}


def main(arguments: list[str]) -> None:
    """Write the descriptions as one line of JSON to a file descriptor.

    Args:
        arguments: `-f FIRST_FILE FD [[path, request], …]`. The answer has its own file descriptor, because a locustfile
            may print to stdout.
    """
    descriptor, requests = int(arguments[2]), json.loads(arguments[3])
    os.set_inheritable(descriptor, False)
    answers = [answer_for(Path(path), request) for path, request in requests]
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(json.dumps(answers) + "\n")
