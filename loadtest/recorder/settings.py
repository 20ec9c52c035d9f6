"""Read Locust's settings for users and tasks, and ignore its settings for processes.

The settings come from files, the environment and arguments.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import configargparse  # type: ignore[import-untyped] # the package contains no types
import locust
from locust import argument_parser

TAKEN = {
    "num_users": "--users",
    "spawn_rate": "--spawn-rate",
    "run_time": "--duration",
    "tags": "--tags",
    "exclude_tags": "--exclude-tags",
    "user_classes": "--user-class",
    "config_users": "",
    "equal_weights": "",
}
"""Locust's options for users and tasks, by `dest`, with our equivalents. lt reads them from files and the environment.

Options without an equivalent may also be given after `--`. All other options of Locust concern its processes, its page
or its files, which `lt` manages.
"""

INSTEAD = {"host": "name it with --target", "locustfile": "name it with --scenario"}

VARIABLES = {"LOCUST_HOST": "host", "LOCUST_LOCUSTFILE": "locustfile"}
"""The environment variables of these two options."""


class ArgumentsError(Exception):
    """The arguments are wrong. The message is a sentence that says what is wrong."""


@dataclass(slots=True)
class Settings:
    """The settings for the scenario and their sources.

    Attributes:
        values: the given values of the options in TAKEN, by Locust's `dest`.
        taken: source → the settings taken from it, such as "users = 5".
        left: source → the settings that are ignored.
        secret_options: the scenario's own options with `is_secret=True`.
    """

    values: dict[str, Any] = field(default_factory=dict)
    taken: dict[str, list[str]] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)
    secret_options: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """Return sentences that tell the user which settings are used and which are ignored."""
        sentences = [f"{source}: {', '.join(what)}" for source, what in self.taken.items()]
        for source, names in self.left.items():
            ways = {name: INSTEAD.get(VARIABLES.get(name, name)) for name in names}
            if of_processes := [f"`{name}`" for name, way in ways.items() if way is None]:
                sentences.append(
                    f"{source}: lt does not use {', '.join(of_processes)}, because lt runs Locust's processes itself"
                )
            sentences += [f"{source}: `{name}` is not used: {way}" for name, way in ways.items() if way is not None]
        return sentences


def own_actions() -> list[argparse.Action]:
    """Return Locust's own options, without those of a scenario."""
    parser = argument_parser.get_empty_argument_parser(add_help=True, default_config_files=())
    argument_parser.setup_parser_arguments(parser)
    return list(parser._actions)


def config_keys(actions: Iterable[argparse.Action]) -> dict[str, str]:
    """Return the keys that a configuration file may have for these options, with the `dest` of each key."""
    return {
        key: action.dest
        for action in actions
        for option in action.option_strings
        if option.startswith("--")
        for key in (option, option[2:])
    }


def keep_out(*, also_taken: bool, settings: Settings | None = None) -> None:
    """Make every parser of this process read only a scenario's own settings from files and the environment.

    Args:
        also_taken: whether to read the options in TAKEN too.
        settings: collects the names of the settings that are ignored.
    """
    actions = [action for action in own_actions() if not (also_taken and action.dest in TAKEN)]
    keys = config_keys(actions)
    variables = {name for action in actions if (name := getattr(action, "env_var", None))}
    parse_file = argument_parser.LocustConfigParser.parse
    parse_words = configargparse.ArgumentParser.parse_known_args

    def own_file(self: Any, stream: Any) -> Any:
        items = parse_file(self, stream)
        left = [key for key in items if key in keys]
        if settings is not None and (named := [key for key in left if _is_on(items[key])]):
            settings.left[stream.name] = [key.removeprefix("--") for key in named]
        for key in left:
            del items[key]
        return items

    def own_arguments(self: Any, args: Any = None, namespace: Any = None, *rest: Any, **options: Any) -> Any:
        given: Mapping[str, str] = options.get("env_vars", os.environ)
        for name in variables:
            if settings is not None and _is_on(given.get(name, "")):
                names = settings.left.setdefault("the environment", [])
                names.extend({name} - {*names})
        options["env_vars"] = {name: value for name, value in given.items() if name not in variables}
        return parse_words(self, args, namespace, *rest, **options)

    parsers: Any = argument_parser
    parsers.LocustConfigParser.parse = own_file
    parsers.LocustArgumentParser.parse_known_args = own_arguments


def _is_on(value: object) -> bool:
    return str(value).strip().lower() not in ("", "false", "no", "none")


def read_settings(own_arguments: list[str], locustfile: str) -> tuple[argparse.Namespace, Settings]:
    """Parse the arguments in the same way as the master, and return its options and the sources of the settings.

    The scenario must be loaded before this call.

    Args:
        own_arguments: the arguments after `--`.
        locustfile: the name of the locustfile, for messages.

    Raises:
        ArgumentsError: an argument is unknown or missing, or is an option of Locust that is not accepted in this place.
    """
    settings = Settings()
    keep_out(also_taken=True, settings=settings)
    parsers: Any = argument_parser
    parsers.LocustArgumentParser.error = _refuse
    parser = _parser_of_scenario()
    ours = {action.dest: action for action in own_actions()}
    theirs = [action for action in parser._actions if action.dest not in ours]
    settings.secret_options = [
        option for action in theirs if getattr(action, "is_secret", False) for option in action.option_strings
    ]
    _refuse_locusts(parser, own_arguments, ours)
    if {"-h", "--help"} & set(own_arguments):
        raise ArgumentsError(f"{locustfile} has {_listed(theirs) or 'no arguments of its own'}.")
    try:
        options, unknown = parser.parse_known_args(own_arguments, env_vars=os.environ)
    except ArgumentsError as error:
        raise ArgumentsError(_with_the_way_out(str(error), locustfile, theirs)) from None
    if unknown:
        raise ArgumentsError(
            f"`{' '.join(unknown)}`: {locustfile} has no such argument; it has "
            f"{_listed(theirs) or 'no arguments of its own'}."
        )
    for source, given in parser.get_source_to_settings_dict().items():
        kind, _, file = source.partition("|")
        if kind not in ("environment_variables", "config_file"):
            continue
        for key, (action, value) in given.items():
            text = ("…" if getattr(action, "is_secret", False) else str(value)) if action is not None else ""
            settings.taken.setdefault(file or "the environment", []).append(f"{key} = {text}")
    for dest in TAKEN:
        value = getattr(options, dest)
        if value not in (None, False, []):
            settings.values[dest] = value
    if os.environ.get("LOCUST_USER_CLASSES", "").split():
        settings.taken.setdefault("the environment", []).append(
            f"LOCUST_USER_CLASSES = {os.environ['LOCUST_USER_CLASSES']}"
        )
    return options, settings


def _parser_of_scenario() -> Any:
    """Return Locust's parser with the scenario's arguments. Errors in the scenario's listeners are raised.

    Locust itself would only log such an error, start everything and then end the process.
    """
    handlers = locust.events.init_command_line_parser._handlers
    raised: list[Exception] = []

    def noting(handler: Any) -> Any:
        def call(**arguments: Any) -> None:
            try:
                handler(**arguments)
            except Exception as error:
                raised.append(error)

        return call

    handlers[:] = [noting(handler) for handler in handlers]
    parser = argument_parser.get_parser()
    if raised:
        raise raised[0]
    return parser


def _refuse(_parser: object, message: str) -> NoReturn:
    raise ArgumentsError(message)


def _refuse_locusts(parser: Any, arguments: list[str], ours: dict[str, argparse.Action]) -> None:
    """Reject Locust's own options among the arguments of a scenario."""
    nothing: Any = object()
    required = [action for action in parser._actions if action.required]
    for action in required:
        action.required = False
    arguments_left = [word for word in arguments if word not in ("-h", "--help")]
    try:
        found, _ = argparse.ArgumentParser.parse_known_args(
            parser, arguments_left, argparse.Namespace(**dict.fromkeys(ours, nothing))
        )
    finally:
        for action in required:
            action.required = True
    for dest, action in ours.items():
        value: Any = getattr(found, dest, nothing)
        if value is nothing or value == action.default or not (dest not in TAKEN or TAKEN[dest]):
            continue
        if dest == "user_classes":
            raise ArgumentsError(
                f"`{' '.join(value)}`: not an argument of lt. A scenario is named with --scenario, a user class with "
                "--user-class, and a scenario's own arguments begin with `--`."
            )
        option = next(name for name in reversed(action.option_strings) if name.startswith("--"))
        instead = TAKEN.get(dest) or INSTEAD.get(dest)
        if dest in TAKEN:
            raise ArgumentsError(f"`-- {option}`: pass it to lt itself, as `{instead} …` before the `--`.")
        raise ArgumentsError(
            f"`-- {option}`: {instead or 'it applies to the processes of Locust, which lt runs itself'}."
        )


def _listed(actions: list[argparse.Action]) -> str:
    return ", ".join(
        (action.option_strings[-1] if action.option_strings else action.dest)
        + (" (required)" if action.required else "")
        for action in actions
        if not isinstance(action, argparse._HelpAction)
    )


def _with_the_way_out(message: str, locustfile: str, theirs: list[argparse.Action]) -> str:
    needed = [action for action in theirs if action.required and action.option_strings] or theirs[:1]
    given = " ".join(f"{action.option_strings[-1]} {action.metavar or action.dest.upper()}" for action in needed)
    return (
        f"{locustfile}: {message}. Write the scenario's own arguments after `--`: "
        f"lt run --scenario {locustfile} … -- {given}"
    )
