"""Hold what a deploy asks for: defaults, parsing, normalising and validating of a service's settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from recording.errors import UsageError
from recording.quantities import cpu_of, memory_bytes_of

DEFAULT_MAX_INSTANCES = 20
"""Set when nothing was said: enough for the 300 users of ramp300 on 1 vCPU, and a bound on what a mistake costs."""

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """What the service shall be. `max_instances` None means no limit of ours; `public` None leaves it as it is.

    `command` is the process to run instead of the image's own; a local Cloud Run runs it as it stands. An empty
    `command` or `env` leaves what the service has, as gcloud does.
    """

    service: str
    project: str
    region: str
    image: str
    concurrency: int = 80
    cpu: float = 1.0
    memory_mib: float = 512.0
    min_instances: int = 0
    max_instances: int | None = DEFAULT_MAX_INSTANCES
    timeout_s: float = 300.0
    cpu_boost: bool = True
    port: int = 8080
    public: bool | None = None
    env: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    revision_suffix: str | None = None
    takes_traffic: bool = True

    @property
    def parent(self) -> str:
        """The location as the API names it."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def name(self) -> str:
        """The service as the API names it."""
        return f"{self.parent}/services/{self.service}"


def parse_cpu(text: str) -> float:
    """Return vCPUs from `2`, `0.5` or `500m`.

    Raises:
        UsageError: it is no such text, or not above 0.
    """
    try:
        return cpu_of(text)
    except ValueError as error:
        raise UsageError(f"`--cpu {text}`: {error}.") from None


def parse_memory(text: str) -> float:
    """Return MiB from `512Mi`, `4Gi` or `1G`.

    Raises:
        UsageError: it is no such text, or not above 0.
    """
    try:
        return memory_bytes_of(text) / 2**20
    except ValueError as error:
        raise UsageError(f"`--memory {text}`: {error}.") from None


def parse_timeout(text: str, *, option: str = "--timeout") -> float:
    """Return seconds from `300`, `300s`, `5m` or `1h`.

    Raises:
        UsageError: it is no such text.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not match:
        raise UsageError(f"`{option} {text}`: must be a time, as 300, 300s or 5m.")
    return float(match[1]) * _SECONDS[match[2]]


def parse_max_instances(text: str) -> int | None:
    """Return the number, or None for `none`.

    Raises:
        UsageError: it is neither.
    """
    if text == "none":
        return None
    if not text.isdecimal():
        raise UsageError(f"`--max-instances {text}`: must be a number from 1, or `none`.")
    return int(text)


def parse_env(pairs: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the variables of `K=V` texts, in their order.

    Raises:
        UsageError: one has no `=`, or sets a name that Cloud Run keeps for itself.
    """
    found = []
    for pair in pairs:
        name, is_there, value = pair.partition("=")
        if not is_there or not name:
            raise UsageError(f"`--env {pair}`: must be NAME=VALUE.")
        if name in ("PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"):
            raise UsageError(f"`--env {pair}`: Cloud Run sets {name} itself; for the port use `--port`.")
        found.append((name, value))
    return tuple(found)


def validated(asked: ServiceSettings, *, local: bool) -> ServiceSettings:
    """Return `asked` when Cloud Run would take it; a `local` Cloud Run takes any slice of a CPU.

    The limits are those of https://cloud.google.com/run/docs/configuring (cpu, memory-limits, concurrency,
    request-timeout), read 2026-08.

    Raises:
        UsageError: the first setting it would refuse, with what it takes.
    """
    suffix = asked.revision_suffix
    longest = len(asked.service) + len(suffix or "") + 1
    rules = (
        (
            _is_name(asked.service, 49),
            f"`--service {asked.service}`: must be 1 to 49 of a-z, 0-9, -, from a letter on.",
        ),
        (
            suffix is None or (bool(re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", suffix)) and longest <= 63),
            f"`--revision-suffix {suffix}`: must be a-z, 0-9, -; at most 63 together with the service's name.",
        ),
        (bool(asked.image), "`--image`: must name an image."),
        (1 <= asked.concurrency <= 1000, f"`--concurrency {asked.concurrency}`: must be 1 to 1000."),
        (
            local or asked.cpu >= 1 or asked.concurrency == 1,
            f"`--cpu {asked.cpu:g}`: below 1 vCPU Cloud Run wants `--concurrency 1`, not {asked.concurrency}.",
        ),
        (
            local or asked.cpu < 1 or asked.cpu in (1, 2, 4, 6, 8),
            f"`--cpu {asked.cpu:g}`: must be below 1, or 1, 2, 4, 6 or 8.",
        ),
        (local or asked.cpu >= 0.08, f"`--cpu {asked.cpu:g}`: must be at least 0.08."),
        (
            local or 128 <= asked.memory_mib <= 32 * 1024,
            f"`--memory {asked.memory_mib:g}Mi`: must be 128Mi to 32Gi.",
        ),
        (asked.min_instances >= 0, f"`--min-instances {asked.min_instances}`: must be at least 0."),
        (
            asked.max_instances is None or asked.max_instances >= max(1, asked.min_instances),
            f"`--max-instances {asked.max_instances}`: must be at least {max(1, asked.min_instances)}.",
        ),
        (1 <= asked.timeout_s <= 3600, f"`--timeout {asked.timeout_s:g}`: must be 1 to 3600 s."),
        (1 <= asked.port <= 65535, f"`--port {asked.port}`: must be 1 to 65535."),
    )
    for holds, sentence in rules:
        if not holds:
            raise UsageError(sentence)
    return asked


def _is_name(text: str, longest: int) -> bool:
    return len(text) <= longest and bool(re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", text))
