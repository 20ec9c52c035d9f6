"""List the verbs with their modules and summaries, without importing them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

from ..core.exit_codes import MEANINGS

SUMMARY = "Load-test a model service: find out whether it meets its objectives, where p95 spikes, and why."

EXIT_CODES = "Exit codes: " + " · ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + "."

DEBUG_HELP, VERSION_HELP = "Show the traceback of an error, not only its sentence.", "Print the version."

_OPTIONS = (
    ("--debug", DEBUG_HELP),
    ("--version", VERSION_HELP),
    ("--install-completion", "Install completion for the current shell."),
    ("--show-completion", "Show completion for the current shell, to copy it or customize the installation."),
    ("--help", "Show this message and exit."),
)


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of the command line.

    Attributes:
        place: `module:function`, the module in this package.
        summary: the first paragraph of the function's docstring (a test compares the two).
        actions: functions of the same module, by the action's name, such as `rm` in `lt runs rm`.
    """

    place: str
    summary: str
    actions: dict[str, str] = field(default_factory=dict)


VERBS = {
    "scenarios": Verb(
        "scenarios:list_scenarios",
        "List the scenarios: load shape, maximum number of users, duration, planned number of requests, and purpose.",
    ),
    "init": Verb(
        "init:init", "Write a scenario for a service from its OpenAPI document, and try each operation a few times."
    ),
    "serve": Verb("serve:serve_here", "Run the target service on this machine until Ctrl-C."),
    "emulate": Verb(
        "emulate:emulate", "Run a local Cloud Run in front of the target service (or of any command) until Ctrl-C."
    ),
    "deploy": Verb(
        "deploy:deploy", "Build, push and deploy the target service (or `--image`) to Cloud Run, or to the emulator."
    ),
    "run": Verb("run:run", "Run a scenario, record every request, print the summary and write the report."),
    "ab": Verb("ab:ab", "Run a scenario against two targets at once, and say whether B is slower than A."),
    "worker": Verb(
        "worker:join",
        "Join a run on another machine: get the scenario from the run's master, and send load until the run ends.",
    ),
    "metrics": Verb(
        "metrics:metrics",
        "Fetch the series of a run's Cloud Run service, wait until they cover the run, and store them in the run "
        "folder.",
    ),
    "runs": Verb(
        "runs:list_recorded",
        "List the recorded runs, oldest first: start (UTC), duration, number of requests, outcome and label of each.",
        {"rm": "remove", "label": "label", "export": "export", "prune": "prune"},
    ),
    "report": Verb(
        "report:report",
        "Render one run, or compare several: whether the objectives held, where p95 spiked and why, how the runs "
        "differ.",
    ),
    "doctor": Verb(
        "doctor:doctor",
        "Say what is missing or risky before a long run: ✓ good, ! risky, ✗ missing, each with the command that fixes "
        "it.",
    ),
}
"""The verbs, in the order in which data flows. `lt --help` lists the verbs in this order."""


def overview(width: int) -> str:
    """Return the output of `lt --help`, in lines of at most `width` characters."""
    lines = ["Usage: lt [OPTIONS] COMMAND [ARGS]...", "", *textwrap.wrap(SUMMARY, width), "", "Options:"]
    lines += _table(_OPTIONS, width)
    lines += ["", "Commands (`lt COMMAND --help` shows its options):"]
    lines += _table([(name, verb.summary) for name, verb in VERBS.items()], width)
    return "\n".join([*lines, "", *textwrap.wrap(EXIT_CODES, width)])


def _table(rows: tuple[tuple[str, str], ...] | list[tuple[str, str]], width: int) -> list[str]:
    """Return the lines of a table with two columns.

    If the terminal is too narrow for both columns, the second column is printed below the first.
    """
    left = max(len(name) for name, _ in rows) + 4
    indent = left if width >= left + 20 else 6
    lines = []
    for name, text in rows:
        wrapped = textwrap.wrap(text, max(20, width - indent), initial_indent="", break_on_hyphens=False)
        first = f"  {name}".ljust(left)
        lines += [first + wrapped[0]] if indent == left else [first.rstrip(), " " * indent + wrapped[0]]
        lines += [" " * indent + line for line in wrapped[1:]]
    return lines
