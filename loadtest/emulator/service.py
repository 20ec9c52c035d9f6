"""Manage one service: its port, its revisions, and the revision that receives the traffic."""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from ..core import cloud_run
from ..core.errors import EmulatorError
from .instance_pool import TARGET_SERVICE, SharedResources
from .metrics_store import RevisionRecord
from .model import Labels, Phase, RevisionTemplate, ServiceKey, ServiceNotFoundError, ServiceStatus, TemplateError
from .revision import Revision, reason_of

BACKLOG = 4096
_LETTERS = "bcdfghjklmnpqrstvwxz"  # no vowels, so that random letters form no words


_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_PLACE = re.compile(r"[a-z0-9]([a-z0-9.:-]*[a-z0-9])?")
REVISION_NAME_LENGTH = 63


def check_key(key: ServiceKey) -> None:
    """Reject invalid names of services, projects and locations, because folders and cgroups are named after them.

    Raises:
        TemplateError: the message names the value and says what is valid.
    """
    if not cloud_run.is_service_name(key.name):
        raise TemplateError(
            f"service name {key.name!r}: must have 1 to 49 characters (a-z, 0-9 and -) and begin with a letter."
        )
    for what, value in (("project", key.project), ("location", key.location)):
        if not _PLACE.fullmatch(value) or len(value) > REVISION_NAME_LENGTH:
            raise TemplateError(f"{what} {value!r}: must consist of a-z, 0-9, - and ., such as `local`.")


def check_revision_name(name: str, service: str) -> None:
    """Reject an invalid name of a revision of this service.

    Raises:
        TemplateError: the message names the value and says what is valid.
    """
    if not (_NAME.fullmatch(name) and name.startswith(f"{service}-") and len(name) <= REVISION_NAME_LENGTH):
        raise TemplateError(
            f"revision name {name!r}: must be {service}-SUFFIX, of a-z, 0-9 and -, at most {REVISION_NAME_LENGTH} long."
        )


def check_template(template: RevisionTemplate) -> None:
    """Reject a template that cannot work on any machine.

    Raises:
        TemplateError: the message names the field and the value and says what to do.
    """
    most = cloud_run.MOST_MAX_INSTANCES
    rules = (
        (
            template.cpu is None or 0 < template.cpu <= cloud_run.WHOLE_CPUS[-1],
            f"cpu {template.cpu}: must be above 0 and at most {cloud_run.WHOLE_CPUS[-1]:g} vCPU.",
        ),
        (template.memory_bytes >= 2**20, f"memory {template.memory_bytes} bytes: must be at least 1 MiB, e.g. 512Mi."),
        (
            1 <= template.concurrency <= cloud_run.MOST_CONCURRENCY,
            f"concurrency {template.concurrency}: must be 1 to {cloud_run.MOST_CONCURRENCY}.",
        ),
        (template.min_instances >= 0, f"min instances {template.min_instances}: must be at least 0."),
        (
            1 <= template.max_instances <= most and template.max_instances >= template.min_instances,
            f"max instances {template.max_instances}: must be 1 to {most}, at least min ({template.min_instances}).",
        ),
        (
            0 < template.timeout_s <= cloud_run.MOST_TIMEOUT_S,
            f"timeout {template.timeout_s:g} s: must be above 0 and at most {cloud_run.MOST_TIMEOUT_S:g} s.",
        ),
    )
    for holds, sentence in rules:
        if not holds:
            raise TemplateError(sentence)


class Service:
    """One service."""

    def __init__(
        self,
        key: ServiceKey,
        *,
        labels: Labels,
        annotations: Labels,
        kept: Labels,
        front_port: int,
        directory: Path,
        default_argv: tuple[str, ...],
        resources: SharedResources,
        record_of: Callable[[str], RevisionRecord],
    ) -> None:
        self.key = key
        self.labels, self.annotations, self.kept = labels, annotations, kept
        self.generation = self.observed_generation = 0
        self.uid = secrets.token_hex(16)
        self.created_s = self.updated_s = time.time()
        self.template = RevisionTemplate()
        self.traffic: str | None = None
        self.phase, self.message = Phase.DEPLOYING, ""
        self.revisions: list[Revision] = []
        self.latest_ready: Revision | None = None
        self._directory, self._resources, self._record_of = directory, resources, record_of
        self._default_argv = default_argv
        self._changed = asyncio.Condition()
        self._in_turn = asyncio.Lock()
        self._listening = False
        self._jobs: set[asyncio.Task[None]] = set()
        self._socket = _bound(front_port)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def deploy(self, template: RevisionTemplate, *, traffic: str | None) -> None:
        """Start to apply `template` and `traffic`.

        Raises:
            TemplateError: `template` or `traffic` is invalid; nothing was changed.
        """
        check_template(template)
        if template.revision_name is not None:
            check_revision_name(template.revision_name, self.key.name)
        names = {revision.name for revision in self.revisions}
        new = not self.revisions or template != self.template
        name = template.revision_name or self._next_name()
        if new and name in names:
            raise TemplateError(
                f"revision name {name}: {self.key.name} already has a revision of this name; give "
                f"another name, or none."
            )
        if traffic is not None and traffic not in names | ({name} if new else set()):
            raise TemplateError(f"traffic to {traffic}: {self.key.name} has no such revision.")
        revision = self._new_revision(name, template) if new else self.revisions[-1]
        self.template, self.traffic = template, traffic
        self.generation += 1
        self.updated_s = time.time()
        self.phase, self.message = Phase.DEPLOYING, ""
        self._do(self._bring(revision, self.generation, traffic))

    async def settled(self, generation: int) -> ServiceStatus:
        """Wait until `generation` or a newer generation is READY or FAILED, and return the status.

        Raises:
            ServiceNotFoundError: the service was deleted in the meantime.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self.observed_generation >= generation or self.phase is Phase.DELETING)
        if self.phase is Phase.DELETING:
            raise ServiceNotFoundError(f"Service {self.key.name} was deleted.")
        return self.status()

    async def shutdown(self) -> None:
        """Stop all revisions and release the port."""
        self.phase = Phase.DELETING
        async with self._changed:
            self._changed.notify_all()
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await asyncio.gather(*(revision.shutdown() for revision in self.revisions))
        self.release_port()

    def release_port(self) -> None:
        """Stop listening."""
        self._socket.close()

    def status(self) -> ServiceStatus:
        """Return the current status."""
        return ServiceStatus(
            key=self.key,
            uid=self.uid,
            url=self.url,
            generation=self.generation,
            observed_generation=self.observed_generation,
            created_s=self.created_s,
            updated_s=self.updated_s,
            labels=self.labels,
            annotations=self.annotations,
            template=self.template,
            traffic=self.traffic,
            revisions=tuple(revision.status() for revision in self.revisions),
            latest_created_revision=self.revisions[-1].name if self.revisions else None,
            latest_ready_revision=self.latest_ready.name if self.latest_ready else None,
            phase=self.phase,
            message=self.message,
            kept=self.kept,
        )

    async def _bring(self, revision: Revision, generation: int, traffic: str | None) -> None:
        """Deploy a revision and move the traffic to it. Generations are deployed one after the other."""
        async with self._in_turn:
            message = ""
            try:
                if revision.phase is Phase.DEPLOYING:
                    self._resources.log_event(f"{revision.name}: deploying; its first instance is starting")
                    await revision.deploy()
                if revision.phase is Phase.READY:
                    self.latest_ready = revision
                    await self._move_traffic(traffic, revision)
                else:
                    message = f"Revision '{revision.name}' is not ready and cannot serve traffic. {revision.message}"
            except Exception as error:  # so that code that waits for the deployment notices its end
                message = reason_of(error)
            async with self._changed:
                self.observed_generation = generation
                if generation == self.generation and self.phase is not Phase.DELETING:
                    self.phase, self.message = (Phase.FAILED if message else Phase.READY), message
                self._changed.notify_all()
        if message:
            self._resources.log_event(f"{self.key.name}: {message}")

    async def _move_traffic(self, traffic: str | None, newest: Revision) -> None:
        """Let one revision accept requests, and then stop the previous revision from accepting them.

        `traffic` is the name of the new revision; None means the newest revision.

        A service that has had no traffic yet starts with zero instances, unless it has a minimum: the instance of the
        deployment check is stopped. (Cloud Run keeps this instance for a while; the emulator stops it so that every run
        starts in the same state.)
        """
        goal = next((revision for revision in self.revisions if revision.name == traffic), newest)
        before = [revision for revision in self.revisions if revision.serving and revision is not goal]
        if not goal.serving:
            if not before and goal.template.min_instances == 0:
                await goal.stop_first()
            if not self._listening:
                self._socket.listen(BACKLOG)
                self._listening = True
            await goal.take_traffic(
                listen_fd=self._socket.fileno(), directory=self._directory / str(self.revisions.index(goal))
            )
        for former in before:
            await former.leave_traffic()
        if goal is not newest:
            await newest.stop_first()

    def _new_revision(self, name: str, template: RevisionTemplate) -> Revision:
        revision = Revision(
            self.key,
            name,
            template,
            argv=[*(template.command or self._default_argv or TARGET_SERVICE), *template.args],
            resources=self._resources,
            record=self._record_of(name),
        )
        self.revisions.append(revision)
        return revision

    def _next_name(self) -> str:
        letters = "".join(secrets.choice(_LETTERS) for _ in range(3))
        return f"{self.key.name}-{len(self.revisions) + 1:05d}-{letters}"

    def _do(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(job)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)


def _bound(port: int) -> socket.socket:
    """Return a socket that is bound to 127.0.0.1:`port`. The socket refuses connections until somebody listens."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(("127.0.0.1", port))
    except OSError as error:
        found.close()
        raise EmulatorError(
            f"Port {port} on 127.0.0.1 cannot be used ({error.strerror}): give another --port, or stop the program "
            f"that uses it."
        ) from error
    return found
