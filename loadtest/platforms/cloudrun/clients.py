"""Create Google's own clients, for Google or for a local endpoint with the same protocol."""

from __future__ import annotations

import functools
import ipaddress
import socket
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...core.errors import CloudError, UsageError

if TYPE_CHECKING:  # these imports take a second, so only the verbs that use the cloud execute them
    from google.cloud.monitoring_v3 import MetricServiceClient
    from google.cloud.run_v2 import RevisionsClient, ServicesClient

LOCAL_PROJECT, LOCAL_REGION = "local", "local"
"""Project and region of a local endpoint if the user gives none."""

RENEW_WITHIN_S = 20.0

LOGIN = "gcloud auth application-default login"


class Clients:
    """Google's clients for one endpoint. Each client is created when it is first used.

    With `endpoint` (`HOST:PORT` on loopback) the connection is not encrypted; the clients' own `api_endpoint` option
    always requires TLS. The clients send `token`. By default this is the access token that the emulator wrote for this
    user. Without an endpoint, the clients are Google's unmodified clients with the credentials of this machine
    (Application Default Credentials).
    """

    def __init__(self, endpoint: str | None = None, *, token: str | None = None) -> None:
        self.endpoint = _loopback(endpoint) if endpoint else None
        self._token = token

    @cached_property
    def services(self) -> ServicesClient:
        """google.cloud.run.v2.Services."""
        from google.cloud.run_v2 import ServicesClient
        from google.cloud.run_v2.services.services.transports import ServicesGrpcTransport

        return ServicesClient(**self._how(ServicesGrpcTransport))

    @cached_property
    def revisions(self) -> RevisionsClient:
        """google.cloud.run.v2.Revisions."""
        from google.cloud.run_v2 import RevisionsClient
        from google.cloud.run_v2.services.revisions.transports import RevisionsGrpcTransport

        return RevisionsClient(**self._how(RevisionsGrpcTransport))

    @cached_property
    def metrics(self) -> MetricServiceClient:
        """google.monitoring.v3.MetricService."""
        from google.cloud.monitoring_v3 import MetricServiceClient
        from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

        return MetricServiceClient(**self._how(MetricServiceGrpcTransport))

    @cached_property
    def project(self) -> str | None:
        """The project of this machine's credentials; None if the credentials name no project."""
        return LOCAL_PROJECT if self.endpoint else self._credentials.project

    @cached_property
    def credentials(self) -> Any:
        """The credentials of Google's clients, which Google has just accepted.

        The credentials are renewed once here, because gRPC reports an expired login as UNAVAILABLE. Such an error would
        be retried for a minute and would then look like a network problem.

        Raises:
            CloudError: this machine has no credentials, the credentials have expired, or Google cannot be reached; the
            message says what to do.
        """
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.auth.transport.requests import Request

        own = self._credentials.own
        try:
            own.refresh(functools.partial(Request(), timeout=RENEW_WITHIN_S))
        except TransportError as error:
            raise CloudError(
                f"Google could not be reached to renew this machine's credentials ({error}). Check the network, and "
                "the proxy if you use one."
            ) from error
        except GoogleAuthError as error:
            raise CloudError(
                f"Google no longer accepts this machine's credentials: run `{LOGIN}`. ({error})", cure=LOGIN
            ) from error
        return own

    @cached_property
    def _credentials(self) -> _Credentials:
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError

        try:
            own, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        except DefaultCredentialsError as error:
            raise CloudError(f"This machine has no Google credentials: run `{LOGIN}`. ({error})", cure=LOGIN) from error
        return _Credentials(own, project)

    @cached_property
    def _channel(self) -> Any:
        import grpc

        host, _, port = str(self.endpoint).rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        except OSError as error:
            raise CloudError(
                f"`--endpoint {self.endpoint}`: nothing listens there ({error.strerror}). Start a local Cloud Run with "
                "`python lt.py emulate`, which prints its address; or leave out the option to use Google.",
                cure="python lt.py emulate",
            ) from error
        # gRPC would use the proxy in `http_proxy` even for this machine's own ports.
        channel = grpc.insecure_channel(self.endpoint, options=[("grpc.enable_http_proxy", 0)])
        token = self._token or _token_of(int(port))
        return channel if token is None else grpc.intercept_channel(channel, _bearer(token))

    def _how(self, transport: Any) -> dict[str, Any]:
        if self.endpoint:
            return {"transport": transport(channel=self._channel)}
        return {"credentials": self.credentials}


def _token_of(port: int) -> str | None:
    from ...emulator.folders import TOKEN_FILE_VARIABLE, token_of

    try:
        return token_of(port)
    except OSError as error:
        raise CloudError(
            f"{TOKEN_FILE_VARIABLE} names {error.filename}, which cannot be read ({error.strerror}): correct or unset "
            "this variable."
        ) from error


def _bearer(token: str) -> Any:
    """Return an interceptor that adds the token to each call. gRPC's own call credentials require TLS."""
    import grpc

    class Bearer(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
            metadata = [*(details.metadata or ()), ("authorization", f"Bearer {token}")]
            return continuation(details._replace(metadata=metadata), request)

    return Bearer()


@dataclass(frozen=True, slots=True)
class _Credentials:
    own: Any
    project: str | None


def _loopback(endpoint: str) -> str:
    """Return `endpoint` as HOST:PORT.

    Raises:
        UsageError: the endpoint is not on loopback (the connection is not encrypted), or has no port.
    """
    bare = endpoint.removeprefix("http://").rstrip("/")
    host, _, port = bare.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"`--endpoint {endpoint}`: must be HOST:PORT, as `lt.py emulate` prints it.")
    if host != "localhost" and not _is_loopback(host.strip("[]")):
        raise UsageError(
            f"`--endpoint {endpoint}`: must be on loopback (127.0.0.1, ::1, localhost), because the connection is "
            "not encrypted. Leave out the option to use Google."
        )
    return bare


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
