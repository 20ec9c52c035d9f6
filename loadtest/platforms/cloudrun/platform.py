"""Use a Cloud Run service as the target of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from ...core.checks import Check
from ...core.console import Console
from ...core.errors import CloudError, LoadTestError, UsageError
from ...core.prices import Prices, prices_for
from ...recording.capabilities import CLOUD_RUN, Capabilities
from ...recording.folder import RunFolder
from ...recording.run import Run, TargetRecord
from ..base import (
    CheckRequest,
    Deployment,
    DeployOptions,
    Platform,
    ScenarioNeeds,
    Target,
    TargetOptions,
)
from ..costs import Estimate, Load
from . import cost

if TYPE_CHECKING:
    from .calls import RetryPolicy
    from .describe import Described


class CloudRun(Platform):
    """A service that is already deployed on Google's Cloud Run or, with `--endpoint`, on a local Cloud Run."""

    kind: ClassVar[str] = "cloud"
    capabilities: ClassVar[Capabilities] = CLOUD_RUN

    def check_options(self, options: TargetOptions) -> None:
        """Check that a service is named, and that no option sets a value that the service itself decides."""
        super().check_options(options)
        if options.service is None:
            raise UsageError(
                "`--target cloud`: name the service with --service NAME (or its run.app URL) and --region."
            )

    @contextmanager
    def open(self, options: TargetOptions, *, needs: ScenarioNeeds, console: Console) -> Iterator[Target]:
        """Look up the service. If the service is private, serve tokens for it to the Locust processes.

        Raises:
            CloudError: Google refused the call or did not answer, or there is no such service.
        """
        from .describe import describe

        del needs
        assert options.service is not None
        with console.status(f"looking up {options.service}"):
            found = describe(options.service, project=options.project, region=options.region, endpoint=options.endpoint)
        with admitted(found, console) as environment:
            yield Target(found.target, environment=environment, collect=collecting(options.endpoint, console))

    def costs(self, target: TargetRecord, prices: Mapping[str, object]) -> CloudRunCosts:
        """Return the cost model of the service, with Cloud Run's list prices or the user's own prices."""
        return CloudRunCosts(target, prices_for(target.region, prices))

    def fetch_metrics(self, folder: RunFolder, run: Run, options: TargetOptions, console: Console) -> None:
        """Fetch the series from Cloud Monitoring. Wait until the series cover the run."""
        from .clients import Clients

        target = run.target
        target.service = options.service or target.service
        target.region = options.region or target.region
        target.project = options.project or target.project or Clients(options.endpoint).project
        fetch_into(folder, run, endpoint=options.endpoint, console=console)

    def deployment(self, options: DeployOptions, *, dry_run: bool, console: Console) -> Deployment:
        """Return the deploy of a service, or its removal."""
        from .deployment import prepare

        return prepare(options, dry_run=dry_run, console=console)

    def checks(self, request: CheckRequest) -> Iterator[Check]:
        """Yield checks of the service and of this machine's credentials for a run."""
        from .checks import ServiceCheckRequest, check_service

        options = request.options
        assert options.service is not None
        return check_service(
            ServiceCheckRequest(
                service=options.service,
                project=options.project,
                region=options.region,
                endpoint=options.endpoint,
                run_s=request.run_s,
                path=request.path,
                payload=request.payload,
            )
        )


@dataclass(frozen=True, slots=True)
class CloudRunCosts:
    """The cost model of one service, from its limits and its region."""

    target: TargetRecord
    prices: Prices

    def estimate(self, load: Load) -> Estimate:
        """Return the estimated cost of `load`."""
        return cost.estimate(load, self.target.limits, region=self.target.region, prices=self.prices)

    def projected(self, load: Load, *, elapsed_s: float, requests: int) -> Estimate:
        """Return the estimate for the whole run.

        The number of requests per user is corrected so that it matches the requests that were sent in the first
        `elapsed_s`.
        """
        return cost.projected(
            load,
            self.target.limits,
            elapsed_s=elapsed_s,
            requests=requests,
            region=self.target.region,
            prices=self.prices,
        )


@contextmanager
def admitted(found: Described, console: Console) -> Iterator[Mapping[str, str]]:
    """Yield the variables with which Locust processes get an ID token for a private service; none for a public service.

    If the service's policy cannot be read, a token is sent if one is available; otherwise a warning is printed.

    Raises:
        CloudError: the service is private, and no token is available.
    """
    from .tokens import IdTokens, TokenServer

    if found.public or not found.target.capabilities.needs_token:
        yield {}
        return
    with ExitStack() as stack:
        try:
            environment = stack.enter_context(TokenServer(IdTokens(found.audience))).environment
        except CloudError as error:
            if found.public is False:
                raise
            console.warn(
                "this machine's credentials may not read who may call the service, and there is no token for the "
                f"service; calling the service without a token: {error}"
            )
            environment = {}
        yield environment


def collecting(endpoint: str | None, console: Console) -> Callable[[RunFolder, Run], None]:
    """Return a `Target.collect` that fetches the series.

    If the function fails, it prints a warning, and the run is kept without series.
    """

    def collect(folder: RunFolder, run: Run) -> None:
        later = f"The rows are kept; fetch the series later: python lt.py metrics {run.id}"
        try:
            fetch_into(folder, run, endpoint=endpoint, console=console)
        except LoadTestError as error:
            console.warn(f"no cloud series: {error}")
            console.say(later)
        except KeyboardInterrupt:
            console.say(later)

    return collect


def fetch_into(
    folder: RunFolder,
    run: Run,
    *,
    endpoint: str | None,
    console: Console,
    retry_policy: RetryPolicy | None = None,
) -> None:
    """Fetch the series of the run's window, store them in its folder, and print the number of points.

    `retry_policy` bounds each call.

    Raises:
        UsageError: the record names no service, project or region, or the run never ended.
        CloudError: Google refused the call, did not answer, or has no point; the stored series are unchanged.
    """
    from .metrics import EITHER_SIDE, Ingestion, fetch

    if run.end is None:
        raise UsageError(f"{run.id} has no end yet: stop it first (Ctrl-C in its terminal).")
    with console.status("asking Cloud Monitoring") as update:

        def show(ingestion: Ingestion) -> None:
            until = f"{ingestion.covered_until:%H:%M:%S}" if ingestion.covered_until else "nothing yet"
            update(
                f"waiting for Cloud Monitoring: it has points until {until} and needs points until "
                f"{ingestion.wanted_until:%H:%M:%S} UTC "
                f"({ingestion.waited_s:.0f} s of at most {ingestion.limit_s:.0f} s)"
            )

        table = fetch(
            run.target,
            run.load_start or run.start,
            run.end,
            revision=folder.only_revision,
            served_until=_last_answer(folder),
            endpoint=endpoint,
            on_progress=show,
            retry_policy=retry_policy,
        )
    folder.write_metrics(table)
    if endpoint is None and datetime.now(UTC) < run.end + EITHER_SIDE:
        console.say(f"later points are available in 5 min: python lt.py metrics {run.id}")
    series = len(set(zip(table["metric"].to_pylist(), table["labels"].to_pylist(), strict=True)))
    of = folder.only_revision or run.target.service
    console.say(f"{table.num_rows} points of {series} series of {of}")


def _last_answer(folder: RunFolder) -> datetime | None:
    """Return when the run's last request was answered.

    Answers with 429 are not counted, because such requests never reach an instance.
    """
    import pyarrow.compute as pc

    last_ns = 0
    for batch in folder.row_batches(["start", "latency_us", "status"]):
        served = batch.filter(pc.and_kleene(pc.is_valid(batch["status"]), pc.not_equal(batch["status"], 429)))
        if served.num_rows:
            took_ns = pc.multiply(served["latency_us"], 1000)
            last_ns = max(last_ns, pc.max(pc.add(served["start"].cast("int64"), took_ns)).as_py())
    return datetime.fromtimestamp(last_ns / 1e9, UTC) if last_ns else None
