"""Implement `google.cloud.run.v2.Services` and `.Revisions`, so that a deploy starts the service on this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
from google.cloud import run_v2
from google.cloud.run_v2.types import revision as revision_types
from google.cloud.run_v2.types import service as service_types
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.longrunning import operations_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from ...core.errors import EmulatorError
from ..model import Emulator, Phase, ServiceKey, ServiceNotFoundError, ServiceStatus
from .fields import carried, is_googles
from .knative_form import SCALING
from .messages import (
    MessageError,
    check_fields,
    full_name,
    kept_of,
    key_of,
    labels_of,
    revision_message,
    service_message,
    template_of,
    traffic_of,
)
from .operations import Operations
from .policies import Policies
from .rpc import RefusedError, page_of, unary


class RunAdmin:
    """Cloud Run's admin API for one emulator."""

    def __init__(self, emulator: Emulator, operations: Operations, policies: Policies) -> None:
        self._emulator = emulator
        self._operations = operations
        self._policies = policies

    async def create(self, request: service_types.CreateServiceRequest) -> operations_pb2.Operation:
        """Start the service. The operation is done when its revision is ready or has failed."""
        _not_only_validated(request)
        key = key_of(f"{request.parent}/services/{request.service_id}")
        given = request.service
        template = template_of(given)
        check_fields(given)
        of_revision, of_service = kept_of(given)
        status = self._emulator.create_service(
            key,
            replace(template, kept=of_revision),
            labels=labels_of(given.labels),
            annotations=labels_of(given.annotations),
            traffic=traffic_of(given),
            kept=of_service,
        )
        return self._settling(status)

    async def update(self, request: service_types.UpdateServiceRequest) -> operations_pb2.Operation:
        """Replace the service's template. With an update mask, only the named fields change."""
        _not_only_validated(request)
        key = key_of(request.service.name)
        try:
            now = self._emulator.service(key)
        except ServiceNotFoundError:
            if not request.allow_missing:
                raise
            parent = full_name(key).partition("/services/")[0]
            return await self.create(
                service_types.CreateServiceRequest(parent=parent, service=request.service, service_id=key.name)
            )
        merged = _merged(request, service_message(now))
        template = template_of(merged)
        check_fields(merged)
        of_revision, of_service = kept_of(merged)
        # Annotations that only the Knative form has are kept. The numbers of instances come from `merged`.
        others = {name: text for name, text in now.annotations if is_googles(name) and name not in SCALING}
        status = self._emulator.update_service(
            key,
            replace(
                template,
                kept=carried(now.template.kept, of_revision, "v2"),
                cpu_target_ratio=now.template.cpu_target_ratio,
                concurrency_target_ratio=now.template.concurrency_target_ratio,
            ),
            labels=labels_of(merged.labels),
            annotations=labels_of({**others, **merged.annotations}),
            traffic=traffic_of(merged),
            kept=carried(now.kept, of_service, "v2"),
        )
        return self._settling(status)

    async def delete(self, request: service_types.DeleteServiceRequest) -> operations_pb2.Operation:
        """Stop the service. The operation is done when all processes of the service have ended."""
        _not_only_validated(request)
        key = key_of(request.name)
        message = run_v2.Service.pb(service_message(self._emulator.delete_service(key)))
        self._policies.forget(key)

        async def gone() -> Any:
            await self._emulator.deleted(key)
            return message

        return self._operations.start(_parent(key), now=message, result=gone())

    async def get(self, request: service_types.GetServiceRequest) -> run_v2.Service:
        """Return the current service."""
        return service_message(self._emulator.service(key_of(request.name)))

    async def listed(self, request: service_types.ListServicesRequest) -> service_types.ListServicesResponse:
        """Return the services of a location, one page at a time."""
        there = [status for status in self._emulator.services() if _parent(status.key) == request.parent]
        page, token = page_of(there, size=request.page_size, token=request.page_token)
        return service_types.ListServicesResponse(
            services=[service_message(status) for status in page], next_page_token=token
        )

    async def revision(self, request: revision_types.GetRevisionRequest) -> run_v2.Revision:
        """Return one revision."""
        status = self._emulator.service(key_of(request.name))
        for revision in status.revisions:
            if request.name == f"{full_name(status.key)}/revisions/{revision.name}":
                return revision_message(status, revision)
        raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Revision {request.name!r} does not exist.")

    async def revisions(self, request: revision_types.ListRevisionsRequest) -> revision_types.ListRevisionsResponse:
        """Return the revisions of a service, newest first, one page at a time."""
        status = self._emulator.service(key_of(request.parent))
        page, token = page_of(status.revisions[::-1], size=request.page_size, token=request.page_token)
        found = [revision_message(status, revision) for revision in page]
        return revision_types.ListRevisionsResponse(revisions=found, next_page_token=token)

    async def get_policy(self, request: iam_policy_pb2.GetIamPolicyRequest) -> policy_pb2.Policy:
        """Return who may call the service."""
        return self._policies.get(self._emulator.service(key_of(request.resource)).key)

    async def set_policy(self, request: iam_policy_pb2.SetIamPolicyRequest) -> policy_pb2.Policy:
        """Store who may call the service. On this machine everyone may call every service."""
        return self._policies.set(self._emulator.service(key_of(request.resource)).key, request.policy)

    async def test_permissions(
        self, request: iam_policy_pb2.TestIamPermissionsRequest
    ) -> iam_policy_pb2.TestIamPermissionsResponse:
        """Answer that the caller has every permission."""
        return iam_policy_pb2.TestIamPermissionsResponse(permissions=request.permissions)

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Return the gRPC handlers of both services."""
        services = {
            "CreateService": unary(self.create, service_types.CreateServiceRequest, operations_pb2.Operation),
            "UpdateService": unary(self.update, service_types.UpdateServiceRequest, operations_pb2.Operation),
            "DeleteService": unary(self.delete, service_types.DeleteServiceRequest, operations_pb2.Operation),
            "GetService": unary(self.get, service_types.GetServiceRequest, run_v2.Service),
            "ListServices": unary(self.listed, service_types.ListServicesRequest, service_types.ListServicesResponse),
            "GetIamPolicy": unary(self.get_policy, iam_policy_pb2.GetIamPolicyRequest, policy_pb2.Policy),
            "SetIamPolicy": unary(self.set_policy, iam_policy_pb2.SetIamPolicyRequest, policy_pb2.Policy),
            "TestIamPermissions": unary(
                self.test_permissions,
                iam_policy_pb2.TestIamPermissionsRequest,
                iam_policy_pb2.TestIamPermissionsResponse,
            ),
        }
        revisions = {
            "GetRevision": unary(self.revision, revision_types.GetRevisionRequest, run_v2.Revision),
            "ListRevisions": unary(
                self.revisions, revision_types.ListRevisionsRequest, revision_types.ListRevisionsResponse
            ),
        }
        return [
            grpc.method_handlers_generic_handler("google.cloud.run.v2.Services", services),
            grpc.method_handlers_generic_handler("google.cloud.run.v2.Revisions", revisions),
        ]

    def _settling(self, status: ServiceStatus) -> operations_pb2.Operation:
        async def settled() -> Any:
            done = await self._emulator.settled(status.key, status.generation)
            if done.phase is Phase.FAILED:
                raise EmulatorError(done.message)
            return run_v2.Service.pb(service_message(done))

        now = run_v2.Service.pb(service_message(status))
        return self._operations.start(_parent(status.key), now=now, result=settled())


def _merged(request: service_types.UpdateServiceRequest, now: run_v2.Service) -> run_v2.Service:
    if not request.update_mask.paths:
        return request.service
    merged_message = run_v2.Service.pb(now)
    mask = FieldMask(paths=request.update_mask.paths)
    mask.MergeMessage(
        run_v2.Service.pb(request.service), merged_message, replace_message_field=True, replace_repeated_field=True
    )
    merged: run_v2.Service = run_v2.Service.wrap(merged_message)
    return merged


def _not_only_validated(request: Any) -> None:
    if request.validate_only:
        raise MessageError("validate_only: the local Cloud Run cannot validate a service without deploying it.")


def _parent(key: ServiceKey) -> str:
    return f"projects/{key.project}/locations/{key.location}"
