"""Run the command line: parse, call the verb, print what went wrong in a sentence, choose the exit code."""

from __future__ import annotations

import errno
import functools
import inspect
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

try:
    import typer
except ModuleNotFoundError:
    print(
        f"`typer` is not installed for {sys.executable}: run `make demo` (or `make .venv/.ready`) once, then "
        "`. .venv/bin/activate`; or `pip install -e .`",
        file=sys.stderr,
    )
    sys.exit(4)

from typer.exceptions import TyperException

from .. import __version__
from ..core.errors import LoadTestError, UsageError
from ..core.exit_codes import MEANINGS, ExitCode, of_error
from . import deploy, doctor, emulate, init, metrics, report, run, runs, scenarios, serve, worker
from .terminal import end, named, out, prepare, talk

DEFECT = "lt has a defect"
"""Begins the sentence of an error that nobody expected."""

app = typer.Typer(
    name="lt",
    help="Load-test a model service and be told whether it held, where p95 spiked, and why.",
    epilog="Exit codes: " + " · ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + ".",
    invoke_without_command=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _verb(name: str, function: Callable[..., int]) -> None:
    """Add a verb: its number becomes the exit code."""
    _command(app, name, function)


def _command(place: typer.Typer, name: str, function: Callable[..., int]) -> None:
    @functools.wraps(function)
    def command(*words: Any, **options: Any) -> None:
        raise typer.Exit(int(function(*words, **options)))

    place.command(name)(command)


def _group(name: str, function: Callable[..., int], actions: dict[str, Callable[..., int]]) -> None:
    """Add a verb that does something by itself, and more when an action follows it."""
    group = typer.Typer()

    @functools.wraps(function)
    def alone(context: typer.Context, *words: Any, **options: Any) -> None:
        if context.invoked_subcommand is None:
            raise typer.Exit(int(function(*words, **options)))

    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    shape = inspect.signature(function, eval_str=True)
    alone.__signature__ = shape.replace(parameters=[context, *shape.parameters.values()])  # type: ignore[attr-defined]
    group.callback(invoke_without_command=True)(alone)
    for action, of_action in actions.items():
        _command(group, action, of_action)
    app.add_typer(group, name=name)


_verb("scenarios", scenarios.list_scenarios)
_verb("init", init.init)
_verb("serve", serve.serve_here)
_verb("emulate", emulate.emulate)
_verb("deploy", deploy.deploy)
_verb("run", run.run)
_verb("worker", worker.join)
_verb("metrics", metrics.metrics)
_group("runs", runs.list_recorded, {"rm": runs.remove, "label": runs.label, "export": runs.export, "prune": runs.prune})
_verb("report", report.report)
_verb("doctor", doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"lt {__version__}")
        raise typer.Exit


@app.callback()
def _every_verb(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, not only its sentence.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    del debug, version  # the first is read from the arguments themselves, so that it holds for errors of the parser too
    if context.invoked_subcommand is None:
        out.print(context.get_help(), end="")
        raise typer.Exit(ExitCode.USAGE)


def main() -> None:
    """Run one verb and exit with its code."""
    prepare()
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: whatever was recorded is kept
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, signal.default_int_handler)
    for command in app.registered_commands:
        command.help = named(inspect.getdoc(command.callback) or "").replace("Examples:\n", "Examples:\n\n", 1)
    code = run_verb(sys.argv[1:])
    if (error := end()) is not None and code == ExitCode.HELD:
        talk.print(f"stdout cannot be written: {error.strerror}.", markup=False)
        code = ExitCode.UNUSABLE
    sys.exit(code)


def run_verb(arguments: Sequence[str]) -> int:
    """Return the exit code of the verb that the arguments name; whatever goes wrong is told in a sentence."""
    debug = "--debug" in arguments
    try:
        _require_text(arguments)
        return int(app(report.with_default_margin(arguments), standalone_mode=False) or 0)
    except (KeyboardInterrupt, typer.Abort):
        talk.print("interrupted", markup=False)
        return ExitCode.INTERRUPTED
    except Exception as error:
        if debug:
            raise
        said, code = told(error)
        talk.print(said, markup=False)
        return code


def told(error: Exception) -> tuple[str, ExitCode]:
    """Return what to say of an error, in a sentence, and the exit code that it comes to."""
    if isinstance(error, LoadTestError):
        return str(error), of_error(error)
    if isinstance(error, TyperException):
        context: typer.Context | None = getattr(error, "ctx", None)
        said = " ".join(error.format_message().split()).rstrip(".")
        return f"{said}. See `{context.command_path if context else 'lt'} --help`.", ExitCode.USAGE
    if isinstance(error, OSError):
        said = f"{error.filename or 'lt'}: {error.strerror or error}."
        return said, ExitCode.USAGE if error.errno == errno.ENAMETOOLONG else ExitCode.UNUSABLE
    said = f"{DEFECT}: {type(error).__name__}: {error}. `--debug` before the verb shows where; please report it."
    return said, ExitCode.UNUSABLE


def _require_text(arguments: Sequence[str]) -> None:
    """Return when every argument is text: nothing else can be recorded.

    Raises:
        UsageError: one is not in UTF-8.
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UsageError(f"`{argument.encode(errors='replace').decode()}`: arguments must be UTF-8.") from None
