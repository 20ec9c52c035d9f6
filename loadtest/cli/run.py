"""The verb `run`: record a scenario against a target, then report it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from . import options as cli

if TYPE_CHECKING:  # each verb imports these itself, so that `lt --help` stays fast
    from ..runs.run import RunResult
    from .live import LivePage

SHOWN_CHARS = 500
"""At most this many characters of a failed answer's body are printed. The report and `failures.csv` contain more."""


@cli.takes(
    cli.Target,
    cli.Common,
    cli.Plan,
    cli.Judgement,
    cli.Answers,
    cli.Fleet,
    cli.LocustPage,
    cli.Page,
    cli.Service,
)
def run(
    *,
    scenario: str | None,
    target: str,
    get: list[str] | None,
    seed: int,
    yes: bool,
    allow_degraded: bool,
    live: int | None,
    open_it: bool,
    **given: Any,
) -> int:
    """Run a scenario, record every request, print the summary and write the report.

    Examples:
        python lt.py run --scenario ramp300

        python lt.py run --scenario ramp300 --target emulator

        python lt.py run --scenario step --duration 10m --slo "p95(steady) < 300ms"

        python lt.py run --target http://127.0.0.1:8080

        python lt.py run --scenario my_locustfile.py --target http://127.0.0.1:8080 --users 50 --duration 2m
    """
    from ..runs.options import parse_options
    from ..runs.run import run as record
    from .console import TerminalConsole

    with ExitStack() as stack:
        path, target = stack.enter_context(scenario_of(scenario, target, gets=get or [], seed=seed, yes=yes))
        options = parse_options(scenario=path, target=target, seed=seed, yes=yes, **given)
        page = stack.enter_context(live_page(live, open_it=open_it)) if live is not None or open_it else None
        recorded = record(options, TerminalConsole(page))
        return print_report(recorded, allow_degraded=allow_degraded, live=page)


@contextmanager
def scenario_of(scenario: str | None, url: str, *, gets: list[str], seed: int, yes: bool) -> Iterator[tuple[str, str]]:
    """Yield the scenario and the target of a run. If no scenario is named, generate a temporary one."""
    from ..core.addresses import parse_base_url
    from ..core.errors import UsageError
    from ..openapi.quick import quick_scenario
    from ..openapi.wire import HttpWire
    from .init import ask_before_trying, show_tried

    if scenario is not None:
        if gets:
            raise UsageError(
                f"`--get {gets[0]}`: cannot be combined with --scenario, because the scenario defines "
                f"which requests are sent."
            )
        yield scenario, url
        return
    if ":" in url:
        url = parse_base_url(url, option="--target")
        url = url if "://" in url else f"http://{url}"
    if not url.startswith(("http://", "https://")):
        raise UsageError(
            "--scenario is missing: name a scenario (`lt scenarios` lists them), or give the URL of a "
            "service whose OpenAPI document says what to send."
        )
    if not gets:
        ask_before_trying(url, yes=yes)
    with quick_scenario(url, gets=gets, seed=seed, wire=HttpWire(), say=show_tried) as quick:
        yield str(quick.path), quick.target


@contextmanager
def live_page(port: int | None, *, open_it: bool) -> Iterator[LivePage]:
    """Serve the live page while the block lasts; an error that ends the block is shown on the page."""
    from ..core.errors import LoadTestError
    from .live import LivePage
    from .terminal import talk

    with LivePage(port or 0) as page:
        talk.print(f"live page: {page.url}", markup=False)
        if open_it:
            typer.launch(page.url)
        try:
            yield page
        except LoadTestError as error:
            page.fail(str(error))
            raise


def print_report(recorded: RunResult, *, allow_degraded: bool, live: LivePage | None) -> int:
    """Print the summary, write the page, and return the exit code for the run and its objectives."""
    from reports.render.text import render_text
    from reports.summary.build import build_report

    from ..api import page_sources, write_page
    from ..core.exit_codes import ExitCode
    from .report import exit_code
    from .terminal import out, write_data

    if live is not None:
        live.reporting()
    sources = page_sources([recorded.folder])
    made = build_report([recorded.folder.path])
    write_data(render_text(made, brief=True) + "\n")  # printed first, because on a full disk the page cannot be written
    page = write_page(made, [recorded.folder], sources=sources)
    out.print(f"report: {page}", markup=False)
    show_failing(recorded)
    if live is not None:
        live.finish(page)
    code = exit_code(made, allow_degraded=allow_degraded)
    return ExitCode.INTERRUPTED if recorded.interrupted else ExitCode.MISSED if recorded.aborted else code


def show_failing(recorded: RunResult) -> None:
    """Print each endpoint whose first answers all failed, with the body of the first answer and what to do."""
    from reports.render.bodies import gist_of

    from .terminal import talk

    bodies = {(body.method, body.name, body.status): body.body for body in recorded.record.failed_bodies}
    for end in recorded.failing:
        body = bodies.get((end.method, end.name, end.status), "")
        talk.print(f"\n[red]✗[/] {escape(end.sentence)}.")
        gist = gist_of(body)
        for text in dict.fromkeys(filter(None, (gist, body[:SHOWN_CHARS]))):
            talk.print(f"  {text}", markup=False, highlight=False)
    if recorded.failing:
        talk.print("Correct the scenario or the service; `--no-check` lets the load continue anyway.", markup=False)
