"""Describe one run: the record that `run.json` holds."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

FORMAT_VERSION = 1
"""The version of the run folder that this code reads and writes; docs/run-folder.md describes each."""


class Outcome(StrEnum):
    """How a run ended. `running` on disk with no living process behind it reads as `interrupted`."""

    RUNNING = "running"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    DEGRADED = "degraded"


class LoadModel(StrEnum):
    """Who decides when a request starts: the answer before it (closed), a schedule (open), or not known."""

    CLOSED = "closed"
    OPEN = "open"
    UNKNOWN = "unknown"


class _Record(BaseModel):
    """Keys that a reader does not know are kept, so that a rewrite by an older minor version loses nothing."""

    model_config = ConfigDict(extra="allow")


class PlanPoint(_Record):
    """A corner of the planned users; between two corners the plan is a straight line."""

    at_s: float
    users: float


class ScenarioRecord(_Record):
    """What was run: the locustfile, and the plan it announced (empty when its shape could not be drawn)."""

    name: str
    path: str = ""
    sha256: str = ""
    description: str = ""
    load_model: LoadModel = LoadModel.UNKNOWN
    plan: list[PlanPoint] = Field(default_factory=list)


class Limits(_Record):
    """The service's limits as Cloud Run names them; None where not known or not limited."""

    cpu: float | None = None
    memory_mib: float | None = None
    concurrency: int | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    timeout_s: float | None = None
    cpu_boost: bool | None = None


class TargetRecord(_Record):
    """What was tested. `kind` is local, emulator, cloud or url."""

    kind: str
    url: str
    service: str | None = None
    project: str | None = None
    region: str | None = None
    revision: str | None = None
    limits: Limits = Field(default_factory=Limits)


class WorkerRecord(_Record):
    """One load-generating process and what is known of its rows and its clock.

    `clock_offset_us` is added to the worker's own clock to get the master's; ± `clock_uncertainty_us`.
    `rows_sent` is None when the worker ended without saying; then `rows_missing_at_most` bounds what it took along.
    """

    name: str
    host: str = ""
    pid: int | None = None
    clock_offset_us: float | None = None
    clock_uncertainty_us: float | None = None
    rows_sent: int | None = None
    rows_received: int = 0
    lost_at: datetime | None = None
    lost_why: str | None = None
    rows_missing_at_most: int | None = None


class ProcessRecord(_Record):
    """The process that owns a running run; the pair of pid and start time is unique on its host."""

    host: str
    pid: int
    started_s: float


class Run(_Record):
    """Everything about a run that is not a row."""

    format: int = FORMAT_VERSION
    id: str
    label: str | None = None
    scenario: ScenarioRecord
    target: TargetRecord
    options: dict[str, object] = Field(default_factory=dict)
    objectives: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    host: dict[str, object] = Field(default_factory=dict)
    git_commit: str | None = None
    command: list[str] = Field(default_factory=list)
    start: datetime
    load_start: datetime | None = None
    end: datetime | None = None
    workers: list[WorkerRecord] = Field(default_factory=list)
    outcome: Outcome = Outcome.RUNNING
    reasons: list[str] = Field(default_factory=list)
    process: ProcessRecord | None = None
