"""Locust's own examples, unchanged: a file runs and its rows equal Locust's own totals, or there is a reason why not.

The examples are not in this repository. LT_LOCUST_EXAMPLES names the folder `examples/` of a checkout of
locustio/locust. The table is written to the file that LT_LOCUST_EXAMPLES_TABLE names (docs/locust-examples.md is one),
else to stdout.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cases.harness import Ran, lt_run
from tests.conftest import counting_server

FOLDER = Path(os.environ.get("LT_LOCUST_EXAMPLES", "/nowhere"))

NOT_TRIED = {
    "bottlenecked_server.py": "a server",
    "custom_xmlrpc_client/server.py": "a server",
    "grpc/hello_server.py": "a server",
    "socketio/echo_server.py": "a server",
    "grpc/hello_pb2.py": "generated code",
    "grpc/hello_pb2_grpc.py": "generated code",
    "grpc/grpc_user.py": "an abstract user class",
    "use_as_lib.py": "a program that runs Locust itself",
    "test_pytest.py": "calls www.locust.io by absolute URLs; load of a test does not leave this machine",
    "testdata_management.py": "calls postman-echo.com as it is imported",
    "debugging.py": "a program for one user (`run_single_user`); its locustfile is tried as such",
}
ABOUT_THE_PAGE = ("extend_web_ui.py", "web_ui_auth/basic.py", "web_ui_auth/custom_form.py", "web_ui_cache_stats.py")

FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.py")) if FOLDER.is_dir() else []
WORDS = ("--users", "3", "--spawn-rate", "3", "--duration", "4s", "--workers", "1")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FILES, reason="LT_LOCUST_EXAMPLES names no folder of Locust's examples"),
]


@pytest.fixture(scope="module")
def table() -> Iterator[dict[str, str]]:
    """Collect a line per file. The table is written at the end."""
    lines: dict[str, str] = {}
    yield lines
    text = "\n".join(["| file | result |", "|---|---|", *(f"| `{name}` | {lines[name]} |" for name in lines)])
    if name := os.environ.get("LT_LOCUST_EXAMPLES_TABLE"):
        Path(name).write_text(text + "\n", encoding="utf-8")
    print(text)


def totals_of_locust(ran: Ran) -> int:
    """Return the requests of the last summary in the master's log."""
    found = re.findall(r"^\s+Aggregated\s+(\d+)\s+\d+\(", ran.folder.log.read_text(errors="replace"), re.MULTILINE)
    return int(found[0]) if found else 0


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", FILES)
def test_an_example_runs_as_under_locust_or_says_why_not(name: str, table: dict[str, str], tmp_path: Path) -> None:
    """The rows equal Locust's own totals, unless the table says why the file cannot be run."""
    if name in NOT_TRIED:
        table[name] = f"not applicable: {NOT_TRIED[name]}"
        return
    with counting_server() as there:
        ran = lt_run(
            "-s",
            str(FOLDER / name),
            "-t",
            there.url,
            *WORDS,
            runs=tmp_path,
            cwd=FOLDER,
            timeout_s=200,
            API_HOST=there.url,
        )
    assert "Traceback" not in ran.said or ran.done.code == 2, ran.said
    if not list(tmp_path.glob("2*")):
        lines = [line for line in ran.done.err.splitlines() if line.strip()]
        assert ran.done.code == 2, ran.said
        table[name] = f"not applicable: {lines[-1][:200].replace('|', '/')}"
        return
    rows, locusts = len(ran.rows("outcome")), totals_of_locust(ran)
    said = f"ran, exit {ran.done.code}, {ran.run.outcome}: {rows} rows, Locust counted {locusts}"
    said += f"; {'; '.join(ran.run.reasons)}" if ran.run.reasons else ""
    said += "; the example changes Locust's own page, which lt does not show" if name in ABOUT_THE_PAGE else ""
    table[name] = said.replace("|", "/").replace("\n", " ")
    # Locust does not count a request without an answer at the end of the run, or a request whose `with` block raises
    # before its answer is judged. Both requests were sent, so both are rows.
    unanswered = int((ran.rows("outcome").outcome == "unanswered").sum())
    uncounted = unanswered + sum(error.count for error in ran.run.task_errors) if rows != locusts else 0
    if uncounted:
        errors = "the code raised an error before it judged the answer, so Locust did not count them"
        table[name] += f"; in {rows - locusts} of them, {errors}"
    assert locusts <= rows <= locusts + uncounted, said
    assert ran.done.code in (0, 1, 3), ran.said
