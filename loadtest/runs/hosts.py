"""Decide which host each user class calls: the target or the class's own host."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..core.errors import UsageError
from ..fleet.scenario import Scenario
from .options import RunOptions


@dataclass(frozen=True, slots=True)
class HostDecision:
    """The hosts that the user classes call.

    Attributes:
        replaces: whether the target replaces the `host` of every class, as `locust --host` does.
        sentence: a message for the user, or None.
    """

    replaces: bool
    sentence: str | None = None


def decide_hosts(plan: Scenario, target: str | None, *, override: bool) -> HostDecision:
    """Return whether the target replaces the classes' own hosts.

    Raise an error if requests would be sent to the wrong server. If all classes name the same host, the target replaces
    it, and a message says so. If the classes name several hosts, replacing these would send one server's requests, with
    their credentials, to another server.

    Args:
        plan: the scenario.
        target: the value of `--target`: a URL or a platform's name; None for `--target none`.
        override: whether all requests are sent to the target anyway.

    Raises:
        UsageError: the classes name several hosts, or a class needs a host and has no host.
    """
    named = {name: host for name, host in plan.hosts.items() if host}
    if target is None:
        if without := [name for name in plan.http_classes if name not in named]:
            raise UsageError(
                f"`--target none`: {', '.join(without)} of {plan.path.name} names no host; set `host` in the class, or "
                "name the target with --target URL."
            )
        return HostDecision(replaces=False, sentence=f"every user class has its own host: {_listed(named)}")
    others = {name: host for name, host in named.items() if not _same(host, target)}
    if not others:
        return HostDecision(replaces=len(named) < len(plan.hosts))
    if override:
        return HostDecision(replaces=True, sentence=f"{target} replaces {_listed(others)}")
    called = {_plain(host or target) for host in plan.hosts.values()}
    if len(called) > 1:
        raise UsageError(
            f"`--target {target}`: the user classes of {plan.path.name} name their own hosts, {_listed(named)}, so "
            f"requests for one host would be sent to another. `--target none` lets each class use its own host, "
            f"`--override-hosts` sends all requests to the target, `--user-class {next(iter(plan.hosts))}` runs only "
            "this class."
        )
    return HostDecision(replaces=True, sentence=f"{target} replaces {_listed(others)}")


def with_scheme(options: RunOptions, plan: Scenario) -> RunOptions:
    """Add `http://` to a target given as HOST:PORT if a user class uses HTTP, and return the options.

    Raises:
        UsageError: every user class uses HTTP, but the target uses another protocol.
    """
    url = options.target.url
    if url is None or not plan.http_classes:
        return options
    if "://" in url:
        if not url.startswith(("http://", "https://")) and len(plan.http_classes) == len(plan.user_classes):
            raise UsageError(
                f"`--target {url}`: {', '.join(plan.http_classes)} of {plan.path.name} speaks HTTP: give local, "
                "emulator, cloud, or a URL such as http://127.0.0.1:8080."
            )
        return options
    return dataclasses.replace(options, target=dataclasses.replace(options.target, url=f"http://{url}"))


def _listed(hosts: dict[str, str]) -> str:
    return ", ".join(f"{host} ({name})" for name, host in hosts.items()) or "none is named"


def _plain(host: str) -> str:
    return host.rstrip("/").lower()


def _same(host: str, target: str) -> bool:
    """Whether two hosts are the same. If one of the two hosts has no scheme, the scheme is ignored."""
    if "://" in host and "://" in target:
        return _plain(host) == _plain(target)
    return _plain(host).rpartition("://")[2] == _plain(target).rpartition("://")[2]
