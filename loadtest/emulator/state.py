"""Describe the emulator's state as one JSON document, for its page and `GET /state`."""

from __future__ import annotations

import os
import time
from typing import Any

from .control import LocalCloudRun
from .revision import Revision
from .service import Service

EVENTS_SHOWN = 100


async def state_of(emulator: LocalCloudRun) -> dict[str, Any]:
    """Return the state; docs/emulator.md lists its keys. None means not known."""
    options = emulator.options
    return {
        "emulator": {
            "pid": os.getpid(),
            "now_s": time.time(),
            "autoscaler": options.autoscaler,
            "idle_s": emulator.idle_s,
            "sample_period_s": options.sampling.period_s,
            "ingest_delay_s": options.sampling.ingest_delay_s,
            "not_limited": emulator.not_limited,
        },
        "services": [await _service(service) for service in emulator.all()],
        "events": [
            {"number": event.number, "at_s": event.at_s, "text": event.text}
            for event in list(emulator.events)[-EVENTS_SHOWN:]
        ],
    }


async def _service(service: Service) -> dict[str, Any]:
    status = service.status()
    return {
        "name": status.key.name,
        "project": status.key.project,
        "location": status.key.location,
        "url": status.url,
        "phase": status.phase.value,
        "message": status.message,
        "generation": status.generation,
        "latest_ready_revision": status.latest_ready_revision,
        "revisions": [await _revision(revision) for revision in service.revisions],
    }


async def _revision(revision: Revision) -> dict[str, Any]:
    template, record, decision = revision.template, revision.record, revision.decision
    return {
        "name": revision.name,
        "phase": revision.phase.value,
        "message": revision.message,
        "serving": revision.serving,
        "cpu": revision.cpu,
        "cpu_why": revision.size.why if revision.size else "",
        "cpu_s_per_request": revision.size.cost_s if revision.size else None,
        "requests_per_user_s": revision.size.per_user_s if revision.size else None,
        "memory_bytes": template.memory_bytes,
        "concurrency": template.concurrency,
        "min_instances": template.min_instances,
        "max_instances": template.max_instances,
        "timeout_s": template.timeout_s,
        "cpu_boost": template.cpu_boost,
        "startup_s": revision.startup_s,
        "pending_limit_s": revision.pending_limit_s,
        "pending": revision.pending,
        "requests": record.requests,
        "refused": record.refused,
        "by_code": {str(code): count for code, count in sorted(record.by_code.items())},
        "lost_log_lines": await revision.dropped_log_lines(),
        "decision": {"desired": decision.desired, "driver": decision.driver, "reason": decision.reason},
        "instances": [
            {
                "name": instance.name,
                "pid": instance.pid,
                "port": instance.port,
                "state": instance.state.value,
                "in_flight": in_flight,
                "cpu_ratio": cpu_ratio,
                "memory_bytes": instance.memory_bytes(),
                "startup_s": instance.startup_s,
                "age_s": time.monotonic() - instance.started_s,
            }
            for instance, in_flight, cpu_ratio in revision.instances()
        ],
    }
