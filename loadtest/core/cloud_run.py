"""Define the defaults, limits and valid settings of Cloud Run that Google publishes, in one dated table.

Sources, read 2026-11-26: cloud.google.com/run/docs/about-instance-autoscaling, …/configuring/services/cpu,
…/configuring/services/memory-limits, …/about-concurrency, …/configuring/request-timeout, …/configuring/max-instances.
"""

from __future__ import annotations

import re

CONCURRENCY = 80
"""The default for services that are created through the API, as `lt` does (gcloud and Terraform set 80 × vCPU, at most
1000)."""

CPU, MEMORY_MIB, TIMEOUT_S, PORT = 1.0, 512.0, 300.0, 8080
MAX_INSTANCES = 100
"""The maximum number of instances of a service that sets no maximum."""

DEPLOYED_MAX_INSTANCES = 20
"""The default that `lt` sets on Cloud Run and on the emulator: enough for 300 requests/s, and a limit on the cost of a
mistake."""

TARGET_RATIO = 0.60
"""The autoscaler adds an instance above this share of the CPU or of the concurrency. A service can set this target from
0.10 to 0.95."""

IDLE_S, KNATIVE_IDLE_S = 900.0, 30.0
"""How long Cloud Run and Knative keep an idle instance (in Knative this is the scale-to-zero grace period)."""

SERVICE = "default-service"
"""The default name of a service, on Cloud Run and on the emulator."""

MOST_CONCURRENCY, MOST_TIMEOUT_S, LEAST_CPU = 1000, 3600.0, 0.08
MOST_MAX_INSTANCES = 1000
WHOLE_CPUS = (1.0, 2.0, 4.0, 6.0, 8.0)
LEAST_MEMORY_MIB, MOST_MEMORY_MIB = 128.0, 32 * 1024.0
MOST_MEMORY_MIB_BELOW_1_CPU = ((0.5, 512.0), (1.0, 1024.0))
"""(vCPU, MiB): with less than this many vCPU, an instance may have at most this much memory."""

LEAST_CPU_FOR_MEMORY = ((4 * 1024.0, 2.0), (8 * 1024.0, 4.0), (16 * 1024.0, 6.0), (24 * 1024.0, 8.0))
"""(MiB, vCPU): with more than this much memory, an instance needs at least this many vCPU."""

LEAST_MEMORY_MIB_FOR_CPU = ((4.0, 2 * 1024.0), (6.0, 4 * 1024.0), (8.0, 4 * 1024.0))
"""(vCPU, MiB): with this many vCPU or more, an instance needs at least this much memory."""

BOOSTED_CPU = ((1.0, 2.0), (2.0, 4.0), (4.0, 8.0), (6.0, 8.0), (8.0, 8.0))
"""Startup CPU boost: an instance with up to the first number of vCPU gets the second number while it starts, and for 10
s afterwards."""

BOOST_AFTER_START_S = 10.0


def boosted_cpu(cpu: float) -> float:
    """Return the vCPU of an instance that starts with startup CPU boost."""
    return next((boosted for most, boosted in BOOSTED_CPU if cpu <= most), cpu)


def not_a_setting(*, cpu: float, memory_mib: float, concurrency: int) -> str:
    """Return why Cloud Run rejects an instance with these settings, as a sentence; "" if it accepts them."""
    size = f"{memory_mib:g} MiB at {cpu:g} vCPU"
    rules = [
        (
            cpu >= LEAST_CPU and (cpu <= 1 or cpu in WHOLE_CPUS),
            f"{cpu:g} vCPU: must be {LEAST_CPU:g} to 1, or 2, 4, 6 or 8.",
        ),
        (
            cpu >= 1 or concurrency == 1,
            f"{cpu:g} vCPU at concurrency {concurrency}: below 1 vCPU the concurrency must be 1.",
        ),
        (LEAST_MEMORY_MIB <= memory_mib <= MOST_MEMORY_MIB, f"{memory_mib:g} MiB: must be 128 MiB to 32 GiB."),
    ]
    for below, most in MOST_MEMORY_MIB_BELOW_1_CPU:
        rules.append(
            (cpu >= below or memory_mib <= most, f"{size}: below {below:g} vCPU, at most {most:g} MiB are allowed.")
        )
    for above, least in LEAST_CPU_FOR_MEMORY:
        rules.append(
            (
                memory_mib <= above or cpu >= least,
                f"{size}: more than {above / 1024:g} GiB needs at least {least:g} vCPU.",
            )
        )
    for from_cpu, least in LEAST_MEMORY_MIB_FOR_CPU:
        rules.append(
            (cpu < from_cpu or memory_mib >= least, f"{size}: {from_cpu:g} vCPU need at least {least / 1024:g} GiB.")
        )
    return next((sentence for holds, sentence in rules if not holds), "")


def is_service_name(text: str) -> bool:
    """Whether Cloud Run accepts the text as a service name."""
    return len(text) <= 49 and bool(re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", text))
