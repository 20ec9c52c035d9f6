"""Call Google's APIs within a time limit, and convert each failure to a sentence with the command that fixes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ...core.access import NO_TOKEN_REASON
from ...core.errors import CloudError
from .clients import LOGIN

Answer = TypeVar("Answer")

RUN_API = "run.googleapis.com"
MONITORING_API = "monitoring.googleapis.com"

ROLES = {
    "iam.serviceaccounts.actAs": "roles/iam.serviceAccountUser",
    "artifactregistry.repositories.downloadArtifacts": "roles/artifactregistry.reader",
}
"""Roles for permissions that the role of a call does not include. A deploy needs these roles, because it acts as an
account and reads an image."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long one call may take: `attempt_s` for one answer, `retry_s` for all attempts together.

    Google's clients retry a dead server for 90 s regardless of `timeout`, so both times are always set.
    """

    attempt_s: float = 20.0
    retry_s: float = 60.0


@dataclass(frozen=True, slots=True)
class CallContext:
    """The purpose of a call, which is used to write its error messages.

    Attributes:
        doing: a phrase such as "reading the metrics of `ml`".
        api: the API that must be enabled.
        project: the project that is called.
        role: the role that grants the permission.
        look: the command that lists existing objects, for NOT_FOUND.
    """

    doing: str
    api: str
    project: str
    role: str
    look: str


def on_service(
    doing: str, service: str, *, project: str, region: str, role: str = "roles/run.developer"
) -> CallContext:
    """Return the purpose of a call about a service. `role` grants the permission."""
    return CallContext(
        doing=f"{doing} service {service} ({region})",
        api=RUN_API,
        project=project,
        role=role,
        look=f"gcloud run services list --project {project} --region {region}",
    )


def call(
    rpc: Callable[..., Answer],
    request: object,
    *,
    purpose: CallContext,
    retry_policy: RetryPolicy | None = None,
    passed: tuple[type[Exception], ...] = (),
) -> Answer:
    """Return the answer of `rpc`; retry UNAVAILABLE and RESOURCE_EXHAUSTED until `retry_policy` ends.

    Raises:
        CloudError: one of these two errors still occurred when the time of `retry_policy` was over, or `rpc` failed in
            another way.
        google.api_core.exceptions.NotFound: unchanged, because "missing" may be a valid answer; `explained` converts it
            to a message. Errors of the classes in `passed` are also raised unchanged.
    """
    from google.api_core.exceptions import GoogleAPICallError, NotFound, ResourceExhausted, RetryError
    from google.api_core.exceptions import ServiceUnavailable as Unavailable
    from google.api_core.retry import Retry, if_exception_type
    from google.api_core.timeout import ConstantTimeout
    from google.auth.exceptions import GoogleAuthError

    retry_policy = retry_policy or RetryPolicy()
    retry = Retry(
        predicate=if_exception_type(Unavailable, ResourceExhausted),
        initial=0.25,
        maximum=5.0,
        timeout=retry_policy.retry_s,
    )
    attempt = ConstantTimeout(retry_policy.attempt_s)
    try:
        return rpc(request, retry=retry, timeout=attempt)
    except passed:
        raise
    except NotFound:
        raise
    except RetryError as error:
        cause = error.cause if isinstance(error.cause, GoogleAPICallError) else None
        raise explained(cause or error, purpose=purpose, retry_policy=retry_policy) from error
    except (GoogleAPICallError, GoogleAuthError) as error:
        raise explained(error, purpose=purpose, retry_policy=retry_policy) from error


def explained(error: Exception, *, purpose: CallContext, retry_policy: RetryPolicy | None = None) -> CloudError:
    """Return the error to raise: what failed, Google's message, and the command that fixes it."""
    from google.api_core import exceptions as google
    from google.auth.exceptions import GoogleAuthError

    retry_policy = retry_policy or RetryPolicy()
    reason, role = _Reason("{api} refused {on}: {name}: {said}."), purpose.role
    if isinstance(error, google.PermissionDenied):
        reason = _DISABLED if error.reason == "SERVICE_DISABLED" else _DENIED
        role = ROLES.get((error.metadata or {}).get("permission", ""), role)
    for kind, known in (
        (google.NotFound, _NOT_FOUND),
        (google.Unauthenticated, _UNAUTHENTICATED),
        (GoogleAuthError, _UNAUTHENTICATED),
        (google.ResourceExhausted, _EXHAUSTED),
        (google.DeadlineExceeded, _LATE),
        (google.ServiceUnavailable, _UNAVAILABLE),
    ):
        if isinstance(error, kind):
            reason = known
    if getattr(error, "reason", None) == NO_TOKEN_REASON:
        reason = _NO_LOCAL_TOKEN
    values = {
        "on": f"{purpose.doing} in project {purpose.project}",
        "said": (getattr(error, "message", None) or str(error) or type(error).__name__).rstrip("."),
        "name": getattr(getattr(error, "grpc_status_code", None), "name", type(error).__name__),
        "attempt_s": f"{retry_policy.attempt_s:g}",
        "retry_s": f"{retry_policy.retry_s:g}",
        "login": LOGIN,
        "api": purpose.api,
        "project": purpose.project,
        "role": role,
        "look": purpose.look,
    }
    cure = reason.cure.format(**values)
    return CloudError(reason.sentence.format(**values, cure=cure), cure=cure)


@dataclass(frozen=True, slots=True)
class _Reason:
    """The reason why a call failed: a sentence and the command that fixes it, both with placeholders."""

    sentence: str
    cure: str = ""


_DENIED = _Reason(
    "No permission for {on} ({said}), or no such project. Somebody who may grant it has to run `{cure}`.",
    "gcloud projects add-iam-policy-binding {project} --member=user:YOU --role={role}",
)
_DISABLED = _Reason(
    "{api} is not enabled for {on}. Enable it: `{cure}`.", "gcloud services enable {api} --project {project}"
)
_NOT_FOUND = _Reason("Not found: {on} ({said}). List what exists: `{cure}`.", "{look}")
_NO_LOCAL_TOKEN = _Reason(
    "The local Cloud Run refused {on}: the call needs the emulator's access token, but this user has no emulator at "
    "this port whose token could be read. The emulator prints the path of the token's file when it starts: `{cure}`.",
    "export LT_ACCESS_TOKEN_FILE=FILE",
)
_UNAUTHENTICATED = _Reason(
    "Google does not accept this machine's credentials for {on} ({said}). Run `{cure}`.", "{login}"
)
_EXHAUSTED = _Reason(
    "The quota of {api} was used up for {retry_s} s while {on} ({said}). Wait a minute and try again, or ask for "
    "more: https://console.cloud.google.com/apis/api/{api}/quotas?project={project}"
)
_LATE = _Reason(
    "{api} did not answer within {attempt_s} s: {on} ({said}). Check that this machine can reach it (proxy, firewall, "
    "`{cure}`), then try again.",
    "curl -I https://{api}",
)
_UNAVAILABLE = _Reason(
    "{api} could not be reached for {retry_s} s: {on} ({said}). Check the network and https://status.cloud.google.com, "
    "then try again."
)
