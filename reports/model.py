"""Define `summary.json`: the complete content of a report, as versioned data.

Every rendering (page, text, Markdown, JSON, JUnit) is made from a `Report` alone. docs/report.md is generated from the
descriptions here. Times `*_s` count from the run's load start; a latency covers only successful requests unless its
description says otherwise; None means not known, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from loadtest.recording.capabilities import Capabilities, capabilities_of

SUMMARY_FORMAT: Literal[1] = 1
"""The version of summary.json that this code writes. If a program of another version reads the file, it asks the user
to make the report again."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How a table of the report shows a field: the heading of its column, and the format of its values.

    `write` is `percentiles` or a key of WRITERS in reports/render/columns.py. A field with this
    metadata appears in the page, the text and the Markdown without further code.
    """

    head: str
    write: str = "text"


class Part(BaseModel):
    """A part of the summary. It is immutable and has only the documented keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Heatmap(Part):
    """The number of successful requests by the period in which they began and by their latency."""

    from_s: float
    step_s: float
    edges_ms: Annotated[
        list[float], Field(description="the edges of the latency bands, ascending: one more than bands")
    ]
    counts: Annotated[list[list[int]], Field(description="per band, the fastest first: the count of each period")]


class Quantile(Part):
    """One percentile of a population of latencies, with its 95 % order-statistic interval."""

    q_ratio: Annotated[float, Field(description="0.95 for p95; 1 for the maximum")]
    value_ms: Annotated[float | None, Field(description="None when nothing was measured")]
    low_ms: Annotated[float | None, Field(description="lower end of the interval")] = None
    high_ms: Annotated[
        float | None, Field(description="upper end; None (shown as ≥) if there are too few requests to know it")
    ] = None
    enough: Annotated[bool, Field(description="whether there are enough requests to trust it")] = True


class Phase(Part):
    """One phase of a run: the whole run, warm-up, ramp, steady or drain."""

    name: Annotated[str, Field(description="all, warmup, ramp, steady or drain"), Shown("phase", "phase")]
    why: Annotated[str, Field(description="why the phase begins and ends at these times")]
    start_s: Annotated[float, Shown("from", "moment")]
    end_s: Annotated[float, Shown("to", "moment")]
    requests: Annotated[int, Shown("requests", "count")]
    offered_per_s: Annotated[
        float | None, Field(description="requests started per second"), Shown("sent per s", "decimal")
    ] = None
    throughput_per_s: Annotated[
        float | None, Field(description="successful answers per second"), Shown("answered per s", "decimal")
    ]
    mean_in_flight: Annotated[
        float | None, Field(description="mean number of requests that await an answer"), Shown("in flight", "decimal")
    ] = None
    failures: Annotated[int, Shown("failed", "failures")]
    min_ms: Annotated[float | None, Field(description="the fastest successful request"), Shown("min", "ms")] = None
    mean_ms: Annotated[float | None, Field(description="of successful requests"), Shown("mean", "ms")] = None
    latency: Annotated[
        list[Quantile], Field(description="p50, p95, p99 of successful requests"), Shown("", "percentiles")
    ]


class Objective(Part):
    """One objective and how it was judged."""

    text: Annotated[str, Field(description="as written")]
    verdict: Annotated[Literal["held", "missed", "undecided"], Field(description="undecided if there is no data")]
    value: Annotated[float | None, Field(description="the measured value, in `unit`")]
    limit: Annotated[float, Field(description="the limit, in `unit`")]
    unit: Annotated[str, Field(description="ms, ratio, per_s, count or usd")]
    why: Annotated[str, Field(description="one sentence with the numbers")]
    implied: Annotated[bool, Field(description="whether lt added it, because no objective limits errors")] = False


class RunVerdict(Part):
    """The verdict on a run. Only reports/verdict.py decides it; every format and the exit code use that decision."""

    kind: Annotated[
        Literal["held", "missed", "undecided", "unjudged"],
        Field(description="unjudged: there is no objective, and the implied one is turned off"),
    ]
    why: Annotated[list[str], Field(description="its reasons, one sentence each")]


class Rise(Part):
    """One rise of p95 above its surroundings, for successful requests. Times are in whole seconds."""

    onset_s: Annotated[int, Field(description="the first second in it")]
    end_s: Annotated[int, Field(description="the first second after it")]
    peak_s: Annotated[int, Field(description="where the highest window begins")]
    peak_ms: Annotated[float, Field(description="p95 of the highest window, or of the spike if that is shorter")]
    peak_low_ms: Annotated[float, Field(description="lower end of the interval of `peak_ms`")]
    peak_high_ms: Annotated[
        float | None,
        Field(description="upper end of that interval; None (shown as ≥) if there are too few requests to know it"),
    ]
    baseline_ms: Annotated[float, Field(description="the usual p95 around it")]
    ratio: Annotated[float, Field(description="peak / baseline")]
    limit_ms: Annotated[float | None, Field(description="a request slower than this counts as slow")] = None
    requests: Annotated[int, Field(description="successful requests started inside")]
    slow: Annotated[int | None, Field(description="of these, the number slower than `limit_ms`")] = None
    extra_waiting_request_s: Annotated[float, Field(description="Σ latency − n × baseline mean, in request-seconds")]
    cut: Annotated[bool, Field(description="whether the run ended before the spike did")] = False


class Explanation(Part):
    """Why a spike happened: its cause, the confidence in it, and the evidence."""

    cause: Annotated[str, Field(description="one of the causes of docs/terms.md, or unexplained")]
    confidence: Annotated[str, Field(description="high, medium or low")]
    evidence: Annotated[list[str], Field(description="sentences with the numbers behind the cause")]


class Spike(Rise, Explanation):
    """One rise of p95 above its surroundings, for successful requests, and why it happened."""

    also: Annotated[list[Explanation], Field(description="further effects of the cause, such as errors")] = []


class Baseline(Part):
    """Whether the run has a baseline against which spikes are measured. Without one, "no spike" is never reported."""

    reference: Annotated[
        Literal["normal windows", "light load", "fastest requests", "nothing"],
        Field(
            description="`normal windows` or `light load`: the run has periods without queues; `fastest requests`: "
            "requests queued during the whole run; `nothing`: this is not known"
        ),
    ]
    p95_ms: Annotated[float | None, Field(description="the baseline; None without requests")]
    text: str

    @property
    def known(self) -> bool:
        """Whether the run has a baseline of its own."""
        return self.reference in {"normal windows", "light load"}


class Outage(Part):
    """A period in which requests failed together, or in which nothing was answered. Times are in whole seconds."""

    onset_s: Annotated[int, Field(description="the second in which the first of the failed requests was sent")]
    end_s: Annotated[
        int, Field(description="the second in which the first successful request after the last failure was sent")
    ]
    kind: Annotated[
        str, Field(description="timeouts, connections refused or reset, status 503 (or 429, 500, …), or no answer")
    ]
    failed: Annotated[int, Field(description="requests sent in this period that failed in this way")]
    requests: Annotated[int, Field(description="all requests sent in this period")]
    share_ratio: Annotated[float, Field(description="failed / requests")]
    endpoints: Annotated[
        list[str], Field(description="METHOD name of the affected endpoints; empty if all were affected")
    ] = []
    cut: Annotated[bool, Field(description="whether the run ended before the outage did")] = False
    text: Annotated[str, Field(description="one sentence")]
    cause: Annotated[str | None, Field(description="the cause, if the recorded data shows it; else None")] = None
    confidence: Annotated[str | None, Field(description="high, medium or low; None without a cause")] = None
    evidence: Annotated[list[str], Field(description="sentences with the numbers behind the cause")] = []


class WorstSecond(Part):
    """The second of a run with the highest p95. A single second is not a spike, but it is shown."""

    at_s: int
    p95_ms: float
    requests: Annotated[int, Field(description="successful requests started in it")]
    usual_ms: Annotated[float, Field(description="the median of p95 over all seconds")]


class SlowFirst(Part):
    """Slow first requests of instances. They are outside spikes, and too few to raise p95."""

    requests: int
    instances: Annotated[int, Field(description="the number of these instances; 0 if the service does not name them")]
    worst_ms: float
    text: str


class Timeline(Part):
    """The values of a run second by second (or per `step_s` of a long run). None is a gap."""

    from_s: Annotated[float, Field(description="time of the first point")]
    step_s: float
    columns: Annotated[
        dict[str, list[float | None]],
        Field(
            description="p50_ms, p95_ms, p99_ms (response time in an open loop), ok_per_s, failed_per_s.KIND, "
            "status_per_s.429, status_per_s.503, planned_users, users, in_flight, instances_answering, "
            "instances_active, instances_idle, container_cpu_ratio, container_concurrency, generator_cpu_ratio, "
            "loop_lag_ms; those the run has"
        ),
    ]


class Span(Part):
    """A period of time."""

    from_s: float
    to_s: float


class CurvePoint(Part):
    """One point of the latency-by-percentile curve."""

    q_ratio: float
    value_ms: float


class Warmup(Part):
    """How a run began: when the first answer came, when p95 settled, and how slow requests were until then."""

    first_answer_s: Annotated[
        float | None,
        Field(description="from load start to the first successful answer"),
        Shown("first answer after", "seconds"),
    ]
    settled_s: Annotated[
        float | None,
        Field(description="time until p95 stays near its baseline (rules.SETTLED_RATIO); None if it never did"),
        Shown("p95 settled after", "settled"),
    ]
    peak_p95_ms: Annotated[
        float | None,
        Field(description="the highest p95 of a window of 10 s until then"),
        Shown("highest p95 of 10 s before", "ms"),
    ]
    steady_p95_ms: Annotated[
        float | None,
        Field(
            description="the baseline that it settled to: the median p95 of the steady phase's windows of 10 s "
            "without spikes; the p95 of the steady phase itself is in `phases`"
        ),
        Shown("baseline p95", "ms"),
    ]
    extra_waiting_request_s: Annotated[
        float | None,
        Field(description="response time above the baseline until p95 settled, summed over all requests"),
        Shown("excess latency, all requests", "waiting"),
    ]
    young_requests: Annotated[
        int | None,
        Field(description="requests on an instance younger than 10 s; None if the service sends no age"),
        Shown("requests on new instances", "count"),
    ]


class CapacityPoint(Part):
    """One window of a run: the requests in flight, the throughput, and the response time."""

    at_s: float
    in_flight: float
    throughput_per_s: float
    p95_ms: float | None
    answered_ratio: Annotated[
        float | None,
        Field(description="answers per user and second (open loop: per arrival); this falls past the knee"),
    ] = None


class Capacity(Part):
    """The load at which throughput stops growing, or the statement that the run did not reach it."""

    reached: bool
    in_flight_at_knee: Annotated[
        float | None,
        Field(description="the number in flight above which requests wait; None if too few were sent at light load"),
    ]
    throughput_max_per_s: float | None
    per_instance: Annotated[bool, Field(description="whether the numbers are per active instance")]
    text: str
    points: list[CapacityPoint]


class Suggestion(Part):
    """One recommended setting, with the arithmetic."""

    option: Annotated[str, Field(description="the option of the deploy command, such as --min-instances")]
    value: str
    why: str
    arithmetic: str
    assumptions: list[str]
    cost: Annotated[str | None, Field(description="what this setting costs")] = None


class Endpoint(Part):
    """One endpoint of one run."""

    method: Annotated[str, Shown("method")]
    name: Annotated[str, Shown("endpoint", "long")]
    requests: Annotated[int, Shown("requests", "count")]
    throughput_per_s: Annotated[float | None, Shown("answered per s", "decimal")]
    failures: Annotated[int, Shown("failed", "failures")]
    min_ms: Annotated[float | None, Field(description="the fastest successful request"), Shown("min", "ms")] = None
    mean_ms: Annotated[float | None, Field(description="of successful requests"), Shown("mean", "ms")] = None
    mean_bytes: Annotated[
        float | None,
        Field(description="mean size of an answer's body, including failed answers"),
        Shown("size", "bytes"),
    ] = None
    bytes_per_s: Annotated[
        float | None,
        Field(description="bytes of all answers' bodies per second, over the run"),
        Shown("transferred per s", "bytes"),
    ] = None
    latency: Annotated[list[Quantile], Shown("", "percentiles")]
    series: Annotated[
        Timeline | None,
        Field(
            description="p50_ms, p95_ms, p99_ms, ok_per_s (by the start of the requests) and failed_per_s of this "
            "endpoint; only for the twelve with the most requests, if there are several"
        ),
    ] = None


class Failure(Part):
    """Failures of one endpoint, kind, status and message."""

    method: Annotated[str, Shown("method")] = ""
    name: Annotated[str, Field(description="name of the endpoint; empty if not known"), Shown("endpoint", "long")] = ""
    count: Annotated[int, Shown("count", "failures")]
    share: Annotated[
        float | None, Field(description="failures ÷ requests of this endpoint"), Shown("share", "percent")
    ] = None
    kind: Annotated[str, Field(description="its outcome, see docs/terms.md"), Shown("kind", "outcome")]
    status: Annotated[int | None, Shown("status", "status")]
    message: Annotated[
        str, Field(description="{n}, {uuid} and {hash} stand for the parts that differ"), Shown("message", "long")
    ]
    first_s: Annotated[float | None, Shown("first", "clock")]
    last_s: Annotated[float | None, Shown("last", "clock")]
    body: Annotated[
        str | None, Field(description="body of the first failed answer, if it was kept"), Shown("first body", "body")
    ] = None


class TaskError(Part):
    """One kind of exception that the scenario's own code raised. It does not appear in any row."""

    where: Annotated[str, Field(description="task, on_start, on_stop, listener, init (of a worker) or exit")]
    exception: str
    message: str
    user_class: str
    task: str
    count: int
    traceback: Annotated[str, Field(description="traceback of the first of these exceptions")]


class CheckedEndpoint(Part):
    """An endpoint whose answers under load were compared with its reference answers from before the load."""

    method: Annotated[str, Shown("method")]
    name: Annotated[str, Shown("endpoint", "long")]
    references: Annotated[
        int, Field(description="distinct requests with an answer from before the load"), Shown("asked before", "count")
    ]
    requests: Annotated[int, Field(description="under load"), Shown("requests", "count")]
    compared: Annotated[
        int, Field(description="requests under load whose answer was compared"), Shown("compared", "count")
    ]
    wrong: Annotated[int, Field(description="answers that differed"), Shown("differed", "failures")]
    left_out: Annotated[
        str, Field(description="why some of its requests have no answer to compare with"), Shown("left out", "long")
    ] = ""


class WrongAnswer(Part):
    """One answer that differed from the answer before the load. Texts are shortened, and secrets are left out."""

    at_s: Annotated[float, Shown("at", "clock")]
    method: Annotated[str, Shown("method")]
    name: Annotated[str, Shown("endpoint", "long")]
    differs: Annotated[str, Field(description="the fields, as `name: value instead of value`"), Shown("what", "long")]
    request: Annotated[str, Field(description="the body that was sent"), Shown("request", "payload")]
    expected: Annotated[str, Field(description="the answer before the load"), Shown("answer alone", "payload")]
    got: Annotated[str, Field(description="the answer under load"), Shown("under load", "payload")]


class AnswerCheck(Part):
    """The comparison of the answers under load with the reference answers (`--check-answers`)."""

    compared: int
    wrong: int
    endpoints: list[CheckedEndpoint]
    examples: Annotated[list[WrongAnswer], Field(description="the first differing answers")]


class Incident(Part):
    """An event that affected the recording and that the reader must know of."""

    kind: Annotated[
        str,
        Field(description="refusal, totals difference, clock jump, pause, unrecorded worker or starts not known"),
        Shown("kind"),
    ]
    text: Annotated[str, Shown("what happened", "long")]


class Instance(Part):
    """One instance of the service, as its response headers describe it."""

    name: Annotated[str, Shown("instance", "long")]
    first_seen_s: Annotated[float, Field(description="when its first answer came"), Shown("first seen", "clock")]
    last_seen_s: Annotated[float, Field(description="when its last answer came"), Shown("last seen", "moment")]
    ready_s: Annotated[
        float | None,
        Field(description="when it became able to serve; None if it sends no age"),
        Shown("ready", "moment"),
    ]
    requests: Annotated[int, Shown("requests", "count")]
    first_latency_ms: Annotated[
        float | None, Field(description="response time of its first request"), Shown("first latency", "ms")
    ]
    median_ms: Annotated[float, Field(description="median of all its requests, within 0.4 %"), Shown("median", "ms")]
    first_start_s: Annotated[float | None, Field(description="when the first request it answered was sent")] = None
    first_ms: Annotated[
        list[float], Field(description="response times of its first requests, in order of sending")
    ] = []


class Cost(Part):
    """The cost of the run, or the cost that it would have had, with the assumptions."""

    run_usd: float
    per_1000_predictions_usd: float | None
    instance_s: Annotated[float, Field(description="billed instance-seconds")]
    assumptions: list[str]


class Worker(Part):
    """One load-generating process."""

    name: Annotated[str, Shown("worker", "long")]
    host: Annotated[str, Shown("host")]
    clock_offset_ms: Annotated[float | None, Shown("clock offset", "ms")]
    clock_uncertainty_ms: Annotated[float | None, Shown("±", "ms")]
    rows_sent: Annotated[int | None, Shown("rows sent", "count")]
    rows_received: Annotated[int, Shown("rows received", "count")]
    rows_missing_at_most: Annotated[int | None, Shown("missing at most", "failures")]
    lost: Annotated[str | None, Shown("lost", "lost")]


class CloudSeries(Part):
    """One fetched cloud series: the number of its points, the time between them, and when the last one ends."""

    metric: Annotated[str, Shown("series", "long")]
    points: Annotated[int, Shown("points", "count")]
    interval_s: Annotated[float | None, Shown("one every", "seconds")]
    ends_s: Annotated[float | None, Field(description="when its last point ends"), Shown("last point", "moment")]


class DataFile(Part):
    """A data file whose rows were each given to one user only."""

    name: str
    rows: int
    not_sent_at_most: Annotated[
        int, Field(description="the highest possible number of rows that no user got, because a worker was lost")
    ]


class Measured(Part):
    """How the numbers were measured."""

    command: str
    versions: dict[str, str]
    host: dict[str, str]
    git_commit: str | None
    options: dict[str, str]
    workers: list[Worker]
    saturated_s: Annotated[float, Field(description="seconds in which the generator was saturated")]
    saturated: list[Span]
    refused: Annotated[
        int, Field(description="open-loop arrivals that were dropped, because too many requests were in flight")
    ]
    connects_repeated: Annotated[
        int | None,
        Field(description="connections whose first packet the generator's machine sent again; None if not known"),
    ] = None
    machine_busy_ratio: Annotated[
        float | None,
        Field(description="share of the seconds in which at most 5 % of the CPU of the generator's machine was free"),
    ] = None
    cloud_series: list[CloudSeries]
    cpu_why: Annotated[
        str, Field(description="how `--cpu auto` of the local Cloud Run chose an instance's vCPU; empty if it did not")
    ] = ""
    missing: Annotated[list[str], Field(description="what is not known, and why")]
    incidents: Annotated[list[Incident], Field(description="what happened to the recording")] = []
    data_files: Annotated[list[DataFile], Field(description="files whose rows are each given to one user only")] = []


class Totals(Part):
    """The whole run in numbers."""

    requests: int
    ok: int
    failures: Annotated[dict[str, int], Field(description="requests that failed, by outcome")]
    timeouts: int
    timeout_at_least_ms: Annotated[
        float | None, Field(description="the shortest wait of a request that timed out, shown with ≥")
    ]
    throttled: Annotated[dict[str, int], Field(description="answers 429 and 503, by status")]
    error_ratio: float | None
    throughput_per_s: Annotated[float | None, Field(description="successful answers per second, whole run")]
    peak_users: float | None
    failed: Annotated[int | None, Field(description="requests that failed; None in older summaries")] = None
    generator: Annotated[
        int,
        Field(
            description="requests that the load generator itself could not send: not counted as failures of the service"
        ),
    ] = 0
    task_errors: Annotated[int, Field(description="exceptions of the scenario's own code")] = 0


class RunSummary(Part):
    """One run."""

    id: str
    name: Annotated[str, Field(description="its unique name in the report: its label, or its target")]
    folder: str
    label: str | None
    scenario: str
    description: str
    target: Annotated[str, Field(description="local, emulator, cloud or url")]
    url: str
    capabilities: Annotated[Capabilities, Field(description="the capabilities of the target's platform")] = Field(
        default_factory=lambda known: capabilities_of(known["target"], known["url"])
    )
    service: str | None
    region: str | None
    revision: str | None
    revisions: Annotated[
        list[str],
        Field(description="revisions that answered during the run, from the platform's series; empty if not known"),
    ] = []
    limits: dict[str, str]
    not_priced: Annotated[
        str, Field(description="why Cloud Run has no price for these settings; empty if it has one")
    ] = ""
    load_model: Annotated[str, Field(description="closed, open or unknown")]
    start: datetime
    load_start: Annotated[datetime, Field(description="t = 0 of every `*_s`")]
    duration_s: float
    planned_s: Annotated[float | None, Field(description="the planned length")] = None
    outcome: str
    reasons: list[str]
    totals: Totals
    latency: Annotated[
        list[Quantile], Field(description="service time, from sending to the last byte: p50 … p99.9, max")
    ]
    response: Annotated[
        list[Quantile] | None, Field(description="open loop only: service time plus the delay after the due time")
    ]
    failed_latency: Annotated[list[Quantile], Field(description="latency of failed requests that were answered")]
    curve: list[CurvePoint]
    phases: list[Phase]
    objectives: list[Objective]
    spikes: list[Spike]
    baseline: Annotated[Baseline | None, Field(description="None in summaries of older versions")] = None
    outages: list[Outage] = []
    slow_first: SlowFirst | None
    worst_second: WorstSecond | None = None
    series: Timeline
    heatmap: Annotated[Heatmap | None, Field(description="None in summaries of older versions")] = None
    warmup: Warmup
    capacity: Capacity | None
    advice: list[Suggestion]
    endpoints: list[Endpoint]
    failures: list[Failure]
    task_errors: Annotated[list[TaskError], Field(description="exceptions of the scenario's own code")] = []
    answers: Annotated[AnswerCheck | None, Field(description="None if answers were not compared")] = None
    instances: list[Instance]
    cost: Cost | None
    measured: Measured
    verdict: Annotated[RunVerdict | None, Field(description="None in summaries of older versions")] = None


class Difference(Part):
    """One way in which two runs differ."""

    what: str
    a: str
    b: str
    matters: Annotated[bool, Field(description="whether this difference makes the comparison unfair")]


class ComparedLine(Part):
    """One statistic of two runs, of two sides with several runs, or of the two targets of one run."""

    scope: Annotated[str, Field(description="a phase, `all`, or an endpoint")]
    statistic: Annotated[
        str, Field(description="p50, p95 or p99; for two targets in one run also mean, error rate and throughput")
    ]
    a_ms: Annotated[float | None, Field(description="None if `unit` is not ms")]
    b_ms: float | None
    difference_ratio: Annotated[
        float | None, Field(description="b / a − 1; for an error rate b − a, as a share of the requests")
    ]
    low_ratio: float | None
    high_ratio: float | None
    verdict: Annotated[
        str,
        Field(
            description="slower, faster, equivalent or inconclusive, against ±5 %; fewer or more answers (throughput), "
            "fewer or more failures (error rate, against ±0.5 percentage points)"
        ),
    ]
    unit: Annotated[Literal["ms", "per_s", "ratio"], Field(description="of the two values")] = "ms"
    a_value: Annotated[float | None, Field(description="the first side's value, if `unit` is not ms")] = None
    b_value: float | None = None
    needed_s: Annotated[float | None, Field(description="if inconclusive: how long a run must be to decide")] = None
    why: Annotated[str, Field(description="why there is no interval, if there is none")] = ""


class Comparison(Part):
    """Two sides, each with one or more runs. The first side is the baseline for the second."""

    a: Annotated[list[str], Field(description="names of its runs")]
    b: list[str]
    a_name: str
    b_name: str
    comparable: bool
    differences: list[Difference]
    lines: list[ComparedLine]
    notes: list[str]
    interleaved: Annotated[
        bool, Field(description="whether the two sides are the two targets of one run and shared every second of it")
    ] = False

    @property
    def unlike(self) -> list[str]:
        """The differences that make the comparison unfair, with the values of both sides."""
        return [f"{each.what} {each.a} against {each.b}" for each in self.differences if each.matters]


class Regression(Part):
    """Whether one side of a comparison is slower than its baseline by more than a margin (docs/ci.md)."""

    text: Annotated[str, Field(description="the margin as written, `p95=5%`")]
    a_name: Annotated[str, Field(description="the baseline")]
    b_name: str
    scope: Annotated[str, Field(description="a phase, `all`, or an endpoint")]
    statistic: Annotated[str, Field(description="p50, p95 or p99")]
    margin_ratio: Annotated[float, Field(description="how much slower is allowed")]
    difference_ratio: Annotated[float | None, Field(description="b / a − 1")]
    low_ratio: float | None
    high_ratio: float | None
    verdict: Annotated[
        Literal["held", "missed", "undecided"], Field(description="missed: slower by more than the margin")
    ]
    why: Annotated[str, Field(description="a clause with the numbers")]
    would_decide: Annotated[str, Field(description="if undecided: a sentence that says what would decide it")] = ""


class Report(Part):
    """The complete content of a report."""

    format: Literal[1] = SUMMARY_FORMAT
    made_by: str
    made_at: datetime
    notes: Annotated[
        list[str], Field(description="what the reader should know first, for example that a run is missing")
    ]
    runs: Annotated[list[RunSummary], Field(min_length=1)]
    comparisons: Annotated[
        list[Comparison], Field(description="the first side compared with each other side; empty for a single run")
    ]
    regressions: Annotated[
        list[Regression], Field(description="each given margin, judged for each comparison; empty without margins")
    ] = []
    baseline: Annotated[
        list[str], Field(description="names of the runs that are only a baseline; their own objectives do not count")
    ] = []
