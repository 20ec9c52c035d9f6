"""Store the IAM policies of services. The policies are not enforced."""

from __future__ import annotations

from google.iam.v1.policy_pb2 import Policy

from ..model import ServiceKey


class Policies:
    """The policy of each service.

    All APIs of an emulator share one such object, so that they return the same policies.
    """

    def __init__(self) -> None:
        self._policies: dict[ServiceKey, Policy] = {}
        self._changes = 0

    def get(self, key: ServiceKey) -> Policy:
        """Return the service's policy; an empty policy if none was set."""
        return self._policies.get(key, Policy(version=1, etag=b"0"))

    def set(self, key: ServiceKey, policy: Policy) -> Policy:
        """Replace the service's policy and return it with its new etag."""
        self._changes += 1
        kept = Policy(version=1, etag=str(self._changes).encode())
        kept.bindings.extend(policy.bindings)
        self._policies[key] = kept
        return kept

    def forget(self, key: ServiceKey) -> None:
        """Drop the policy of a deleted service."""
        self._policies.pop(key, None)
