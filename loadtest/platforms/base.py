"""Define a platform: a place that can be put under load, and what the verbs need of it.

A new platform is one folder (or file) with a class derived from `Platform`, and one line in `registry.py`. It declares
what it can by its `capabilities`, which `run.json` keeps; nothing else in the project compares a platform's name.
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
    """The options about the target as they were given; None: not given.

    Attributes:
        url: the base URL where the user named one, without a slash at its end.
        sides: of a run against two targets, both.
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
        """Return the options, by their spelling, that only a platform with `takes_limits` takes, as far as given."""
        names = ("concurrency", "cpu", "memory", "command", "min_instances", "max_instances")
        return {
            field.name.replace("_", "-"): getattr(self, field.name)
            for field in fields(self)
            if field.name in names and getattr(self, field.name) is not None
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SideOptions:
    """One of two targets, as given in the options.

    Attributes:
        name: what the report calls it.
        platform: its kind.
        options: about it.
    """

    name: str
    platform: str
    options: TargetOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioNeeds:
    """What a platform may know of the scenario that will run.

    Attributes:
        limits: the scenario's own `limits`, for what the options leave open.
        speaks_http: whether any of its users sends HTTP/1.1.
        most_users: that run at the same time; None where that is not known.
        first_requests: the command that sends its first requests (`emulator.model.EmulatorOptions`).
    """

    limits: Mapping[str, object] = field(default_factory=dict)
    speaks_http: bool = True
    most_users: float | None = None
    first_requests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Something to send load to.

    Attributes:
        record: what `run.json` keeps of it.
        sides: of a run against two targets, what it keeps of each.
        environment: variables that the Locust processes need to reach it.
        collect: called with the closed run while the target still is up: fetches what it has measured itself.
    """

    record: TargetRecord
    environment: Mapping[str, str] = field(default_factory=dict)
    collect: Callable[[RunFolder, Run], None] = lambda folder, run: None
    sides: tuple[SideRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """What the doctor is to look at.

    Attributes:
        options: which service.
        run_s: planned length of the run.
        path: where the payload is posted.
        payload: one real request's body.
    """

    options: TargetOptions
    run_s: float
    path: str
    payload: object


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOptions:
    """What `lt deploy` was given, unparsed; None: not given.

    Attributes:
        build: what builds the image: `local` or `cloud`.
        public: whether everyone may call the service.
        takes_traffic: False: the new revision gets no traffic.
        delete: remove the service instead.
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
    """What a deploy did.

    Attributes:
        text: the same as a sentence.
        url: of the service; "" when there is none.
        next_step: what the user may want to do now; "" for nothing.
        incomplete: what could not be done; "" when all was.
    """

    text: str
    url: str = ""
    next_step: str = ""
    incomplete: str = ""


class Deployment(ABC):
    """A deploy that was checked and not begun."""

    __slots__ = ()

    @abstractmethod
    def commands(self) -> tuple[str, ...]:
        """Return the commands that do the same by hand, in their order."""

    @abstractmethod
    def apply(self, console: Console) -> DeployResult:
        """Do it, and wait until it is done.

        Raises:
            UnusableError: the platform refused, did not answer, or the service did not start.
        """


class Platform(ABC):
    """A place that can be put under load. Instances hold no state; `open` gives what lives as long as a run.

    Attributes:
        kind: the word of `--target`, and the `kind` that `run.json` keeps.
        capabilities: what it can; `Url` knows more of each URL, and records that.
        has_own_address: the load goes to it; False: to the hosts that the scenario's user classes name.
    """

    kind: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    has_own_address: ClassVar[bool] = True

    def check_options(self, options: TargetOptions) -> None:
        """Check that the options make sense here; called before anything is started.

        Raises:
            UsageError: one does not.
        """
        if not self.capabilities.takes_limits:
            for name, value in options.given_limits().items():
                raise UsageError(
                    f"`--{name} {value}`: valid only where the run creates the service (`--target emulator`); "
                    "this service has settings of its own."
                )

    @abstractmethod
    def open(self, options: TargetOptions, *, needs: ScenarioNeeds, console: Console) -> AbstractContextManager[Target]:
        """Make a target ready for as long as the block lasts.

        Args:
            options: as given, checked by `check_options`.
            needs: what the scenario asks of the place.
            console: where to say what takes time and what is amiss.

        Raises:
            UsageError: an option names nothing that is there.
            UnusableError: it cannot be started or reached.
        """

    def costs(self, target: TargetRecord, prices: Mapping[str, object]) -> CostModel | None:
        """Return what prices a load on the target; None where nothing is billed.

        Args:
            target: as opened.
            prices: fields of `core.prices.Prices` in place of the listed ones.
        """
        del target, prices
        return None

    def fetch_metrics(self, folder: RunFolder, run: Run, options: TargetOptions, console: Console) -> None:
        """Fetch the platform's own series of a recorded run again, and store them in its folder.

        Raises:
            UsageError: there are none, or the options do not say where.
            UnusableError: the platform refused or did not answer; what was stored before is as it was.
        """
        del folder, options, console
        raise UsageError(f"{run.id} ran against `{self.kind}`, which keeps no series to fetch.")

    def deployment(self, options: DeployOptions, *, dry_run: bool, console: Console) -> Deployment:
        """Return a deploy to this platform, checked; only where it declares `can_deploy`.

        Args:
            options: as given.
            dry_run: only its commands are wanted, so that it needs no credentials.
            console: where to warn.

        Raises:
            UsageError: the options are wrong, or nothing can be deployed here.
            UnusableError: the platform cannot be used from this machine.
        """
        del options, dry_run, console
        raise UsageError(f"Nothing can be deployed to `{self.kind}`.")

    def checks(self, request: CheckRequest) -> Iterator[Check]:
        """Yield a line for each thing that a run there needs beyond this machine itself."""
        del request
        return iter(())
