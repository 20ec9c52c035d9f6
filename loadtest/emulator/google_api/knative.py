"""Answer the Knative v1 REST form of Cloud Run, which gcloud uses."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
from google.iam.v1.policy_pb2 import Policy
from google.protobuf import json_format
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from ..model import Emulator, ServiceKey, ServiceStatus
from .fields import carried
from .knative_form import kept_of, labels_of, parse_service, revision_form, service_form
from .messages import MessageError
from .policies import Policies
from .rpc import RefusedError, code_of

HOST = "run.local"
"""The host that gcloud is configured to use (`CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN=http://run.local/`). gcloud prepends
the region, as `europe-west2-run.local`; the proxy setting sends requests for such names to this port."""

SERVICE_USAGE_HOST = "serviceusage.local"
"""The host that gcloud is configured to use by `CLOUDSDK_API_ENDPOINT_OVERRIDES_SERVICEUSAGE`."""

BASE = "/apis/serving.knative.dev/v1/namespaces/{project}"

_SELECTOR = re.compile(r"serving\.knative\.dev/service\s*=\s*([a-z0-9-]+)")

_HTTP = {
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
}

Answer = Callable[[Request], Awaitable[dict[str, Any]]]


def routes(emulator: Emulator, policies: Policies | None = None) -> list[BaseRoute]:
    """Return the routes of the REST form for one emulator.

    Args:
        emulator: the emulator to serve; its methods are called only on the running loop.
        policies: shared with the gRPC surfaces when given, so that both return the same policies.
    """
    return Knative(emulator, policies or Policies()).routes()


class Knative:
    """The REST form of one emulator."""

    def __init__(self, emulator: Emulator, policies: Policies) -> None:
        self._emulator = emulator
        self._policies = policies

    async def listed(self, request: Request) -> dict[str, Any]:
        """Return the services of a project in one region, or in all regions (`-`)."""
        items = [service_form(status) for status in self._of_place(request)]
        return {"apiVersion": "serving.knative.dev/v1", "kind": "ServiceList", "metadata": {}, "items": items}

    async def create(self, request: Request) -> dict[str, Any]:
        """Start the service; gcloud polls until it is ready."""
        body = await request.body()
        form = parse_service(body)
        of_revision, of_service = kept_of(body)
        project, location = _place(request)
        if not form.metadata.name:
            raise MessageError("metadata.name: must name the service.")
        status = self._emulator.create_service(
            ServiceKey(form.metadata.name, project, location),
            replace(form.template(), kept=of_revision),
            labels=labels_of(form.metadata.labels),
            annotations=labels_of(form.metadata.annotations),
            traffic=form.traffic(),
            kept=of_service,
        )
        return service_form(status)

    async def replace(self, request: Request) -> dict[str, Any]:
        """Replace the service's template."""
        body = await request.body()
        form, now = parse_service(body), self._emulator.service(_key(request))
        of_revision, of_service = kept_of(body)
        status = self._emulator.update_service(
            _key(request),
            replace(form.template(), kept=carried(now.template.kept, of_revision, "v1")),
            labels=labels_of(form.metadata.labels),
            annotations=labels_of(form.metadata.annotations),
            traffic=form.traffic(),
            kept=carried(now.kept, of_service, "v1"),
        )
        return service_form(status)

    async def get(self, request: Request) -> dict[str, Any]:
        """Return the current service."""
        return service_form(self._emulator.service(_key(request)))

    async def delete(self, request: Request) -> dict[str, Any]:
        """Stop the service."""
        key = _key(request)
        self._emulator.delete_service(key)
        self._policies.forget(key)
        return {"apiVersion": "v1", "kind": "Status", "status": "Success"}

    async def revisions(self, request: Request) -> dict[str, Any]:
        """Return the revisions of a namespace, newest first; `labelSelector` may name their service."""
        selected = _SELECTOR.search(request.query_params.get("labelSelector", ""))
        items = [
            revision_form(status, revision)
            for status in self._of_place(request)
            if not selected or status.key.name == selected[1]
            for revision in reversed(status.revisions)
        ]
        return {"apiVersion": "serving.knative.dev/v1", "kind": "RevisionList", "metadata": {}, "items": items}

    async def revision(self, request: Request) -> dict[str, Any]:
        """Return one revision."""
        name = request.path_params["revision"]
        for status in self._of_place(request):
            for revision in status.revisions:
                if revision.name == name:
                    return revision_form(status, revision)
        raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Revision '{name}' was not found.")

    async def get_policy(self, request: Request) -> dict[str, Any]:
        """Return who may call the service."""
        return _policy_form(self._policies.get(self._emulator.service(_key(request)).key))

    async def set_policy(self, request: Request) -> dict[str, Any]:
        """Store who may call the service."""
        given = (await _json(request)).get("policy", {})
        try:
            policy = json_format.ParseDict(given, Policy(), ignore_unknown_fields=True)
        except json_format.ParseError as error:
            raise MessageError(f"policy: {error}.") from None
        return _policy_form(self._policies.set(self._emulator.service(_key(request)).key, policy))

    async def test_permissions(self, request: Request) -> dict[str, Any]:
        """Answer that the caller has every permission."""
        return {"permissions": (await _json(request)).get("permissions", [])}

    async def api_enabled(self, request: Request) -> dict[str, Any]:
        """Answer that Cloud Run's API is enabled; gcloud asks Service Usage before it deploys."""
        project, api = request.path_params["project"], request.path_params["api"]
        return {"name": f"projects/{project}/services/{api}", "state": "ENABLED", "config": {"name": api}}

    def routes(self) -> list[BaseRoute]:
        """Return the routes that gcloud uses: services, revisions, policies (two paths) and enabled APIs."""
        by_location = "/v1/projects/{project}/locations/{location}/services/{service}"
        policies = [
            _route(f"{base}:{verb}", method, answer)
            for base in (BASE + "/services/{service}", by_location)
            for verb, method, answer in (
                ("getIamPolicy", "GET", self.get_policy),
                ("setIamPolicy", "POST", self.set_policy),
                ("testIamPermissions", "POST", self.test_permissions),
            )
        ]
        return [
            *policies,
            _route("/v1/projects/{project}/locations/{location}/services", "GET", self.listed),
            _route(BASE + "/services", "GET", self.listed),
            _route(BASE + "/services", "POST", self.create),
            _route(BASE + "/services/{service}", "GET", self.get),
            _route(BASE + "/services/{service}", "PUT", self.replace),
            _route(BASE + "/services/{service}", "DELETE", self.delete),
            _route(BASE + "/revisions", "GET", self.revisions),
            _route(BASE + "/revisions/{revision}", "GET", self.revision),
            _route("/v1/projects/{project}/services/{api}", "GET", self.api_enabled),
        ]

    def _of_place(self, request: Request) -> list[ServiceStatus]:
        project, location = _place(request)
        return [
            status
            for status in self._emulator.services()
            if status.key.project == project and location in ("-", status.key.location)
        ]


def _route(path: str, method: str, answer: Answer) -> Route:
    """Return a route that answers with `answer`'s object as JSON, and with errors in Google's form."""

    async def endpoint(request: Request) -> JSONResponse:
        try:
            return JSONResponse(await answer(request))
        except Exception as error:
            code = code_of(error)
            status = _HTTP.get(code)
            if status is None:
                raise  # this is a bug in our code: the server logs the traceback and answers 500
            return JSONResponse({"error": {"code": status, "message": str(error), "status": code.name}}, status)

    return Route(path, endpoint, methods=[method])


async def _json(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise MessageError(f"The body is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise MessageError("The body is not a JSON object.")
    return body


def _place(request: Request) -> tuple[str, str]:
    """Return project and location. The location comes from the path, or else from the host, where gcloud puts it."""
    project, location = request.path_params["project"], request.path_params.get("location")
    if location is None:
        host = request.headers.get("host", "").partition(":")[0]
        region = host.removesuffix(f"-{HOST}")
        location = region if region != host else "local"
    return project, location


def _key(request: Request) -> ServiceKey:
    return ServiceKey(request.path_params["service"], *_place(request))


def _policy_form(policy: Policy) -> dict[str, Any]:
    form: dict[str, Any] = json_format.MessageToDict(policy)
    return {"version": 1, **form}
