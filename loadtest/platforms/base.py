"""Define a platform: a place that can be put under load, with the operations that the verbs need.

To add a platform, write one folder (or file) with a class derived from `Platform`, and add one line to `registry.py`.
The class declares its `capabilities`, which are stored in `run.json`; no other code checks for a platform by its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from typing import ClassVar

from ..core.checks import Check
from ..core.console import Console
from ..core.errors import UsageError
from ..recording.capabilities import Capabilities
from ..recording.folder import RunFolder
from ..recording.run import Run, SideRecord, TargetRecord
from .costs import CostModel


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """The target options as the user gave them; None if an option was not given.

    Attributes:
        url: the base URL that the user gave, without a trailing slash.
        sides: both sides of a run against two targets.
    """

    url: str | None = None
    sides: tuple[SideOptions, ...] = ()
    concurrency: int | None = None
    cpu: str | None = None
    memory: str | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    autoscaler: str = "cloudrun"
    command: str | None = None
    service: str | None = None
    project: str | None = None
    region: str | None = None
    endpoint: str | None = None

    def given_limits(self) -> dict[str, object]:
        """Return, by name, those of the given options that only a platform with `takes_limits` accepts."""
        names = ("concurrency", "cpu", "memory", "command", "min_instances", "max_instances")
        return {
            field.name.replace("_", "-"): getattr(self, field.name)
            for field in fields(self)
            if field.name in names and getattr(self, field.name) is not None
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SideOptions:
    """The options of one of two targets.

    Attributes:
        name: the target's name in the report.
        platform: the kind of the target's platform.
        options: the options of this target.
    """

    name: str
    platform: str
    options: TargetOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioNeeds:
    """The properties of the scenario that a platform needs to know.

    Attributes:
        limits: the scenario's own `limits`, which replace options that are not given.
        speaks_http: whether any user of the scenario sends HTTP/1.1.
        most_users: the maximum number of users; None if it is not known.
        first_requests: the command that sends the scenario's first requests (`emulator.model.EmulatorOptions`).
    """

    limits: Mapping[str, object] = field(default_factory=dict)
    speaks_http: bool = True
    most_users: float | None = None
    first_requests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A target that is ready for load.

    Attributes:
        record: the target's record in `run.json`.
        sides: the records of both sides of a run against two targets.
        environment: variables that the Locust processes need to reach the target.
        collect: called with the finished run while the target is still running; fetches the target's own measurements.
    """

    record: TargetRecord
    environment: Mapping[str, str] = field(default_factory=dict)
    collect: Callable[[RunFolder, Run], None] = lambda folder, run: None
    sides: tuple[SideRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """The planned run that `lt doctor` checks.

    Attributes:
        options: the target options, which name the service.
        run_s: the planned length of the run.
        path: the path to which the payload is posted.
        payload: the body of a real request.
    """

    options: TargetOptions
    run_s: float
    path: str
    payload: object


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOptions:
    """The options of `lt deploy`, unparsed; None if an option was not given.

    Attributes:
        build: where the image is built: `local` or `cloud`.
        public: whether everyone may call the service.
        takes_traffic: whether the new revision gets the traffic.
        delete: whether the service is deleted instead.
    """

    service: str
    project: str | None = None
    region: str | None = None
    image: str | None = None
    build: str | None = None
    base_image: str | None = None
    command: str = ""
    concurrency: int | None = None
    cpu: str | None = None
    memory: str | None = None
    min_instances: int | None = None
    max_instances: str | None = None
    timeout: str | None = None
    cpu_boost: bool | None = None
    port: int | None = None
    public: bool | None = None
    env: tuple[str, ...] = ()
    revision_suffix: str | None = None
    takes_traffic: bool = True
    delete: bool = False
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class DeployResult:
    """The result of a deploy.

    Attributes:
        text: the result as a sentence.
        url: the URL of the service; "" if there is none.
        next_step: a suggestion for the user; "" if there is none.
        incomplete: the part of the deploy that failed; "" if nothing failed.
    """

    text: str
    url: str = ""
    next_step: str = ""
    incomplete: str = ""


class Deployment(ABC):
    """A deploy whose options have been checked, and which has not begun."""

    __slots__ = ()

    @abstractmethod
    def commands(self) -> tuple[str, ...]:
        """Return the commands that would do the same by hand, in order."""

    @abstractmethod
    def apply(self, console: Console) -> DeployResult:
        """Carry out the deploy, and wait until it is done.

        Raises:
            UnusableError: the platform refused the request or did not answer, or the service did not start.
        """


class Platform(ABC):
    """A place that can be put under load.

    Objects of this class have no state. Everything that exists only during a run belongs to the target that `open`
    yields.

    Attributes:
        kind: the platform's name in `--target`, which is stored in `run.json` as `kind`.
        capabilities: what the platform supports; `Url` records the capabilities of each URL.
        has_own_address: whether the load is sent to the platform's address. If not, the load is sent to the hosts that
            the scenario's user classes name.
    """

    kind: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    has_own_address: ClassVar[bool] = True

    def check_options(self, options: TargetOptions) -> None:
        """Check that the options are valid for this platform. This method is called before anything is started.

        Raises:
            UsageError: an option is not valid.
        """
        if not self.capabilities.takes_limits:
            for name, value in options.given_limits().items():
                raise UsageError(
                    f"`--{name} {value}`: valid only where the run creates the service (`--target emulator`); "
                    "this service has its own settings."
                )

    @abstractmethod
    def open(self, options: TargetOptions, *, needs: ScenarioNeeds, console: Console) -> AbstractContextManager[Target]:
        """Make a target ready while the block lasts.

        Args:
            options: the given options, checked by `check_options`.
            needs: the properties of the scenario.
            console: shows progress and warnings.

        Raises:
            UsageError: an option names something that does not exist.
            UnusableError: the target cannot be started or reached.
        """

    def costs(self, target: TargetRecord, prices: Mapping[str, object]) -> CostModel | None:
        """Return the cost model of the target; None if the target is not billed.

        Args:
            target: the record of the opened target.
            prices: fields of `core.prices.Prices` that replace the list prices.
        """
        del target, prices
        return None

    def fetch_metrics(self, folder: RunFolder, run: Run, options: TargetOptions, console: Console) -> None:
        """Fetch the platform's own series of a recorded run again, and store them in its folder.

        Raises:
            UsageError: the platform has no series, or the options do not say where the series are.
            UnusableError: the platform refused the request or did not answer; the stored series are unchanged.
        """
        del folder, options, console
        raise UsageError(f"{run.id} ran against `{self.kind}`, which stores no series that could be fetched.")

    def deployment(self, options: DeployOptions, *, dry_run: bool, console: Console) -> Deployment:
        """Return a checked deploy to this platform. This method is called only if the platform declares `can_deploy`.

        Args:
            options: the given options.
            dry_run: whether only the commands of the deploy are needed; then no credentials are needed.
            console: shows warnings.

        Raises:
            UsageError: the options are invalid, or nothing can be deployed to this platform.
            UnusableError: the platform cannot be used from this machine.
        """
        del options, dry_run, console
        raise UsageError(f"Nothing can be deployed to `{self.kind}`.")

    def checks(self, request: CheckRequest) -> Iterator[Check]:
        """Yield a check for each requirement of a run on the platform; this machine is checked separately."""
        del request
        return iter(())
