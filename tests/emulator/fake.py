"""A fake of the emulator. Services settle at once, and a test sets the readings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from loadtest.emulator.model import (
    Labels,
    Phase,
    RevisionStatus,
    RevisionTemplate,
    Sampling,
    Series,
    ServiceExistsError,
    ServiceKey,
    ServiceNotFoundError,
    ServiceStatus,
    TemplateError,
)


class FakeEmulator:
    """An `loadtest.emulator.model.Emulator` in memory.

    Args:
        clock: returns the Unix time, in s.
        recorded: all series; `series` filters them by metric and interval.
        fail_with: unless it is "", every deploy settles as FAILED with this message.
        sampling: the sampling to report.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        recorded: Sequence[Series] = (),
        fail_with: str = "",
        sampling: Sampling | None = None,
    ) -> None:
        self.clock = clock
        self.recorded = list(recorded)
        self.fail_with = fail_with
        self._sampling = sampling or Sampling()
        self._services: dict[ServiceKey, ServiceStatus] = {}
        self._created = 0

    @property
    def sampling(self) -> Sampling:
        """The given sampling."""
        return self._sampling

    def create_service(
        self,
        key: ServiceKey,
        template: RevisionTemplate,
        *,
        labels: Labels = (),
        annotations: Labels = (),
        traffic: str | None = None,
        kept: Labels = (),
        front_port: int = 0,
    ) -> ServiceStatus:
        """Store the service as DEPLOYING; `settled` settles it."""
        if key in self._services:
            raise ServiceExistsError(f"Service {key.name} exists already.")
        self._created += 1
        now_s = self.clock()
        blank = ServiceStatus(
            key=key,
            uid=f"uid-{self._created}",
            url=f"http://127.0.0.1:{front_port or 20000 + self._created}",
            generation=0,
            observed_generation=0,
            created_s=now_s,
            updated_s=now_s,
            labels=labels,
            annotations=annotations,
            template=template,
            traffic=traffic,
            revisions=(),
            latest_created_revision=None,
            latest_ready_revision=None,
            phase=Phase.DEPLOYING,
            kept=kept,
        )
        return self._deploy(blank, template, traffic)

    def update_service(
        self,
        key: ServiceKey,
        template: RevisionTemplate,
        *,
        labels: Labels | None = None,
        annotations: Labels | None = None,
        traffic: str | None = None,
        kept: Labels | None = None,
    ) -> ServiceStatus:
        """Store the service as DEPLOYING; `settled` settles it."""
        old = self.service(key)
        if traffic is not None and traffic not in {revision.name for revision in old.revisions}:
            raise TemplateError(f"traffic to {traffic}: {key.name} has no such revision.")
        old = replace(
            old,
            labels=old.labels if labels is None else labels,
            annotations=old.annotations if annotations is None else annotations,
            kept=old.kept if kept is None else kept,
        )
        return self._deploy(old, template, traffic)

    def delete_service(self, key: ServiceKey) -> ServiceStatus:
        """Remove the service."""
        return replace(self._services.pop(self.service(key).key), phase=Phase.DELETING)

    async def settled(self, key: ServiceKey, generation: int) -> ServiceStatus:
        """Settle the service: READY, or FAILED with `fail_with`."""
        status = self.service(key)
        if status.observed_generation >= generation:
            return status
        phase = Phase.FAILED if self.fail_with else Phase.READY
        serving = (status.traffic or status.latest_created_revision) if phase is Phase.READY else None
        revisions = tuple(
            replace(
                revision,
                phase=phase if revision.phase is Phase.DEPLOYING else revision.phase,
                message=self.fail_with if revision.phase is Phase.DEPLOYING else revision.message,
                cpu=revision.template.cpu or 1.0,
                serving=revision.name == serving if serving else revision.serving,
            )
            for revision in status.revisions
        )
        status = replace(
            status,
            revisions=revisions,
            phase=phase,
            message=self.fail_with,
            observed_generation=status.generation,
            latest_ready_revision=status.latest_created_revision
            if phase is Phase.READY
            else status.latest_ready_revision,
        )
        self._services[key] = status
        return status

    async def deleted(self, key: ServiceKey) -> None:
        """Return at once, because the service is already removed."""

    def service(self, key: ServiceKey) -> ServiceStatus:
        """Return the stored service."""
        try:
            return self._services[key]
        except KeyError:
            raise ServiceNotFoundError(f"There is no service {key.name} in {key.project}/{key.location}.") from None

    def services(self) -> Sequence[ServiceStatus]:
        """Return all stored services by key."""
        return [self._services[key] for key in sorted(self._services)]

    def series(self, metric: str, *, start_s: float, end_s: float) -> Sequence[Series]:
        """Return the recorded series."""
        found = []
        for series in self.recorded:
            points = tuple(point for point in series.points if start_s < point.end_s <= end_s)
            if series.metric == metric and points:
                found.append(replace(series, points=points))
        return found

    def _deploy(self, old: ServiceStatus, template: RevisionTemplate, traffic: str | None) -> ServiceStatus:
        now_s = self.clock()
        generation = old.generation + 1
        revisions, name = old.revisions, old.latest_created_revision
        if not revisions or template != old.template:
            name = template.revision_name or f"{old.key.name}-{len(revisions) + 1:05d}-abc"
            revisions = (*revisions, RevisionStatus(name, template, now_s, Phase.DEPLOYING))
        status = replace(
            old,
            generation=generation,
            updated_s=now_s,
            template=template,
            traffic=traffic,
            revisions=revisions,
            latest_created_revision=name,
            phase=Phase.DEPLOYING,
            message="",
        )
        self._services[old.key] = status
        return status
