"""The verb `ab`: send load to two targets in one run and compare the second with the first."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated, Any

import typer

from . import options as cli


class Sides:
    """The options that name both targets."""

    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="A B [-- ARGUMENTS]",
            help="Both targets: URLs, `local` (the bundled service), or commands in quotes that use $PORT; B is "
            "compared with A. After `--`: the scenario's own arguments.",
        ),
    ] = None
    command: Annotated[
        list[str] | None,
        cli.option(
            "Start this service, which must listen on $PORT; give the option twice, instead of A and B.",
            metavar="COMMAND",
        ),
    ] = None
    service: Annotated[
        list[str] | None,
        cli.option(
            "Load this Cloud Run service (its name, its run.app URL, or the URL of a tag); give the option twice, "
            "instead of A and B. A private service gets its own ID token.",
            metavar="NAME",
            panel=cli.CLOUD,
        ),
    ] = None
    project: cli.Project = None
    region: cli.Region = None
    endpoint: cli.Endpoint = None


class Decided:
    """The options for the margins (how much slower B may be), and for ending the run when they are decided."""

    margin: Annotated[
        list[str] | None,
        cli.option(
            "How much slower B may be: the exit code is 1 if B is slower than that, and 3 if this cannot be decided. "
            "Also p50, p99, and "
            '"p95(POST /predict)=10%"; repeatable. [default: p95=5%]',
            metavar="p95=5%",
            panel=cli.JUDGE,
        ),
    ] = None
    until_decided: Annotated[
        bool,
        cli.option(
            "End the run as soon as every margin is decided, and after --max-duration at the latest.",
            "--until-decided",
            panel=cli.JUDGE,
        ),
    ] = False
    max_duration: Annotated[
        str | None,
        cli.option(
            "Maximum duration of the run with --until-decided. [default: the scenario's]",
            metavar="LENGTH",
            panel=cli.JUDGE,
        ),
    ] = None


@cli.takes(Sides, cli.Common, cli.Plan, Decided, cli.Judgement, cli.Fleet, cli.Page)
def ab(  # the function is long because of its parameters and examples
    *,
    targets: list[str] | None,
    command: list[str] | None,
    service: list[str] | None,
    scenario: str | None,
    get: list[str] | None,
    seed: int,
    yes: bool,
    margin: list[str] | None,
    until_decided: bool,
    max_duration: str | None,
    duration: str | None,
    allow_degraded: bool,
    live: int | None,
    open_it: bool,
    **given: Any,
) -> int:
    """Run a scenario against two targets at once, and say whether B is slower than A.

    Half of the users call each target. Both targets get load in the same seconds, from the same machine and with the
    same payloads, so drift is not mistaken for a difference. The exit code is 0 if B is not slower than the margin
    allows, 1 if B is slower than that or missed an objective, and 3 if the margin or an objective is undecided.

    Examples:
        python lt.py ab http://127.0.0.1:8080 http://127.0.0.1:8081 --scenario steady

        python lt.py ab local local --scenario steady --duration 2m

        python lt.py ab --command "uvicorn old:app --port $PORT" --command "uvicorn new:app --port $PORT" -s my.py

        python lt.py ab URL_A URL_B -s steady --until-decided --max-duration 20m --margin p99=10%
    """
    from ..core.errors import UsageError
    from ..core.margins import DEFAULT_MARGIN
    from ..runs.options import parse_options
    from ..runs.run import run as record
    from .console import TerminalConsole
    from .decision import Decision
    from .run import live_page, print_report, scenario_of

    sides, arguments = _split(targets or [], command or [], service or [])
    with ExitStack() as stack:
        first = sides[0] if sides else "local"
        path, _ = stack.enter_context(scenario_of(scenario, first, gets=get or [], seed=seed, yes=yes))
        options = parse_options(
            scenario=path,
            sides=sides,
            commands=command,
            services=service,
            arguments=arguments,
            margins=margin or [DEFAULT_MARGIN],
            until_decided=until_decided,
            duration=_length(duration, max_duration, until_decided=until_decided),
            seed=seed,
            yes=yes,
            **given,
        )
        if until_decided and (of_endpoint := [margin.text for margin in options.margins if margin.scope]):
            raise UsageError(
                f"`--margin {of_endpoint[0]}`: --until-decided supports only margins for all requests together."
            )
        decision = Decision(options.margins, ends=until_decided)
        page = stack.enter_context(live_page(live, open_it=open_it)) if live is not None or open_it else None
        recorded = record(options, TerminalConsole(page, lambda: decision.text), decision.begin)
        decision.keep(recorded.folder)
        return print_report(recorded, allow_degraded=allow_degraded, live=page)


def _length(duration: str | None, max_duration: str | None, *, until_decided: bool) -> str | None:
    """Return the maximum length of the run, as text."""
    from ..core.errors import UsageError

    if max_duration is not None and not until_decided:
        raise UsageError(
            f"`--max-duration {max_duration}`: valid only with --until-decided; without it, use --duration."
        )
    if until_decided and duration is not None:
        raise UsageError(f"`--duration {duration}`: use --max-duration with --until-decided.")
    return max_duration or duration


def _split(targets: list[str], commands: list[str], services: list[str]) -> tuple[list[str], list[str]]:
    """Return both targets (none if commands or services replace them) and the scenario's own arguments.

    Raises:
        UsageError: there are not exactly two targets.
    """
    from ..core.errors import UsageError

    for option, given in (("--command", commands), ("--service", services)):
        if given and len(given) != 2:
            raise UsageError(f"`{option}`: give the option twice, for A and for B.")
    if commands or services:
        return [], targets
    if len(targets) < 2 or targets[1].startswith("-"):
        raise UsageError("Give two targets: `lt ab A B`, each a URL, `local`, or a command in quotes that uses $PORT.")
    if len(targets) > 2 and not targets[2].startswith("-"):
        raise UsageError(f"`{targets[2]}`: a third target; `lt ab` compares two. Compare it with A in a separate run.")
    return targets[:2], targets[2:]
