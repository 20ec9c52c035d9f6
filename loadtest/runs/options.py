"""Turn the words of `lt run` into one frozen object: defaults, parse, normalise, validate."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..core.durations import parse_duration_s
from ..core.errors import UsageError
from ..fleet.scenario import locate

DEFAULT_PORT = 5557
"""Locust's own, where workers of other machines look for the master."""

KINDS = ("local", "emulator", "cloud")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a run was asked to be; nothing below checks any of it again.

    Attributes:
        kind: local, emulator, cloud or url.
        url: the target's base URL where the user named one, without a slash at its end.
        users, spawn_rate, duration_s: in place of the scenario's own; None leaves them.
        workers: processes on this machine; `expect_workers` counts those of other machines too.
        port: of the master, for workers; 0 takes a free one.
    """

    locustfile: Path
    kind: str
    url: str | None
    users: int | None
    spawn_rate: float | None
    duration_s: float | None
    seed: int
    workers: int
    expect_workers: int
    bind: str
    port: int
    join_timeout_s: float
    label: str | None
    ui_port: int | None


def parse_options(
    *,
    scenario: str,
    target: str = "local",
    users: int | None = None,
    spawn_rate: float | None = None,
    duration: str | None = None,
    seed: int = 1,
    workers: int | None = None,
    expect_workers: int | None = None,
    bind: str = "127.0.0.1",
    port: int = 0,
    join_timeout: str = "60s",
    label: str | None = None,
    ui_port: int | None = None,
) -> RunOptions:
    """Return the options of a run.

    Raises:
        UsageError: a word is off; the text names it and the way out.
    """
    path = locate(scenario)
    if "," in str(path):
        raise UsageError(f"`--scenario {path}`: Locust takes a comma for a second file; rename it or its folder.")
    kind, url = _target(target)
    local = max(1, (os.cpu_count() or 2) - 1) if workers is None else workers
    total = expect_workers if expect_workers is not None else local
    if workers is None and expect_workers is not None:
        local = 0  # who names how many come from elsewhere wants them to do the work
    if local < 0 or total < 1:
        raise UsageError(f"`--workers {local}`: must be at least 1, or come from elsewhere with --expect-workers.")
    if total < local:
        raise UsageError(f"`--expect-workers {total}`: counts the {local} of this machine too; give at least {local}.")
    if users is not None and users < 1:
        raise UsageError(f"`--users {users}`: must be at least 1.")
    if spawn_rate is not None and not 0 < spawn_rate < math.inf:
        raise UsageError(f"`--spawn-rate {spawn_rate:g}`: must be above 0 users/s.")
    for option, number in (("--port", port), ("--ui", ui_port or 0)):
        if not 0 <= number <= 65_535:
            raise UsageError(f"`{option} {number}`: a port is a number from 1 to 65535.")
    return RunOptions(
        locustfile=path,
        kind=kind,
        url=url,
        users=users,
        spawn_rate=spawn_rate,
        duration_s=None if duration is None else parse_duration(duration, option="--duration"),
        seed=seed,
        workers=local,
        expect_workers=total,
        bind=bind,
        port=port or (DEFAULT_PORT if total > local else 0),
        join_timeout_s=parse_duration(join_timeout, option="--join-timeout"),
        label=label,
        ui_port=ui_port,
    )


def parse_duration(text: str, *, option: str) -> float:
    """Return whole seconds, as Locust takes no others: `90`, `90s`, `2m`, `1h30m`, `1.5m`.

    Raises:
        UsageError: it is none of these, or not above 0.
    """
    try:
        seconds = parse_duration_s(text)
    except ValueError:
        seconds = 0.0
    if seconds <= 0 or seconds % 1:
        raise UsageError(f"`{option} {text}`: give a length such as 90s, 2m or 1h30m, in whole seconds.")
    return seconds


def parse_address(text: str, *, option: str, default_port: int = DEFAULT_PORT) -> tuple[str, int]:
    """Return host and port of `HOST`, `HOST:PORT` or `[IPV6]:PORT`.

    Raises:
        UsageError: it is none of these.
    """
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.path or parts.username:
        raise UsageError(f"`{option} {text}`: give a host and perhaps a port, such as 10.0.0.2:5557.")
    return host, default_port if port is None else port


def _target(text: str) -> tuple[str, str | None]:
    if text in KINDS:
        return text, None
    url = text if "://" in text else ""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"`--target {text}`: give local, emulator, cloud, or a URL such as http://127.0.0.1:8080.")
    try:
        parts.port  # noqa: B018 - reading it is the check
    except ValueError:
        raise UsageError(f"`--target {text}`: the port must be a number from 0 to 65535.") from None
    if parts.query or parts.fragment or parts.username:
        raise UsageError(f"`--target {text}`: give the base URL alone, without user, query or fragment.")
    return "url", text.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine by name or by address."""
    import ipaddress

    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
