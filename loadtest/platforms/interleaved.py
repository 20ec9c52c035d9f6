"""Send load to two targets in one run, with half of the users on each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import ClassVar

from ..core.addresses import same_service
from ..core.console import Console
from ..core.errors import CloudError, UsageError
from ..core.token_socket import of_side
from ..recording.capabilities import Capabilities
from ..recording.folder import RunFolder
from ..recording.frames import SIDES
from ..recording.run import Run, SideRecord, TargetRecord
from ..recording.sides import sides_of
from .base import Platform, ScenarioNeeds, Target, TargetOptions


class Interleaved(Platform):
    """A pair of targets of other platforms.

    The host of the run is a text with both URLs, which users/sides.py separates again.
    """

    kind: ClassVar[str] = "ab"
    capabilities: ClassVar[Capabilities] = Capabilities()

    @contextmanager
    def open(self, options: TargetOptions, *, needs: ScenarioNeeds, console: Console) -> Iterator[Target]:
        """Make both targets ready.

        Raises:
            UsageError: both targets are the same service.
        """
        from .registry import platform_of

        _require_two([side.options.url for side in options.sides])  # before anything is sent to the targets
        with ExitStack() as stack:
            opened = [
                stack.enter_context(platform_of(side.platform).open(side.options, needs=needs, console=console))
                for side in options.sides
            ]
            first, second = (target.record.url for target in opened)
            _require_two([first, second])

            def collect(folder: RunFolder, run: Run) -> None:
                for target, side in zip(opened, sides_of(folder, run), strict=True):
                    target.collect(*side)

            here = all(target.record.capabilities.on_this_machine for target in opened)
            yield Target(
                TargetRecord(kind=self.kind, url=f"{first} {second}", capabilities=Capabilities(on_this_machine=here)),
                environment={
                    of_side(name, mark): value
                    for mark, target in zip(SIDES[1:], opened, strict=True)
                    for name, value in target.environment.items()
                },
                collect=collect,
                sides=tuple(
                    SideRecord(name=side.name, target=target.record)
                    for side, target in zip(options.sides, opened, strict=True)
                ),
            )

    def fetch_metrics(self, folder: RunFolder, run: Run, options: TargetOptions, console: Console) -> None:
        """Fetch the series of both sides again. If one side has none, those of the other side are fetched nevertheless.

        Raises:
            UsageError: `options` name one service for both sides, or a side's platform has no series.
            CloudError: Google refused or did not answer, or has no point of a side.
        """
        from .registry import platform_of

        if options.service is not None:
            raise UsageError(
                f"`--service {options.service}`: {run.id} ran against two targets, whose services are in its record."
            )
        failed: list[CloudError] = []
        for side, record in sides_of(folder, run):
            try:
                platform_of(record.target.kind).fetch_metrics(side, record, options, console)
            except CloudError as error:
                failed.append(error)
        if failed:
            raise failed[0]


def _require_two(urls: Sequence[str | None]) -> None:
    """Check that the two URLs lead to two services. A side that has no URL yet is None.

    Raises:
        UsageError: the two URLs lead to the same service.
    """
    first, second = urls
    if first and second and same_service(first, second):
        both = first if first == second else f"one service ({first} and {second})"
        raise UsageError(f"Both sides are {both}: to compare a service with itself, start two copies of the service.")
