"""Check a Cloud Run service before a long run, and name the commands that fix missing or risky settings."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...core import cloud_run
from ...core.checks import Check, Mark
from ...core.errors import CloudError, UsageError
from ...core.server_timing import server_us
from .calls import call, on_service
from .clients import Clients
from .describe import Described, describe, place_of
from .tokens import REFRESH_BEFORE_S, IdTokens

if TYPE_CHECKING:
    from ...recording.run import Limits
    from .calls import RetryPolicy

FAR_MS = 20.0
"""A longer round trip means that the service is in another region or that the connection is slow. A longer round trip
makes every measured latency longer."""

ROUND_TRIPS = 3
ANSWER_WITHIN_S = 60.0

LOOK_AT_PRICES = "python lt.py run --prices FILE …, with the prices of https://cloud.google.com/run/pricing"

INVOKE = "run.routes.invoke"

PERMISSIONS = {
    INVOKE: "roles/run.invoker",
    "run.services.get": "roles/run.viewer",
    "run.services.getIamPolicy": "roles/run.viewer",
}
"""The permissions on the service that a run needs, and the roles that grant them
(https://cloud.google.com/run/docs/reference/iam/roles). To read the series, roles/monitoring.viewer on the project is
needed; this is covered by the check of the Monitoring API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCheckRequest:
    """The service to check, and how it will be used.

    Attributes:
        service: the service's name or URL.
        project: the service's project; None means the project of the credentials.
        region: the service's region; None if the URL contains the region.
        endpoint: the address of a local Cloud Run that is used instead of Google.
        run_s: the planned length of the run.
        path: the path to which the payload is posted.
        payload: the body of a real request.
    """

    service: str
    project: str | None
    region: str | None
    endpoint: str | None
    run_s: float
    path: str
    payload: object


def check_service(request: ServiceCheckRequest, *, retry_policy: RetryPolicy | None = None) -> Iterator[Check]:
    """Yield a check for each requirement of a run against the service.

    If the remaining requirements cannot be checked, end early.
    """
    clients = Clients(request.endpoint)
    if request.endpoint is None:
        check = _credentials(clients)
        yield check
        if check.mark is Mark.BAD:
            return
    try:
        project, region = place_of(request.service, project=request.project, region=request.region, clients=clients)
        yield Check(Mark.GOOD, "project", f"{project}, region {region}")
        found = describe(
            request.service, project=project, region=region, endpoint=request.endpoint, retry_policy=retry_policy
        )
    except UsageError as error:
        yield Check(Mark.BAD, "project", str(error), "gcloud config set project PROJECT; add --region REGION")
        return
    except CloudError as error:
        yield Check(Mark.BAD, "Cloud Run API", str(error), error.cure)
        return
    yield Check(Mark.GOOD, "Cloud Run API", f"describes {found.target.service}, revision {found.target.revision}")
    yield check_permissions(found, clients, retry_policy=retry_policy)
    yield _metrics(found, clients, retry_policy)
    yield _ready(found)
    yield from check_limits(found.target.limits, found)
    token, check = _token(found, request.run_s)
    yield check
    if check.mark is not Mark.BAD:
        yield from check_answers(found.target.url + request.path, request.payload, token, cure=_invoker(found))


def check_permissions(found: Described, clients: Clients, *, retry_policy: RetryPolicy | None = None) -> Check:
    """Check which of PERMISSIONS this machine's credentials have on the service."""
    from google.api_core.exceptions import NotFound
    from google.iam.v1.iam_policy_pb2 import TestIamPermissionsRequest

    service, project, region = str(found.target.service), str(found.target.project), str(found.target.region)
    purpose = on_service(
        "asking about permissions on", service, project=project, region=region, role="roles/run.viewer"
    )
    name = f"projects/{project}/locations/{region}/services/{service}"
    request = TestIamPermissionsRequest(resource=name, permissions=list(PERMISSIONS))
    try:
        held = call(
            clients.services.test_iam_permissions, request, purpose=purpose, retry_policy=retry_policy
        ).permissions
    except NotFound as error:
        return Check(Mark.BAD, "permissions", str(error), purpose.look)
    except CloudError as error:
        return Check(Mark.BAD, "permissions", str(error), error.cure)
    missing = [
        permission
        for permission in PERMISSIONS
        if permission not in held and not (permission == INVOKE and found.public)
    ]
    if not missing:
        return Check(Mark.GOOD, "permissions", f"has what a run needs: {', '.join(PERMISSIONS)}")
    grant = _invoker(found).replace(PERMISSIONS[INVOKE], PERMISSIONS[missing[0]])
    return Check(Mark.BAD if INVOKE in missing else Mark.RISKY, "permissions", f"lacks {', '.join(missing)}", grant)


def check_limits(limits: Limits, found: Described) -> Iterator[Check]:
    """Yield a check for each of the service's limits, with a sentence about each risky limit."""
    again = f"gcloud run services update {found.target.service} {_place(found)}"
    if found.target.capabilities.on_this_machine:
        again = f"python lt.py deploy --service {found.target.service} {_place(found)} --endpoint HOST:PORT"
    if limits.min_instances:
        yield Check(
            Mark.GOOD, "min instances", f"{limits.min_instances}: no cold start at the beginning, but billed while idle"
        )
    else:
        said = "0: after 15 idle minutes the first requests wait for an instance to start"
        yield Check(Mark.RISKY, "min instances", said, f"{again} --min-instances 1")
    if limits.max_instances is None:
        said = "none set: a mistake in the load may start, and bill, as many instances as the project allows"
        yield Check(Mark.RISKY, "max instances", said, f"{again} --max-instances {cloud_run.DEPLOYED_MAX_INSTANCES}")
    else:
        yield Check(
            Mark.GOOD,
            "max instances",
            f"{limits.max_instances}: more requests than these can handle wait in a queue, and then get 429",
        )
    cpu, concurrency = limits.cpu or cloud_run.CPU, limits.concurrency or cloud_run.CONCURRENCY
    if concurrency > 20 * cpu:
        queues = "a CPU-bound service queues requests inside the instance before it scales out"
        said = f"{concurrency} on {cpu:g} vCPU: {queues}"
        yield Check(Mark.RISKY, "concurrency", said, f"{again} --concurrency {max(1, round(8 * cpu))}")
    else:
        yield Check(Mark.GOOD, "concurrency", f"{concurrency} on {cpu:g} vCPU")
    if limits.cpu_boost:
        yield Check(Mark.GOOD, "CPU boost", "on: a starting instance gets more CPU")
    else:
        yield Check(Mark.RISKY, "CPU boost", "off: every cold start takes longer", f"{again} --cpu-boost")
    for sentence in limits.unpriced():
        yield Check(Mark.RISKY, "price", f"{sentence}; the estimate uses other prices", LOOK_AT_PRICES)
    if found.probe == "tcp":
        said = "TCP: passes as soon as the port opens, so the service must load its model before it listens"
        yield Check(Mark.RISKY, "startup probe", said, _probe_cure(found))
    else:
        yield Check(Mark.GOOD, "startup probe", f"{found.probe}: the service itself says when it is ready")


def _credentials(clients: Clients) -> Check:
    try:
        return Check(Mark.GOOD, "credentials", type(clients.credentials).__name__)
    except CloudError as error:
        return Check(Mark.BAD, "credentials", str(error), error.cure)


def _metrics(found: Described, clients: Clients, retry_policy: RetryPolicy | None) -> Check:
    from .metrics import known_metrics

    try:
        known = known_metrics(clients, found.target, retry_policy=retry_policy)
    except CloudError as error:
        return Check(Mark.BAD, "Monitoring API", str(error), error.cure)
    return Check(Mark.GOOD, "Monitoring API", f"{len(known)} metrics of Cloud Run can be read")


def _ready(found: Described) -> Check:
    if found.ready:
        return Check(Mark.GOOD, "service", f"ready at {found.target.url}")
    said = f"its latest revision is not ready: {found.message or 'no reason given'}"
    return Check(Mark.BAD, "service", said, f"gcloud run services logs read {found.target.service} {_place(found)}")


def _token(found: Described, run_s: float) -> tuple[str | None, Check]:
    if found.public or not found.target.capabilities.needs_token:
        return None, Check(Mark.GOOD, "ID token", "not needed: everyone may call the service")
    try:
        token = IdTokens(found.audience).token()
    except CloudError as error:
        return None, Check(Mark.BAD, "ID token", str(error), "gcloud auth login")
    left_s = token.expires_s - time.time()
    if left_s >= run_s:
        return token.text, Check(
            Mark.GOOD, "ID token", f"is valid for {left_s / 60:.0f} min, and the run takes {run_s / 60:.0f} min"
        )
    said = (
        f"is valid for {left_s / 60:.0f} min, less than the {run_s / 60:.0f} min of the run: it is renewed "
        f"{REFRESH_BEFORE_S / 60:.0f} min before it expires"
    )
    return token.text, Check(Mark.GOOD, "ID token", said)


def check_answers(url: str, payload: object, token: str | None, *, cure: str) -> Iterator[Check]:
    """Post real requests over one connection, and yield checks of the answers and of the service's distance.

    The requests use no proxy, even if the environment names one, because the load does not use a proxy either. A
    redirect is not followed. The first request may start an instance. The distance (the round trip) is therefore the
    shortest time of the other requests minus the server time (`Server-Timing`). The time to connect does not show the
    distance, because the connection ends at Google's nearest edge.

    Args:
        url: the URL to which requests are posted.
        payload: the body of a real request.
        token: the token of a private service.
        cure: the command that lets this machine's user call the service.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    shown = f"curl -i -X POST {url} -H 'Content-Type: application/json' -d @payload.json"
    trips_ms: list[float] = []
    reports_time = False
    with closing(kind(parts.netloc, timeout=ANSWER_WITHIN_S)) as connection:
        try:
            for number in range(1 + ROUND_TRIPS):
                answer = _post(connection, parts.path or "/", payload, token)
                if number == 0:
                    yield _payload(answer, cure if answer.status in (401, 403) else shown)
                    if not answer.is_ok:
                        return
                else:
                    trips_ms.append(answer.took_ms - (answer.server_ms or 0.0))
                    reports_time = answer.server_ms is not None
        except (OSError, http.client.HTTPException) as error:
            if not trips_ms:
                yield Check(Mark.BAD, "payload", f"no answer: {error or type(error).__name__}", shown)
                return
    yield _round_trip(min(trips_ms), reports_time=reports_time)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    took_ms: float
    server_ms: float | None
    body: str

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300


def _post(connection: http.client.HTTPConnection, path: str, payload: object, token: str | None) -> _Answer:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    begun_s = time.perf_counter()
    connection.request("POST", path, json.dumps(payload).encode(), headers)
    answer = connection.getresponse()
    body = answer.read()
    took_ms = (time.perf_counter() - begun_s) * 1000
    return _Answer(
        status=answer.status,
        took_ms=took_ms,
        server_ms=_server_ms(answer.headers.get("Server-Timing", "")),
        body=body[:200].decode(errors="replace"),
    )


def _server_ms(timing: str) -> float | None:
    try:
        duration_us = server_us(timing)
    except ValueError:
        return None
    return None if duration_us is None else duration_us / 1000


def _payload(answer: _Answer, cure: str) -> Check:
    if answer.is_ok:
        return Check(Mark.GOOD, "payload", f"answered {answer.status} in {answer.took_ms / 1000:.2f} s")
    return Check(Mark.BAD, "payload", f"answered {answer.status}: {answer.body}", cure)


def _round_trip(least_ms: float, *, reports_time: bool) -> Check:
    if least_ms <= FAR_MS:
        return Check(Mark.GOOD, "round trip", f"{least_ms:.1f} ms: the generator is close to the service")
    if not reports_time:
        said = f"at most {least_ms:.0f} ms: this includes the service's own time, which its answers do not report"
        return Check(Mark.GOOD, "round trip", said)
    said = f"{least_ms:.0f} ms: the generator is far from the service, and every latency includes this distance"
    return Check(Mark.RISKY, "round trip", said, "run the generator in the service's region (docs/distributed.md)")


def _invoker(found: Described) -> str:
    """Return the command that permits someone to call the service."""
    binding = f"gcloud run services add-iam-policy-binding {found.target.service} {_place(found)}"
    return f"{binding} --member=user:YOU --role={PERMISSIONS[INVOKE]}"


def _probe_cure(found: Described) -> str:
    return f"gcloud run services update {found.target.service} {_place(found)} --startup-probe httpGet.path=/healthz"


def _place(found: Described) -> str:
    return f"--project {found.target.project} --region {found.target.region}"
