"""Parse, complete and validate the settings of a service for a deploy."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...core import cloud_run
from ...core.errors import UsageError
from ...core.quantities import argv_of, cpu_of, memory_bytes_of

DEFAULTS: dict[str, Any] = {
    "concurrency": cloud_run.CONCURRENCY,
    "cpu": cloud_run.CPU,
    "memory_mib": cloud_run.MEMORY_MIB,
    "min_instances": 0,
    "max_instances": cloud_run.DEPLOYED_MAX_INSTANCES,
    "timeout_s": cloud_run.TIMEOUT_S,
    "cpu_boost": True,
    "port": cloud_run.PORT,
}
"""The settings of a new service. These settings are Cloud Run's defaults, except for the maximum number of
instances."""

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """The settings of a service.

    A setting that is None, or an empty `command` or `env`, stays unchanged in the service, as with gcloud.

    Attributes:
        max_instances: the maximum number of instances; 0 means that the service sets no maximum.
        public: whether everyone may call the service.
        command: the command to run instead of the command of the image; the emulator runs it unchanged.
        takes_traffic: whether the new revision gets traffic.
    """

    service: str
    project: str
    region: str
    image: str
    concurrency: int | None = None
    cpu: float | None = None
    memory_mib: float | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    timeout_s: float | None = None
    cpu_boost: bool | None = None
    port: int | None = None
    public: bool | None = None
    env: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    revision_suffix: str | None = None
    takes_traffic: bool = True

    def when_new(self) -> ServiceSettings:
        """Return the settings, with Cloud Run's defaults and our maximum of instances for those that are missing."""
        silent = {name: value for name, value in DEFAULTS.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **silent)

    @property
    def parent(self) -> str:
        """The location, in the API's notation."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def name(self) -> str:
        """The service, in the API's notation."""
        return f"{self.parent}/services/{self.service}"


def parse_cpu(text: str) -> float:
    """Return vCPUs from `2`, `0.5` or `500m`.

    Raises:
        UsageError: the text is not such a quantity, or the quantity is not above 0.
    """
    try:
        return cpu_of(text)
    except ValueError as error:
        raise UsageError(f"`--cpu {text}`: {error}.") from None


def parse_memory(text: str) -> float:
    """Return MiB from `512Mi`, `4Gi` or `1G`.

    Raises:
        UsageError: the text is not such a quantity, or the quantity is not above 0.
    """
    try:
        return memory_bytes_of(text) / 2**20
    except ValueError as error:
        raise UsageError(f"`--memory {text}`: {error}.") from None


def parse_timeout(text: str, *, option: str = "--timeout") -> float:
    """Return seconds from `300`, `300s`, `5m` or `1h`.

    Raises:
        UsageError: the text is not such a time.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not match:
        raise UsageError(f"`{option} {text}`: must be a time such as 300, 300s or 5m.")
    return float(match[1]) * _SECONDS[match[2]]


def parse_max_instances(text: str) -> int:
    """Return the number, or 0 for `none`.

    Raises:
        UsageError: the text is neither a number nor `none`.
    """
    if text == "none":
        return 0
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"`--max-instances {text}`: must be a number from 1, or `none`.")
    return int(text)


def parse_env(pairs: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the variables from `K=V` texts, in order.

    Raises:
        UsageError: a text has no `=`, or sets a name that Cloud Run reserves.
    """
    found = []
    for pair in pairs:
        name, is_there, value = pair.partition("=")
        if not is_there or not name:
            raise UsageError(f"`--env {name}`: must be NAME=VALUE.")
        if name in ("PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"):
            raise UsageError(f"`--env {name}=…`: Cloud Run sets {name} itself; for the port use `--port`.")
        found.append((name, value))
    return tuple(found)


def parse_settings(
    *,
    image: str | None,
    cpu: str | None,
    memory: str | None,
    max_instances: str | None,
    timeout: str | None,
    env: Sequence[str],
    command: str,
    local: bool,
    **others: Any,
) -> ServiceSettings:
    """Parse the options of a deploy into settings. `others` are passed on unchanged.

    Raises:
        UsageError: an option cannot be parsed, or Cloud Run would reject it.
    """
    try:
        argv = argv_of(command) if command else ()
    except ValueError as error:
        raise UsageError(f"`--command`: {error}.") from None
    settings = ServiceSettings(
        image=image or "target_service",  # a local Cloud Run runs the project's own service
        cpu=None if cpu is None else parse_cpu(cpu),
        memory_mib=None if memory is None else parse_memory(memory),
        max_instances=None if max_instances is None else parse_max_instances(max_instances),
        timeout_s=None if timeout is None else parse_timeout(timeout),
        env=parse_env(env),
        command=argv,
        **others,
    )
    return validated(settings, local=local)


def validated(settings: ServiceSettings, *, local: bool) -> ServiceSettings:
    """Return the settings `asked` if Cloud Run would accept them. A `local` Cloud Run accepts any fraction of a CPU.

    A setting that is not given is checked with the value of a new service. The limits are defined in
    `core/cloud_run.py`.

    Raises:
        UsageError: Cloud Run would reject a setting; the message names the first such setting and the valid values.
    """
    suffix = settings.revision_suffix
    longest = len(settings.service) + len(suffix or "") + 1
    whole: Any = settings.when_new()  # in this place no field is None, but the type checker cannot know this
    taken = (
        ""
        if local
        else cloud_run.not_a_setting(cpu=whole.cpu, memory_mib=whole.memory_mib, concurrency=whole.concurrency)
    )
    rules = (
        (
            cloud_run.is_service_name(settings.service),
            f"`--service {settings.service}`: must have 1 to 49 characters (a-z, 0-9 and -) and begin with a letter.",
        ),
        (
            suffix is None or (bool(re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", suffix)) and longest <= 63),
            f"`--revision-suffix {suffix}`: must consist of a-z, 0-9 and -, at most 63 characters with the service.",
        ),
        (bool(settings.image), "`--image`: must name an image."),
        (
            1 <= whole.concurrency <= cloud_run.MOST_CONCURRENCY,
            f"`--concurrency {whole.concurrency}`: must be 1 to {cloud_run.MOST_CONCURRENCY}.",
        ),
        (whole.min_instances >= 0, f"`--min-instances {whole.min_instances}`: must be at least 0."),
        (
            not whole.max_instances or whole.max_instances >= whole.min_instances,
            f"`--max-instances {whole.max_instances}`: must be at least {whole.min_instances}, the minimum.",
        ),
        (
            not taken,
            f"`--cpu {whole.cpu:g} --memory {whole.memory_mib:g}Mi`: Cloud Run has no such instance: {taken}",
        ),
        (
            1 <= whole.timeout_s <= cloud_run.MOST_TIMEOUT_S,
            f"`--timeout {whole.timeout_s:g}`: must be 1 to {cloud_run.MOST_TIMEOUT_S:g} s.",
        ),
        (1 <= whole.port <= 65535, f"`--port {whole.port}`: must be 1 to 65535."),
    )
    for holds, sentence in rules:
        if not holds:
            raise UsageError(sentence)
    return settings
