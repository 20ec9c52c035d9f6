"""Use a URL that the user gave as the target of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from ..core.console import Console
from ..core.errors import TargetError
from ..recording.capabilities import Capabilities
from ..recording.folder import RunFolder
from ..recording.run import Run, TargetRecord
from .base import Platform, ScenarioNeeds, Target, TargetOptions
from .probe import Answer, Found, ask

ANSWER_WITHIN_S = 5.0
"""Timeout of the request before the load. If the answer takes longer, the service may only be slow, and the load will
show this."""

_REFUSED = {
    Found.NOTHING: "nothing answers there ({why}). Is the service running?",
    Found.NO_TLS: "does not use TLS ({why}). Is it http:// instead?",
    Found.TLS: "uses TLS. Is it https:// instead?",
}
_REFUSED_OVER_HTTP = {
    Found.HTTP2: "uses only HTTP/2 (gRPC?), but the scenario uses HTTP/1.1: write a user class for it (docs/users.md).",
    Found.OTHER: "answers, but not in HTTP, which the scenario's users need.",
}
_WARNED = {
    Found.SILENT: "accepts connections, but closed the connection for GET / without an answer",
    Found.SLOW: f"answers, but not to GET / within {ANSWER_WITHIN_S:g} s: it may still be starting",
}


class Url(Platform):
    """Any service that is already running."""

    kind: ClassVar[str] = "url"
    capabilities: ClassVar[Capabilities] = Capabilities()

    @contextmanager
    def open(self, options: TargetOptions, *, needs: ScenarioNeeds, console: Console) -> Iterator[Target]:
        """Check that a server answers, and warn if there is anything unusual.

        Raises:
            TargetError: no server answers, or the scenario cannot use the server.
        """
        assert options.url is not None
        if not options.url.startswith(("http://", "https://")):  # another protocol, which this function cannot check
            yield Target(TargetRecord(kind=self.kind, url=options.url))
            return
        answer = ask(options.url + "/", timeout_s=ANSWER_WITHIN_S)
        refusal, warnings = judged(answer, speaks_http=needs.speaks_http)
        if refusal:
            raise TargetError(f"`--target {options.url}`: {refusal}")
        for warning in warnings:
            console.warn(f"{options.url} {warning}")
        yield Target(TargetRecord(kind=self.kind, url=options.url))

    def fetch_metrics(self, folder: RunFolder, run: Run, options: TargetOptions, console: Console) -> None:
        """Fetch the series of the Cloud Run service that the options name.

        The URL of the target alone does not identify the service.
        """
        from .cloudrun.platform import CloudRun

        CloudRun().fetch_metrics(folder, run, options, console)


def judged(answer: Answer, *, speaks_http: bool) -> tuple[str, list[str]]:
    """Return why a scenario cannot run against the server that was found ("" if it can), and a warning for the user."""
    refused = _REFUSED | (_REFUSED_OVER_HTTP if speaks_http else {})
    if answer.found in refused:
        return refused[answer.found].format(why=answer.why), []
    said = [_WARNED[answer.found]] if speaks_http and answer.found in _WARNED else []
    if answer.untrusted:
        said.append(
            f"answers, with a certificate that is not trusted here ({answer.untrusted}): set SSL_CERT_FILE "
            "(HttpUser: REQUESTS_CA_BUNDLE) to the certificate of its authority, or `insecure = True` on the user "
            "class (HttpUser: `self.client.verify = False`)."
        )
    return "", said
