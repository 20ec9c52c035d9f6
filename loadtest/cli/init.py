"""The verb `init`: write a scenario for any service from its OpenAPI document, and try it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UsageError
from .terminal import talk

if TYPE_CHECKING:  # each verb imports these itself, so that `lt --help` stays fast
    from ..openapi.trial import Tried
    from ..openapi.write import Written


def init(
    source: Annotated[
        str, typer.Argument(metavar="URL|FILE", help="The service's URL, its OpenAPI document's URL, or that document.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The file to write. [default: the service's name]", show_default=False)
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The service's URL, if the document is a file.", show_default=False)
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar='"METHOD /path"',
            help="Include this operation although it may change data; repeatable.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="A .parquet, .csv or .jsonl file; its columns fill the fields of the same name.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the generated data.")] = 1,
    insecure: Annotated[bool, typer.Option("--insecure", help="Accept any TLS certificate.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before sending requests to another machine.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> int:
    """Write a scenario for a service from its OpenAPI document, and try each operation a few times.

    Operations that may change data (DELETE, PUT, PATCH, a POST that creates something) are left out and listed.

    Examples:
        python lt.py init http://127.0.0.1:8000

        python lt.py init openapi.yaml --target http://127.0.0.1:8000 --out my_service.py
    """
    from ..openapi.document import read_document
    from ..openapi.trial import data_file
    from ..openapi.wire import HttpWire
    from ..openapi.write import write_scenario

    wire = HttpWire(verify=not insecure)
    ask_before_trying(target or source, yes=yes)
    document = read_document(source, target=target, wire=wire)
    path = _new_file(out or Path(f"{document.file_name}_scenario.py"), force=force)
    talk.print(f"{document.title}: read from {document.source}", markup=False)
    if document.base is None:
        talk.print("[yellow]![/] not tried: the document names no server; give --target URL to try it.")
    file = data_file(data.resolve()) if data is not None else None
    written = write_scenario(
        document, wire=wire if document.base else None, include=include or (), data=file, seed=seed, say=show_tried
    )
    _write(path, written.source)
    _conclude(written, path)
    return 0


def _new_file(path: Path, *, force: bool) -> Path:
    """Return the path if a new file may be written at this path."""
    if path.exists() and not force:
        raise UsageError(f"`--out {path}`: the file exists. Give another name, or --force to replace it.")
    return path


def _write(path: Path, source: str) -> None:
    try:
        path.write_text(source, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"`--out {path}`: cannot be written ({error.strerror}). Give another path.") from None


def ask_before_trying(url: str, *, yes: bool) -> None:
    """Ask before a service on another machine gets requests.

    Raises:
        UsageError: the answer was no, or there is no terminal to ask.
    """
    from ..core.addresses import is_loopback, parse_base_url
    from .console import TerminalConsole

    if not url.startswith(("http://", "https://")):
        return
    parse_base_url(url.partition("?")[0], option="init")
    if yes or is_loopback(url):
        return
    answer = TerminalConsole().confirm(f"Send a few requests of each operation to {url}?")
    if answer is None:
        raise UsageError(f"`{url}` is on another machine: a few requests would be sent there. Add --yes to allow this.")
    if not answer:
        raise UsageError("Nothing was sent.")


def show_tried(tried: Tried) -> None:
    """Print how the trial of one operation went."""
    from ..openapi.write import refusal

    mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: "–"}[tried.works]
    talk.print(mark, end=" ")
    reason = tried.note if tried.works else refusal(tried) if tried.works is False else "not tried"
    talk.print(f"{tried.operation.name}{f': {reason}' if reason else ''}", markup=False, highlight=False)


def _conclude(written: Written, path: Path) -> None:
    """Print which operations were left out, and the command that runs the scenario."""
    failed = sum("answered" in each.why or "no answer" in each.why for each in written.left_out)
    for each in written.left_out:
        if "answered" not in each.why and "no answer" not in each.why:
            talk.print(f"– {each.operation.name}: left out, {each.why}", markup=False, highlight=False)
    used, unused = written.columns
    if used:
        talk.print(f"fields filled from the file: {', '.join(used)}", markup=False, highlight=False)
    if unused:
        talk.print(
            f"columns for which there is no field of the same name: {', '.join(unused)}", markup=False, highlight=False
        )
    count = len(written.sent)
    talk.print(
        f"{path}: {count} operation{'s' if count != 1 else ''}"
        + (f", {failed} left out, because they did not work" if failed else "")
        + (f"; {written.requests} requests were sent to try them" if written.requests else ""),
        markup=False,
    )
    if written.names_instances is False:
        talk.print(
            "The answers of the service do not name the instance (header x-instance-id): with this header, the report "
            "knows cold starts and slow instances exactly. A few lines of middleware add the header, see "
            "docs/tutorial.md.",
            markup=False,
        )
    url = written.document.base or "http://127.0.0.1:8000"
    talk.print(f"Run it: python lt.py run --scenario {path} --target {url} --users 10 --duration 1m", markup=False)
