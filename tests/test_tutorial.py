"""The commands of docs/tutorial.md do what the page says, in its order."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def commands() -> list[str]:
    page = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_page_has_its_commands() -> None:
    """The commands make a scenario, a local run, a run on the emulator, a report and a comparison.

    Each command is one line for a shell.
    """
    verbs = [" ".join(line.split()[1:3]) for line in commands() if line.startswith("python lt.py")]
    assert verbs == ["lt.py init", "lt.py run", "lt.py run", "lt.py report", "lt.py run", "lt.py report"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_commands_of_the_page(tmp_path: Path) -> None:
    """Each command ends with exit code 0.

    The report names the setting that removes the cold start, with its price, and the setting does remove it.
    """
    for name in ("lt.py", "loadtest", "reports", "scenarios", "target_service", "examples", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    said: dict[str, str] = {}
    port = free_port()  # 8080 may be in use here
    try:
        for command in commands():
            line = command.replace("8080", str(port))
            done = subprocess.run(
                ["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240, check=False
            )
            assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
            said[command] = done.stdout + done.stderr
    finally:
        with suppress(OSError, ValueError):
            os.kill(int((tmp_path / "service.pid").read_text()), signal.SIGTERM)
    (init,) = (text for command, text in said.items() if " init " in command)
    assert "✓ POST /predict" in init
    (here,) = (text for command, text in said.items() if "--label here" in command)
    assert "had an answer from before the load to compare with: none differed" in " ".join(here.split())
    (report,) = (text for command, text in said.items() if command.endswith("report from-zero --format text"))
    if "cold start from zero" in report:
        assert re.search(r"^--min-instances 1 +\+ \$\d+\.\d+ a month$", report, re.MULTILINE), report
    else:  # a fast machine starts the service within a second, which is not a spike
        assert re.search(r"\d+ slow first requests? in the first \d+ s of the load", " ".join(report.split())), report
    assert re.search(r"\$0\.\d+ per 1,000 predictions", report)
    (warm,) = (text for command, text in said.items() if "--label kept-warm" in command)
    assert "cold start" not in warm
    (compared,) = (text for command, text in said.items() if "report from-zero kept-warm" in command)
    assert "kept-warm against from-zero" in compared
