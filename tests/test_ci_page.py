"""The workflow of docs/ci.md matches GitHub's schema, and its `run:` lines do what the page says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.test_tutorial import free_port

ROOT = Path(__file__).parents[1]


def workflow() -> dict[Any, Any]:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "ci.md").read_text("utf-8"), re.DOTALL)
    found: dict[Any, Any] = yaml.safe_load(block)
    found["on"] = found.pop(True)  # YAML 1.1 reads `on` as true; GitHub's parser does not
    return found


def steps() -> list[dict[str, Any]]:
    return list(workflow()["jobs"]["load-test"]["steps"])


def schema() -> dict[str, Any]:
    pytest.importorskip("check_jsonschema", reason="a development dependency: run `uv sync`")
    vendored = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "github-workflows.json"
    found: dict[str, Any] = json.loads(vendored.read_text("utf-8"))
    return found


def test_the_workflow_is_one_by_githubs_schema() -> None:
    """The workflow is valid as it is, and the schema detects an unknown key, trigger and step."""
    validator = jsonschema.Draft7Validator(schema())
    assert [error.message for error in validator.iter_errors(workflow())] == []
    for broken in (
        {**workflow(), "job": {}},
        {**workflow(), "on": ["pull_requests"]},
        {**workflow(), "jobs": {"a": {"runs-on": "ubuntu-24.04", "steps": [{"name": "does nothing", "runs": "x"}]}}},
    ):
        assert list(validator.iter_errors(broken))


def run_steps(folder: Path, *, port: int, label: str, extra_ms: int = 0) -> Iterator[tuple[str, int, str]]:
    """Run the steps of the workflow in a copy of the files that they need.

    Yield the name, exit code and output of each step.
    """
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LABEL": label,
        "PREDICT_EXTRA_MS": str(extra_ms),
        "GITHUB_STEP_SUMMARY": str(folder / f"summary-{label}.md"),
    }
    for step in steps():
        skipped = "uses" in step or step["name"] == "Install"  # GitHub's own actions; everything is installed here
        if skipped or ("pull_request" in step.get("if", "") and label == "main"):
            continue
        done = _bash(step["run"].replace("8080", str(port)), folder, env)
        yield step["name"], done.returncode, done.stdout + done.stderr


def _bash(script: str, folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub does, with `bash -e`."""
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_workflows_commands_pass_and_find_a_regression(tmp_path: Path) -> None:
    """Three runs with the page's commands: main, a similar one (held or undecided), one with 400 ms more (missed).

    Every prediction takes 100 ms, so that other work on this machine does not count as a regression.
    """
    for name in ("lt.py", "loadtest", "reports", "scenarios", "target_service", "examples", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    try:
        _check_each_run(tmp_path)
    finally:
        with suppress(OSError, ValueError):  # a step failed before the one that stops the service
            os.kill(int((tmp_path / "service.pid").read_text()), signal.SIGTERM)
    summary = (tmp_path / "summary-pull-request.md").read_text()
    assert "Missed" in summary
    assert "ull-request is slower than main by more than 5 %" in summary


def _wait_for_its_end(pid_file: Path, *, within_s: float = 30) -> None:
    """Wait until the service of the earlier steps has released its port."""
    deadline_s = time.monotonic() + within_s
    with suppress(OSError, ValueError):  # no file yet, or the process has ended
        while time.monotonic() < deadline_s:
            os.kill(int(pid_file.read_text()), 0)
            time.sleep(0.05)


def _check_each_run(tmp_path: Path) -> None:
    port = free_port()  # 8080 may be in use here; all steps use the same port, because the generated scenario names it
    for label, extra_ms, codes in (("main", 100, ()), ("pull-request", 100, (0, 3)), ("pull-request", 500, (1,))):
        found = {
            name: (code, said) for name, code, said in run_steps(tmp_path, port=port, label=label, extra_ms=extra_ms)
        }
        _wait_for_its_end(tmp_path / "service.pid")
        gate = found.pop("Compare with main", None)
        assert {name: code for name, (code, _) in found.items()} == dict.fromkeys(found, 0), found
        if codes:
            assert gate is not None
            assert gate[0] in codes, gate
            assert re.search(r"^::(error|warning|notice) title=", gate[1], re.MULTILINE)
