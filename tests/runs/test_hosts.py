"""The host that a user class calls: the target, its own host, or no host until the user has decided."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.core.errors import UsageError
from loadtest.fleet.scenario import Scenario
from loadtest.runs.hosts import decide_hosts, with_scheme
from loadtest.runs.options import parse_options

T = "http://127.0.0.1:8080"


def plan(hosts: dict[str, str | None], *, http: bool = True) -> Scenario:
    return Scenario(
        name="mine",
        path=Path("mine.py"),
        sha256="",
        description="",
        user_classes=tuple(hosts),
        open_loop=False,
        shape=None,
        points=(),
        users=1,
        spawn_rate=1,
        duration_s=1,
        requests_per_user_s=None,
        objectives=(),
        limits={},
        hosts=hosts,
        http_classes=tuple(hosts) if http else (),
    )


@pytest.mark.parametrize(
    ("hosts", "target", "replaces", "said"),
    [
        ({"A": None}, T, True, None),
        ({"A": T + "/"}, T, False, None),
        ({"A": "http://staging"}, T, True, "replaces http://staging (A)"),
        ({"A": "http://staging", "B": "http://staging"}, T, True, "http://staging (A), http://staging (B)"),
        ({"A": "127.0.0.1:50051"}, "grpc://127.0.0.1:50051", False, None),
        ({"A": T, "B": None}, T, True, None),
        ({"A": "http://a", "B": "http://b"}, None, False, "http://a (A), http://b (B)"),
    ],
)
def test_one_host_is_replaced_with_a_message(
    hosts: dict[str, str | None], target: str | None, replaces: bool, said: str | None
) -> None:
    decision = decide_hosts(plan(hosts), target, override=False)
    assert decision.replaces is replaces
    assert (decision.sentence is None) if said is None else (said in str(decision.sentence))


@pytest.mark.parametrize(
    "hosts",
    [
        {"A": "http://a", "B": "http://b"},
        {"A": "http://a", "B": None},  # B would call the target with A's credentials
        {"A": "http://a", "B": T},
    ],
)
def test_several_hosts_are_never_replaced_unasked(hosts: dict[str, str | None]) -> None:
    with pytest.raises(UsageError, match=r"--target none.*--override-hosts.*--user-class A"):
        decide_hosts(plan(hosts), T, override=False)
    assert decide_hosts(plan(hosts), T, override=True).replaces


def test_a_class_that_needs_a_host_has_one_or_is_named() -> None:
    with pytest.raises(UsageError, match=r"`--target none`: B of mine\.py names no host"):
        decide_hosts(plan({"A": "http://a", "B": None}), None, override=False)
    assert not decide_hosts(plan({"A": None}, http=False), None, override=False).replaces


def test_host_and_port_become_a_url_for_http_users() -> None:
    options = parse_options(scenario="steady", target="127.0.0.1:9701")
    assert with_scheme(options, plan({"A": None})).target.url == "http://127.0.0.1:9701"
    assert with_scheme(options, plan({"A": None}, http=False)).target.url == "127.0.0.1:9701"
    other = parse_options(scenario="steady", target="mqtt://127.0.0.1:1883")
    with pytest.raises(UsageError, match=r"A of mine\.py speaks HTTP"):
        with_scheme(other, plan({"A": None}))
