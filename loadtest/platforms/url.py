"""Take a URL that the user named as the target of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from ..core.console import Console
from ..core.errors import TargetError
from ..recording.capabilities import Capabilities
from ..recording.folder import RunFolder
from ..recording.run import Run, TargetRecord
from .base import Platform, Target, TargetOptions
from .probe import no_answer

ANSWER_WITHIN_S = 10.0


class Url(Platform):
    """Any service that is running already."""

    kind: ClassVar[str] = "url"
    capabilities: ClassVar[Capabilities] = Capabilities()

    @contextmanager
    def open(self, options: TargetOptions, *, limits: Mapping[str, object], console: Console) -> Iterator[Target]:
        """Make sure that something answers.

        Raises:
            TargetError: nothing does.
        """
        del limits, console
        assert options.url is not None
        if not options.url.startswith(("http://", "https://")):  # another protocol: nobody here speaks it
            yield Target(TargetRecord(kind=self.kind, url=options.url))
            return
        why = no_answer(options.url + "/", timeout_s=ANSWER_WITHIN_S)
        if why is not None:
            raise TargetError(f"`--target {options.url}`: nothing answers there ({why}). Is the service running?")
        yield Target(TargetRecord(kind=self.kind, url=options.url))

    def fetch_metrics(self, folder: RunFolder, run: Run, options: TargetOptions, console: Console) -> None:
        """Fetch the series of the Cloud Run service that the options name: its URL alone does not."""
        from .cloudrun.platform import CloudRun

        CloudRun().fetch_metrics(folder, run, options, console)
