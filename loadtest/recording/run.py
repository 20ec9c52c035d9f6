"""Describe one run: the record that `run.json` holds."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.functional_validators import AfterValidator

from ..core import cloud_run
from ..core.prices import prices_for
from .capabilities import Capabilities, capabilities_of
from .paths import FORMAT_VERSION


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


def _measurable(moment: datetime) -> datetime:
    if not _FIRST_MOMENT <= moment <= _LAST_MOMENT:
        raise ValueError(f"{moment.isoformat()} is not a time that a run can have")
    return moment


_FIRST_MOMENT, _LAST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

Moment = Annotated[AwareDatetime, AfterValidator(_measurable)]
"""A time with its zone; nanoseconds since 1970 in 64 bits end in 2262."""

MAX_OFFSET_US = 10 * 365 * 86_400e6
"""Ten years: a clock further off is damage in the file."""


def _overriding(given: dict[str, object]) -> dict[str, object]:
    prices_for(None, given)  # ValueError if it is not a price
    return given


class _Record(BaseModel):
    """Keys that a reader does not know are kept, so that a rewrite by an older minor version loses nothing."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class PlanPoint(_Record):
    """A point of the planned users; between two points the plan is a straight line."""

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
    instance_billing: bool | None = None
    gpu: str | None = None
    manual_instances: int | None = None

    def not_a_setting(self) -> str:
        """Return why Cloud Run takes no such instance, so that it has no price; "" when it does, or is not known."""
        if self.cpu is None or self.memory_mib is None:
            return ""
        concurrency = self.concurrency or cloud_run.CONCURRENCY
        return cloud_run.not_a_setting(cpu=self.cpu, memory_mib=self.memory_mib, concurrency=concurrency)

    def unpriced(self) -> tuple[str, ...]:
        """Return sentences on why the service's cost differs from our prices."""
        possible = (
            (self.instance_billing, "NOT ITS PRICES: the service is billed for instances (CPU always allocated)"),
            (self.gpu, f"NOT PRICED: GPUs ({self.gpu} an instance)"),
            (
                self.manual_instances,
                f"NOT SCALED: {self.manual_instances} instances are set by hand, and always billed",
            ),
        )
        return tuple(sentence for holds, sentence in possible if holds)


class TargetRecord(_Record):
    """What was tested. `kind` is the word of its `--target`: local, emulator, cloud, url, or a platform of your own."""

    kind: str
    url: str
    service: str | None = None
    project: str | None = None
    region: str | None = None
    revision: str | None = None
    limits: Limits = Field(default_factory=Limits)
    capabilities: Capabilities = Field(default_factory=lambda known: capabilities_of(known["kind"], known["url"]))


class SideRecord(_Record):
    """One of the two targets of a run against two.

    Attributes:
        name: what reports call it.
        target: what is known of it.
    """

    name: str
    target: TargetRecord


class DecisionRecord(_Record):
    """A margin that was decided during a run against two targets, by an interval that holds at every look.

    Attributes:
        margin: as written.
        slower: whether the second side is slower beyond it.
        difference_ratio, low_ratio, high_ratio: of the statistic, second ÷ first − 1, and the ends of its interval.
        from_s, to_s: the window that this rests on, in s since `load_start`.
    """

    margin: str
    slower: bool
    difference_ratio: float
    low_ratio: float
    high_ratio: float
    from_s: int
    to_s: int


class WorkerRecord(_Record):
    """One load-generating process and what is known of its rows and its clock.

    `clock_offset_us` is added to the worker's own clock to get the master's; ± `clock_uncertainty_us`.
    `rows_sent` is None if the worker ended without reporting it; then `rows_missing_at_most` bounds the rows it lost.
    `begun` counts the requests that it began, as its last frame or its good-bye said: every one of them is a row, or
    is among those missing. None in runs recorded before this was counted.
    `resent` counts how often FastUser and FastHttpUser sent a request once more by themselves, as the server had closed
    the connection: the row is one, while the service may have read the request as many times more.
    """

    name: str
    host: str = ""
    pid: int | None = None
    clock_offset_us: float | None = Field(default=None, ge=-MAX_OFFSET_US, le=MAX_OFFSET_US)
    clock_uncertainty_us: float | None = None
    rows_sent: int | None = None
    rows_received: int = 0
    lost_at: Moment | None = None
    lost_why: str | None = None
    rows_missing_at_most: int | None = None
    begun: int | None = None
    resent: int = 0


class TaskErrorRecord(_Record):
    """One kind of exception that the scenario's own code raised, which Locust survives and a request's row never shows.

    Attributes:
        where: `task`, `on_start`, `on_stop`, `listener`, `init` (of a worker), or `exit` (`sys.exit` in a task).
        exception: the exception's class.
        message: its text, redacted, at most 500 characters, ids in it replaced by a template.
        user_class, task: whose code it was; "" where not known (a listener has neither).
        count: how often it was raised, over all workers.
        traceback: the traceback of the first one, redacted, the innermost 4,000 characters.
        worker: where the first one was raised.
    """

    where: str
    exception: str
    message: str = ""
    user_class: str = ""
    task: str = ""
    count: int = 0
    traceback: str = ""
    worker: str = ""


class FailedBodyRecord(_Record):
    """The first body of the failed answers of one endpoint and status: text, secrets masked, at most 2,000 characters.

    The request is not kept.
    """

    method: str
    name: str
    status: int
    body: str


class RefusalRecord(_Record):
    """Something that the recorder could not record unchanged.

    Attributes:
        name: what was refused, such as `response_time is not a number` or `frame: bounds`.
        count: how often.
        lost: whether a row is missing for it (then the run is degraded), or only the value was left out of its row.
        example: the first one, shortened and redacted.
        worker: where it first came from.
    """

    name: str
    count: int
    lost: bool = False
    example: str = ""
    worker: str = ""


class DataFileRecord(_Record):
    """A data file whose rows were given out once each (`rows(…, order="once")`).

    `rows_given` were handed to workers; `rows_not_sent_at_most` bounds the rows that no user got: they were never given
    out, or lost with a worker.
    """

    file: str
    sha256: str
    rows: int
    rows_given: int
    rows_not_sent_at_most: int


class WrongAnswerRecord(_Record):
    """One answer under load that differed from the one before it: every text bounded, and without secrets.

    Attributes:
        at_s: when, in UTC seconds by the worker's clock.
        differs: the fields, as `name: value instead of value`.
        request: the body that was sent.
        expected, got: the answers.
    """

    method: str
    name: str
    at_s: float = Field(ge=0, le=2**33)
    differs: str = ""
    request: str = ""
    expected: str = ""
    got: str = ""
    worker: str = ""


class CheckedEndpointRecord(_Record):
    """An endpoint whose answers were taken before the load: `references` requests, `checked` of them under load.

    `left_out` says why some requests have no reference.
    """

    method: str
    name: str
    references: int = 0
    checked: int = 0
    left_out: str = ""


class AnswerCheckRecord(_Record):
    """What answers under load were compared with (`--check-answers`); `wrong` holds the first that differed."""

    endpoints: list[CheckedEndpointRecord] = Field(default_factory=list)
    wrong: list[WrongAnswerRecord] = Field(default_factory=list)


class TotalsDifferenceRecord(_Record):
    """An endpoint for which Locust's own totals and the rows differ.

    `rows` and `rows_failed` are this recorder's; `locust` and `locust_failed` Locust's.
    """

    name: str
    method: str
    rows: int
    locust: int
    rows_failed: int = 0
    locust_failed: int = 0


class ClockJumpRecord(_Record):
    """A step of a process's wall clock during the run. Rows do not follow it; load.csv's seconds do not either."""

    process: str
    at: Moment
    by_s: float


class PauseRecord(_Record):
    """A time in which a process of the fleet did not respond.

    `held_by` names a listener of the scenario's, or says that code computed in that process; empty: it was stopped,
    starved of CPU, or nobody knows.
    """

    process: str
    at: Moment
    for_s: float
    held_by: str = ""


class UnrecordedWorkerRecord(_Record):
    """A process that joined the master and whose requests are not, or not wholly, in the rows.

    `requests` is what it reported to Locust's own totals; None if it reported nothing.
    """

    name: str
    why: str
    users: int = 0
    requests: int | None = None


class ProcessRecord(_Record):
    """The process that owns a running run; the pair of pid and start time is unique on its host."""

    host: str
    pid: int
    started_s: float


class SealedFile(_Record):
    """How to recognise `requests.parquet` as the file that was sealed: a reader that finds another one says so."""

    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str


class Run(_Record):
    """Everything about a run that is not a row.

    `scenario_exit_code` is the `environment.process_exit_code` that the scenario set, its own verdict.
    `ended_by_scenario_at_s` is when it ended the run (`runner.quit()`), in s since `load_start`; `…_where` names the
    place in its code. `sides` are the two targets of a run against two, in the order of the rows' `side` (a, b); each
    has half of the users.
    """

    format: int = FORMAT_VERSION
    id: str
    label: str | None = None
    scenario: ScenarioRecord
    target: TargetRecord
    sides: list[SideRecord] = Field(default_factory=list)
    decisions: list[DecisionRecord] = Field(default_factory=list)
    options: dict[str, object] = Field(default_factory=dict)
    objectives: list[str] = Field(default_factory=list)
    prices: Annotated[dict[str, object], AfterValidator(_overriding)] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    host: dict[str, object] = Field(default_factory=dict)
    git_commit: str | None = None
    command: list[str] = Field(default_factory=list)
    start: Moment
    load_start: Moment | None = None
    end: Moment | None = None
    workers: list[WorkerRecord] = Field(default_factory=list)
    outcome: Outcome = Outcome.RUNNING
    reasons: list[str] = Field(default_factory=list)
    task_errors: list[TaskErrorRecord] = Field(default_factory=list)
    failed_bodies: list[FailedBodyRecord] = Field(default_factory=list)
    refusals: list[RefusalRecord] = Field(default_factory=list)
    totals_differences: list[TotalsDifferenceRecord] = Field(default_factory=list)
    data_files: list[DataFileRecord] = Field(default_factory=list)
    answer_check: AnswerCheckRecord | None = None
    clock_jumps: list[ClockJumpRecord] = Field(default_factory=list)
    pauses: list[PauseRecord] = Field(default_factory=list)
    unrecorded_workers: list[UnrecordedWorkerRecord] = Field(default_factory=list)
    starts_not_known: list[str] = Field(default_factory=list)
    sealed: SealedFile | None = None
    scenario_exit_code: int | None = None
    ended_by_scenario_at_s: float | None = None
    ended_by_scenario_where: str | None = None
    process: ProcessRecord | None = None
