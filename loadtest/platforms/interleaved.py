"""Load two targets in one run, with half of the users on each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import ClassVar

from ..core.console import Console
from ..core.errors import UsageError
from ..core.token_socket import of_side
from ..recording.capabilities import Capabilities
from ..recording.frames import SIDES
from ..recording.run import SideRecord, TargetRecord
from .base import Platform, ScenarioNeeds, Target, TargetOptions


class Interleaved(Platform):
    """Two targets of other platforms. The run's host consists of both URLs, and users/sides.py separates them again.

    A platform's series are not fetched, because a run has one file for them, in which those of two services would mix.
    """

    kind: ClassVar[str] = "ab"
    capabilities: ClassVar[Capabilities] = Capabilities()

    @contextmanager
    def open(self, options: TargetOptions, *, needs: ScenarioNeeds, console: Console) -> Iterator[Target]:
        """Make both targets ready.

        Raises:
            UsageError: both have the same address, or a scenario without HTTP has no host to split.
        """
        from .registry import platform_of

        with ExitStack() as stack:
            opened = [
                stack.enter_context(platform_of(side.platform).open(side.options, needs=needs, console=console))
                for side in options.sides
            ]
            first, second = (target.record.url for target in opened)
            if first == second:
                raise UsageError(
                    f"Both sides are {first}: a comparison of a service with itself needs two copies of it."
                )

            here = all(target.record.capabilities.on_this_machine for target in opened)
            yield Target(
                TargetRecord(kind=self.kind, url=f"{first} {second}", capabilities=Capabilities(on_this_machine=here)),
                environment={
                    of_side(name, mark): value
                    for mark, target in zip(SIDES[1:], opened, strict=True)
                    for name, value in target.environment.items()
                },
                sides=tuple(
                    SideRecord(name=side.name, target=target.record)
                    for side, target in zip(options.sides, opened, strict=True)
                ),
            )
