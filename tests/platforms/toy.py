"""A platform in one file: the counting server of the tests, called toy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from loadtest.core.console import Console
from loadtest.core.errors import UsageError
from loadtest.platforms.base import Platform, ScenarioNeeds, Target, TargetOptions
from loadtest.recording.capabilities import Capabilities
from loadtest.recording.folder import RunFolder
from loadtest.recording.run import Run, TargetRecord
from tests.conftest import counting_server


class Toy(Platform):
    kind = "toy"
    capabilities = Capabilities(on_this_machine=True, scales=True)

    @contextmanager
    def open(self, options: TargetOptions, *, needs: ScenarioNeeds, console: Console) -> Iterator[Target]:
        def collect(folder: RunFolder, run: Run) -> None:
            console.say(f"toy counted {server.count()}")

        with counting_server() as server:
            record = TargetRecord(kind=self.kind, url=server.url, capabilities=self.capabilities)
            yield Target(record, collect=collect)

    def fetch_metrics(self, folder: RunFolder, run: Run, options: TargetOptions, console: Console) -> None:
        raise UsageError("toys keep no series")
