"""Write the record of a run at its start and at its end."""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import __version__
from ..core.errors import RunFolderError
from ..core.redaction import MARK, redact
from ..fleet.scenario import Scenario
from ..recording.folder import RunFolder
from ..recording.run import AnswerCheckRecord, Outcome, ProcessRecord, Run, SideRecord, TargetRecord
from .options import RunOptions

LONGEST_NAME = 80
"""The maximum length of the scenario's name in the name of the run's folder. File systems allow 255 bytes in total."""

PACKAGES = ("locust", "gevent", "numpy", "pyarrow", "catboost", "fastapi", "uvicorn")


def open_record(
    runs: Path,
    options: RunOptions,
    scenario: Scenario,
    target: TargetRecord,
    *,
    sides: tuple[SideRecord, ...] = (),
    objectives: tuple[str, ...],
    prices: Mapping[str, object],
    answer_check: AnswerCheckRecord | None = None,
) -> RunFolder:
    """Create the run's folder with a `run.json` whose outcome is `running`, and reserve space to record the run's end.

    Raises:
        RunFolderError: the folder cannot be written; no folder is left behind.
    """
    import psutil

    now = datetime.now(UTC)
    run = Run(
        id=f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}Z-{_slug(scenario.name)}-{target.kind}",
        label=options.label,
        scenario=scenario.record(),
        target=target,
        sides=list(sides),
        options={
            "users": scenario.users,
            "spawn_rate": scenario.spawn_rate,
            "duration_s": scenario.duration_s,
            "seed": options.fleet.seed,
            **({} if options.default_objective else {"default_objective": False}),
            **_choices(options),
            **_decision(options),
            "workers": options.fleet.expect_workers,
        },
        objectives=list(objectives),
        prices=dict(prices),
        answer_check=answer_check,
        versions={"python": platform.python_version(), "lt": __version__, **_versions()},
        host={
            "name": socket.gethostname(),
            "os": platform.platform(),
            "cpu_count": os.cpu_count(),
            "cpu_model": _cpu_model(),
            "memory_bytes": psutil.virtual_memory().total,
        },
        git_commit=_git_commit(),
        command=recorded_command(sys.argv, scenario.secret_options),
        start=now,
        process=ProcessRecord(host=socket.gethostname(), pid=os.getpid(), started_s=psutil.Process().create_time()),
    )
    folder = RunFolder.create(runs, run)
    try:
        folder.reserve()
    except RunFolderError:
        folder.discard()
        raise
    return folder


def _choices(options: RunOptions) -> dict[str, object]:
    """Return which parts of the scenario were chosen.

    The scenario's own arguments are left out, because they may contain secrets.
    """
    names = ("user_classes", "shape", "tags", "exclude_tags", "override_hosts")
    return {name: value for name in names if (value := getattr(options, name))}


def _decision(options: RunOptions) -> dict[str, object]:
    """Return the margins of a run against two targets, for its record."""
    if not options.target.sides:
        return {}
    return {"margins": [margin.text for margin in options.margins], "until_decided": options.until_decided}


def close_record(folder: RunFolder, *, interrupted: bool, reasons: tuple[str, ...]) -> Run:
    """Seal the rows and write the outcome: interrupted, degraded if anything is missing, else complete.

    Raises:
        RunFolderError: the rows cannot be written (a full disk). The run's record says so, the rows stay in the spool,
            and the next command that reads the run seals them.
    """
    run = folder.read_run()
    run.end = datetime.now(UTC)
    run.process = None
    run.reasons = list(dict.fromkeys([*run.reasons, *reasons]))
    try:
        sealed = folder.seal()
        run.reasons += sealed.doubts(run)
        run.sealed = sealed.file
        if any(worker.rows_sent is None and worker.lost_at is None for worker in run.workers):
            folder.recount(run, sealed)  # the master was killed before it received their last reports
            missing = sum(worker.rows_missing_at_most or 0 for worker in run.workers)
            if missing:
                run.reasons.append(f"the workers' last reports are missing, with at most {missing} rows")
        if sealed.rows == 0 and not interrupted:
            run.reasons.append("no request was recorded")
    except RunFolderError as error:
        run.reasons.append(f"the rows were not sealed at the end of the run: {error}")
        raise
    finally:
        run.outcome = Outcome.INTERRUPTED if interrupted else Outcome.DEGRADED if run.reasons else Outcome.COMPLETE
        folder.write_run(run)
    return run


def recorded_command(argv: Sequence[str], secret_options: Collection[str]) -> list[str]:
    """Return a command line for run.json, without values that look like secrets.

    Args:
        argv: the arguments, as in `sys.argv`.
        secret_options: the scenario's own options that it declares secret (`is_secret=True`), such as `--key`.
    """
    kept = [Path(argv[0]).name]
    before = ""
    for argument in argv[1:]:
        option, has_value, _ = argument.partition("=")
        if before in secret_options:
            kept.append(MARK)
        elif has_value and option in secret_options:
            kept.append(f"{option}={MARK}")
        elif before.startswith("-") and "=" not in before and not argument.startswith("-"):
            # the option and its value are two arguments
            kept.append(redact(f"{before}={argument}").removeprefix(f"{before}="))
        else:
            kept.append(redact(argument))
        before = argument
    return kept


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.")[:LONGEST_NAME] or "scenario"


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _git_commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
