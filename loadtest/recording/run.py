"""Describe one run: the record in `run.json`."""

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
    """How a run ended. If the record on disk says `running` but the process has ended, readers get `interrupted`."""

    RUNNING = "running"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    DEGRADED = "degraded"


class LoadModel(StrEnum):
    """What decides when a request starts: the previous answer (closed), a schedule (open), or `unknown`."""

    CLOSED = "closed"
    OPEN = "open"
    UNKNOWN = "unknown"


def _measurable(moment: datetime) -> datetime:
    if not _FIRST_MOMENT <= moment <= _LAST_MOMENT:
        raise ValueError(f"{moment.isoformat()} is not a time that a run can have")
    return moment


_FIRST_MOMENT, _LAST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

Moment = Annotated[AwareDatetime, AfterValidator(_measurable)]
"""A time with a time zone. The time must be before 2262, because a later time in nanoseconds since 1970 does not fit
into 64 bits."""

MAX_OFFSET_US = 10 * 365 * 86_400e6
"""Ten years. A larger clock offset means that the file is damaged."""


def _overriding(given: dict[str, object]) -> dict[str, object]:
    prices_for(None, given)  # raises ValueError if a value is not a price
    return given


class _Record(BaseModel):
    """Unknown keys are kept, so that an older minor version can rewrite a record without losing data."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class PlanPoint(_Record):
    """A point of the planned users. Between two points the plan is a straight line."""

    at_s: float
    users: float


class ScenarioRecord(_Record):
    """The scenario that was run: the locustfile, and its plan (empty if the shape is not known in advance)."""

    name: str
    path: str = ""
    sha256: str = ""
    description: str = ""
    load_model: LoadModel = LoadModel.UNKNOWN
    plan: list[PlanPoint] = Field(default_factory=list)


class Limits(_Record):
    """The service's limits under Cloud Run's names; None if not known or not limited."""

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
        """Return why Cloud Run would not accept an instance with these limits, and why it therefore has no price.

        The result is "" if Cloud Run would accept the instance, or if the limits are not known.
        """
        if self.cpu is None or self.memory_mib is None:
            return ""
        concurrency = self.concurrency or cloud_run.CONCURRENCY
        return cloud_run.not_a_setting(cpu=self.cpu, memory_mib=self.memory_mib, concurrency=concurrency)

    def unpriced(self) -> tuple[str, ...]:
        """Return sentences that say why the service's cost differs from our prices."""
        possible = (
            (self.instance_billing, "OTHER PRICES APPLY: the service is billed for instances (CPU always allocated)"),
            (self.gpu, f"NOT PRICED: GPUs ({self.gpu} per instance)"),
            (
                self.manual_instances,
                f"NOT SCALED: {self.manual_instances} instances are set by hand, and always billed",
            ),
        )
        return tuple(sentence for holds, sentence in possible if holds)


class TargetRecord(_Record):
    """The tested target.

    `kind` is the kind of the platform: local, emulator, cloud, url, or the name of your own platform.
    """

    kind: str
    url: str
    service: str | None = None
    project: str | None = None
    region: str | None = None
    revision: str | None = None
    limits: Limits = Field(default_factory=Limits)
    capabilities: Capabilities = Field(default_factory=lambda known: capabilities_of(known["kind"], known["url"]))


class SideRecord(_Record):
    """One of the two targets of a run against two targets.

    Attributes:
        name: the target's name in reports.
        target: its record.
    """

    name: str
    target: TargetRecord


class DecisionRecord(_Record):
    """A margin that was decided during a run against two targets, by an interval that is valid at every evaluation.

    Attributes:
        margin: the margin as written.
        slower: whether the second side is slower by more than the margin.
        difference_ratio, low_ratio, high_ratio: (second side's statistic ÷ first side's statistic) − 1, and the
            ends of the interval of this value.
        from_s, to_s: the time window of the data, in s since `load_start`.
    """

    margin: str
    slower: bool
    difference_ratio: float
    low_ratio: float
    high_ratio: float
    from_s: int
    to_s: int


class WorkerRecord(_Record):
    """One load-generating process, with the record of its rows and its clock.

    `clock_offset_us` is added to the time of the worker's clock to get the time of the master's clock, ±
    `clock_uncertainty_us`. `rows_sent` is None if the worker ended without reporting it; then `rows_missing_at_most` is
    an upper bound on the number of rows that the worker lost. `begun` counts the requests that the worker began,
    according to its last frame or its last report. Each of these requests has a row or is counted as missing. `begun`
    is None in runs of older versions, which did not count begun requests. `resent` counts how often FastUser and
    FastHttpUser sent a request again by themselves, because the server had closed the connection. Such a request has
    one row, but the service may have read it several times.
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
    """One kind of exception that the scenario's own code raised.

    Locust continues after such an exception, and it does not appear in the row of any request.

    Attributes:
        where: `task`, `on_start`, `on_stop`, `listener`, `init` (of a worker), or `exit` (`sys.exit` in a task).
        exception: the exception's class.
        message: the redacted text of the exception, at most 500 characters, with ids replaced by placeholders.
        user_class, task: the user class and task whose code raised the exception; "" if not known (a listener has
            neither).
        count: how often such exceptions were raised, in all workers together.
        traceback: the innermost 4,000 characters of the first exception's traceback, redacted.
        worker: the worker that raised the first exception.
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
    """The body of the first failed answer with this endpoint and status: at most 2,000 characters, secrets masked.

    The request is not kept.
    """

    method: str
    name: str
    status: int
    body: str


class RefusalRecord(_Record):
    """A kind of value that the recorder could not record unchanged.

    Attributes:
        name: the kind, such as `response_time is not a number` or `frame: bounds`.
        count: how often such a value occurred.
        lost: whether a row is missing because of the value (then the run is degraded), or only the value was left out
            of its row.
        example: the first such value, shortened and redacted.
        worker: the worker that first reported such a value.
    """

    name: str
    count: int
    lost: bool = False
    example: str = ""
    worker: str = ""


class DataFileRecord(_Record):
    """A data file of which each row was given to one user only (`rows(…, order="once")`).

    `rows_given` is the number given to workers. `rows_not_sent_at_most` is an upper bound on the number of rows that no
    user got, because they were never given out or were lost with a worker.
    """

    file: str
    sha256: str
    rows: int
    rows_given: int
    rows_not_sent_at_most: int


class WrongAnswerRecord(_Record):
    """One answer under load that differed from the answer before the load.

    Every text has a limited length and contains no secrets.

    Attributes:
        at_s: the time of the answer, in UTC seconds by the worker's clock.
        differs: the fields that differ, as `name: value instead of value`.
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
    """An endpoint whose answers were collected before the load.

    `references` counts the requests to the endpoint that have a reference answer. `checked` counts the answers of the
    endpoint under load that were compared. `left_out` says why some requests have no reference answer.
    """

    method: str
    name: str
    references: int = 0
    checked: int = 0
    left_out: str = ""


class AnswerCheckRecord(_Record):
    """The comparison of answers under load with the reference answers (`--check-answers`).

    `wrong` contains the first answers that differed.
    """

    endpoints: list[CheckedEndpointRecord] = Field(default_factory=list)
    wrong: list[WrongAnswerRecord] = Field(default_factory=list)


class TotalsDifferenceRecord(_Record):
    """An endpoint for which Locust's own totals and the rows differ.

    `rows` and `rows_failed` are the counts of this recorder; `locust` and `locust_failed` are the counts of Locust.
    """

    name: str
    method: str
    rows: int
    locust: int
    rows_failed: int = 0
    locust_failed: int = 0


class ClockJumpRecord(_Record):
    """A step of a process's wall clock during the run.

    Such a step does not affect the times of rows and of load.csv.
    """

    process: str
    at: Moment
    by_s: float


class PauseRecord(_Record):
    """A period in which a process of the fleet did not respond.

    `held_by` names a listener of the scenario, or says that code was computing in that process. `held_by` is empty if
    the process was stopped or got no CPU, or if the reason is unknown.
    """

    process: str
    at: Moment
    for_s: float
    held_by: str = ""


class UnrecordedWorkerRecord(_Record):
    """A process that joined the master, but whose requests were not all recorded as rows.

    `requests` is the number that the process reported to Locust's own totals; None if it reported nothing.
    """

    name: str
    why: str
    users: int = 0
    requests: int | None = None


class ProcessRecord(_Record):
    """The process that records a running run. On its host, pid and start time together identify the process."""

    host: str
    pid: int
    started_s: float


class SealedFile(_Record):
    """Data that identifies `requests.parquet` as the sealed file.

    If there is a different file, a reader reports this.
    """

    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str


class Run(_Record):
    """All data about a run apart from its rows.

    `scenario_exit_code` is the exit code that the scenario set as `environment.process_exit_code`.
    `ended_by_scenario_at_s` is the time at which the scenario ended the run (`runner.quit()`), in s since `load_start`;
    `…_where` is the place in the scenario's code. `sides` are the two targets of a run against two targets, in the
    order of the rows' `side` (a, b). Each target has half of the users.
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
