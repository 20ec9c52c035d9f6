"""Run the command line: parse, call the verb, print what went wrong in a sentence, choose the exit code."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable
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

from ..core.errors import LoadTestError, UsageError
from . import deploy, doctor, emulate, metrics, report, run, runs, scenarios, serve, worker
from .terminal import talk

HELD, MISSED, USAGE, UNDECIDED, UNUSABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit codes. Verbs return one of the first and the fourth; errors become the others here."""

app = typer.Typer(
    name="lt",
    help="Load-test a model service and be told whether it held, where p95 spiked, and why.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _verb(function: Callable[..., int]) -> Callable[..., None]:
    """Return `function` as a command: its number becomes the exit code."""

    @functools.wraps(function)
    def command(*words: Any, **options: Any) -> None:
        raise typer.Exit(function(*words, **options))

    return command


app.command("scenarios")(_verb(scenarios.list_scenarios))
app.command("serve")(_verb(serve.serve_here))
app.command("emulate")(_verb(emulate.emulate))
app.command("deploy")(_verb(deploy.deploy))
app.command("run")(_verb(run.run))
app.command("worker")(_verb(worker.join))
app.command("metrics")(_verb(metrics.metrics))
app.command("runs")(_verb(runs.list_recorded))
app.command("report")(_verb(report.report))
app.command("doctor")(_verb(doctor.doctor))


@app.callback()
def _every_verb(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, not only its sentence.")
    ] = False,
) -> None:
    del debug  # read from the words themselves in `main`, so that it holds for errors of the parser too


def main() -> None:
    """Run one verb and exit with its code."""
    debug = "--debug" in sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: whatever was recorded is kept
    try:
        app()
    except LoadTestError as error:
        if debug:
            raise
        talk.print(str(error), markup=False)
        sys.exit(USAGE if isinstance(error, UsageError) else UNUSABLE)
