"""Use the scenario's own hosts as the target: `--target none`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from ..core.console import Console
from ..recording.capabilities import Capabilities
from ..recording.run import TargetRecord
from .base import Platform, ScenarioNeeds, Target, TargetOptions


class Unnamed(Platform):
    """The hosts that the user classes name, with any protocol. These hosts are not checked before the load."""

    kind: ClassVar[str] = "none"
    capabilities: ClassVar[Capabilities] = Capabilities()
    has_own_address: ClassVar[bool] = False

    @contextmanager
    def open(self, options: TargetOptions, *, needs: ScenarioNeeds, console: Console) -> Iterator[Target]:
        """Do nothing, because there is no target to prepare."""
        del options, needs, console
        yield Target(TargetRecord(kind=self.kind, url=""))
