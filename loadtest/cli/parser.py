"""Build the parser of the command line from the verbs' functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer

from .. import __version__
from ..core.exit_codes import ExitCode
from .terminal import out
from .verbs import DEBUG_HELP, EXIT_CODES, SUMMARY, VERBS, VERSION_HELP, Verb


def make_app(only: str | None = None) -> typer.Typer:
    """Return the parser of all verbs, or of one verb without importing the modules of the others."""
    app = typer.Typer(
        name="lt",
        help=SUMMARY,
        epilog=EXIT_CODES,
        invoke_without_command=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    for name, verb in VERBS.items():
        if only not in (None, name):
            continue
        if verb.actions:
            _group(app, name, verb)
        else:
            _command(app, name, _function(verb.place))
    app.callback()(_every_verb)
    return app


def _function(place: str) -> Callable[..., int]:
    module, _, function = place.partition(":")
    found: Callable[..., int] = getattr(import_module(f".{module}", __package__), function)
    return found


def _command(place: typer.Typer, name: str, function: Callable[..., int]) -> None:
    """Add a verb. The exit code of a verb is the number that its function returns."""

    @functools.wraps(function)
    def command(*args: Any, **options: Any) -> None:
        raise typer.Exit(int(function(*args, **options)))

    place.command(name)(command)


def _group(app: typer.Typer, name: str, verb: Verb) -> None:
    """Add a verb that has actions, such as `lt runs rm`, and that can also be called without an action."""
    group, function = typer.Typer(), _function(verb.place)

    @functools.wraps(function)
    def alone(context: typer.Context, *args: Any, **options: Any) -> None:
        if context.invoked_subcommand is None:
            raise typer.Exit(int(function(*args, **options)))

    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    shape = inspect.signature(function, eval_str=True)
    alone.__signature__ = shape.replace(parameters=[context, *shape.parameters.values()])  # type: ignore[attr-defined]
    group.callback(invoke_without_command=True)(alone)
    module = verb.place.partition(":")[0]
    for action, of_action in verb.actions.items():
        _command(group, action, _function(f"{module}:{of_action}"))
    app.add_typer(group, name=name)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"lt {__version__}")
        raise typer.Exit


def _every_verb(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help=DEBUG_HELP)] = False,
    version: Annotated[bool, typer.Option("--version", help=VERSION_HELP, callback=_version, is_eager=True)] = False,
) -> None:
    del debug, version  # `--debug` is read from the arguments directly, so that it also applies to errors of the parser
    if context.invoked_subcommand is None:
        out.print(context.get_help(), end="")
        raise typer.Exit(ExitCode.USAGE)
