"""Run the command line: parse it, call the verb, print an error as one sentence, and choose the exit code."""

from __future__ import annotations

import errno
import gc
import inspect
import os
import shutil
import sys
from collections.abc import Sequence

if sys.platform == "win32":
    print(
        "lt runs on Linux and macOS. lt needs fork, Unix sockets, file locks and POSIX signals, which Windows does "
        "not have. On Windows, run it in WSL 2, which is Linux.",
        file=sys.stderr,
    )
    sys.exit(4)

from .. import __version__
from ..core.errors import LoadTestError, UsageError
from ..core.exit_codes import ExitCode, of_error
from ..core.extras import missing_extra
from .interrupts import end_at_once, raise_interrupts
from .plain import run_plain
from .terminal import end, named, prepare, write_data
from .verbs import VERBS, overview

WIDEST = 120
"""The help of `lt` uses at most this many columns."""

INTERRUPTED = "interrupted"

DEFECT = "lt has a defect"
"""The message of an unexpected error begins with this."""


def main() -> None:
    """Run one verb and exit with its code."""
    prepare()
    try:
        raise_interrupts()
        code = run_verb(sys.argv[1:])
    except KeyboardInterrupt:  # the error came before the verb began, or while its last sentence was printed
        code = ExitCode.INTERRUPTED
    end_at_once()
    if (error := end()) is not None and code == ExitCode.HELD:
        from .terminal import talk

        talk.print(f"stdout cannot be written: {error.strerror}.", markup=False)
        code = ExitCode.UNUSABLE
    gc.freeze()  # so that the garbage collection at exit skips all imported modules (50 ms)
    sys.exit(code)


def run_verb(arguments: Sequence[str]) -> int:
    """Run the verb that the arguments name and return its exit code. Every error is printed as one sentence."""
    if not any(
        name.startswith("_") and name.endswith("_COMPLETE") for name in os.environ
    ):  # a shell asks for completions
        if list(arguments) in ([], ["--help"]):
            write_data(overview(min(WIDEST, shutil.get_terminal_size().columns)) + "\n")
            return ExitCode.HELD if arguments else ExitCode.USAGE
        if list(arguments) == ["--version"]:
            write_data(f"lt {__version__}\n")
            return ExitCode.HELD
    return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    try:
        _require_text(arguments)
        code = run_plain(arguments)
        return _parse_and_run(arguments) if code is None else code
    except KeyboardInterrupt:
        said, code = INTERRUPTED, ExitCode.INTERRUPTED
    except Exception as error:
        if "--debug" in arguments:
            raise
        said, code = message_of(error)
    from .terminal import talk

    talk.print(said, markup=False)
    return code


def _parse_and_run(arguments: Sequence[str]) -> int:
    _require_typer()
    from .parser import make_app

    verb = next((word for word in arguments if not word.startswith("-")), None)
    app = make_app(verb if verb in VERBS else None)
    for command in app.registered_commands:
        command.help = named(inspect.getdoc(command.callback) or "").replace("Examples:\n", "Examples:\n\n", 1)
    argv = list(arguments)
    if verb == "report":
        from .report import with_default_margin

        argv = with_default_margin(arguments)
    return int(app(argv, standalone_mode=False) or 0)


def _require_typer() -> None:
    try:
        import typer  # noqa: F401 - imported here, so that the message below can say how to install it
    except ModuleNotFoundError:
        print(
            f"`typer` is not installed for {sys.executable}: run `make demo` (or `make .venv/.ready`) once, then "
            "`. .venv/bin/activate`; or `pip install -e .`",
            file=sys.stderr,
        )
        sys.exit(ExitCode.UNUSABLE)


def message_of(error: Exception) -> tuple[str, ExitCode]:
    """Return the sentence to print for an error, and its exit code."""
    import typer
    from typer.exceptions import TyperException

    if isinstance(error, LoadTestError):
        return str(error), of_error(error)
    if isinstance(error, typer.Abort):
        return INTERRUPTED, ExitCode.INTERRUPTED
    if isinstance(error, TyperException):
        context: typer.Context | None = getattr(error, "ctx", None)
        said = " ".join(error.format_message().split()).rstrip(".")
        return f"{said}. See `{context.command_path if context else 'lt'} --help`.", ExitCode.USAGE
    if isinstance(error, OSError):
        said = f"{error.filename or 'lt'}: {error.strerror or error}."
        return said, ExitCode.USAGE if error.errno == errno.ENAMETOOLONG else ExitCode.UNUSABLE
    if isinstance(error, ModuleNotFoundError) and (missing := missing_extra(error)) is not None:
        return str(missing), ExitCode.UNUSABLE
    said = f"{DEFECT}: {type(error).__name__}: {error}. `--debug` before the verb shows where; please report the error."
    return said, ExitCode.UNUSABLE


def _require_text(arguments: Sequence[str]) -> None:
    """Check that every argument is UTF-8 text; other bytes cannot be recorded.

    Raises:
        UsageError: an argument is not UTF-8 text.
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UsageError(f"`{argument.encode(errors='replace').decode()}`: arguments must be UTF-8.") from None
