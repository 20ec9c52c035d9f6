"""Write docs/cli.md, docs/report.md and the output blocks of the README: `python -m docs.generate`.

A page has each block of output between two markers. The text between the markers is replaced:

    <!-- output: python lt.py scenarios -->
    <!-- end -->

Only commands that match DETERMINISTIC are run. The output of these commands is the same on every machine, so a test can
compare the pages with it. Blocks of other commands stay unchanged.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from docs import schema

DOCS = Path(__file__).parent
ROOT = DOCS.parent
CLI = DOCS / "cli.md"
README = ROOT / "README.md"

DETERMINISTIC = re.compile(r"python lt\.py (scenarios|(\w+ )?--help)")

_BLOCK = re.compile(r"(?P<begin><!-- output: (?P<command>[^>]+?) -->)\n.*?(?P<end><!-- end -->)", re.DOTALL)

COLUMNS = 120

EXIT_CODES = (
    "Exit codes: 0 held · 1 an objective was missed · 2 wrong usage · 3 undecided (an objective had no data, or the "
    "run is degraded) · 4 the tool or the target could not be used · 130 interrupted. `--debug` before the verb shows "
    "the traceback of an error. Data go to stdout, messages to stderr."
)


def output(command: str) -> str:
    """Return the output of `python lt.py …` on a plain terminal of COLUMNS characters."""
    done = subprocess.run(
        [sys.executable, *shlex.split(command)[1:]],
        cwd=ROOT,
        env={
            **os.environ,
            "COLUMNS": str(COLUMNS),
            "TERMINAL_WIDTH": str(COLUMNS),
            "NO_COLOR": "1",
            "TERM": "dumb",
            "PYTHONUTF8": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())


def with_outputs(page: str) -> str:
    """Return the page in which the output of every deterministic command is renewed."""

    def renewed(block: re.Match[str]) -> str:
        command = block["command"]
        if not DETERMINISTIC.fullmatch(command):
            return block[0]
        return f"{block['begin']}\n```console\n$ {command}\n{output(command)}\n```\n{block['end']}"

    return _BLOCK.sub(renewed, page)


def cli_page() -> str:
    """Return docs/cli.md: every verb in the order of the data flow, with its help, options, defaults and examples."""
    import typer

    from loadtest.cli.parser import make_app

    group: Any = typer.main.get_command(make_app())
    lines = [
        "# The command line",
        "",
        "<!-- written by `python -m docs.generate` from the verbs' own help -->",
        "",
        f"{group.help} `python lt.py VERB …`, or `lt VERB …` where it is installed.",
        "",
        "| verb | does |",
        "|---|---|",
        *(f"| [`{name}`](#{name}) | {_first_sentence(verb.help)} |" for name, verb in group.commands.items()),
        "",
        EXIT_CODES,
    ]
    for name, verb in group.commands.items():
        lines += ["", *_verb(name, verb)]
        for action, of_action in getattr(verb, "commands", {}).items():
            lines += ["", *_verb(f"{name} {action}", of_action)]
    return "\n".join(lines) + "\n"


def _verb(name: str, verb: Any) -> Iterator[str]:
    told, _, examples = (verb.help or "").partition("Examples:")
    yield f"## {name}"
    yield ""
    yield " ".join(part if part else "\n\n" for part in told.strip().splitlines()).replace(" \n\n ", "\n\n")
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    commands = [part for line in lines for part in (re.findall("`([^`]+)`", line) or [line])]
    if commands:
        yield from ("", "```sh", *commands, "```")
    options = [option for option in verb.params if option.name != "help" and not getattr(option, "hidden", False)]
    if options:
        yield from ("", "| option | what | default |", "|---|---|---|")
        yield from (_option(option) for option in options)


def _option(option: Any) -> str:
    help_text, _, told_default = (option.help or "").partition("[default: ")
    is_argument = option.param_type_name == "argument"
    names = " ".join([option.metavar or option.name.upper()] if is_argument else option.opts + option.secondary_opts)
    takes = "" if is_argument or option.is_flag else f" {option.metavar or _kind(option)}"
    default = told_default.rstrip("] ") or _default(option)
    cells = (f"`{names.replace(' ', ', ')}{takes}`", help_text.strip(), "required" if option.required else default)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _kind(option: Any) -> str:
    kind = option.type_descriptor.annotation
    kind = next(iter(get_args(kind)), kind)  # the element of a list
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    return {int: "N", float: "X", Path: "PATH"}.get(kind, "TEXT")


def _default(option: Any) -> str:
    value = getattr(option.default, "value", option.default)
    if option.param_type_name != "argument" and option.is_flag:
        return "" if value is None else "on" if value else "off"
    return "" if value in (None, "", []) else f"`{value}`"


def _first_sentence(text: str | None) -> str:
    return " ".join((text or "").strip().split("\n\n")[0].split())


def pages() -> dict[Path, str]:
    """Return the text of every generated page, by path."""
    return {
        CLI: cli_page(),
        README: with_outputs(README.read_text(encoding="utf-8")),
        schema.PAGE: schema.written(schema.PAGE.read_text(encoding="utf-8")),
    }


def main() -> None:
    """Write them."""
    for path, page in pages().items():
        path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
