"""Parse and validate the options of a run into one frozen object."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from ..core.addresses import DEFAULT_MASTER_PORT, LOOPBACK, is_host, parse_base_url
from ..core.answers import AnswerCheck
from ..core.durations import parse_duration_s
from ..core.errors import UsageError
from ..core.margins import Margin, parse_margin
from ..core.objectives import Objective, parse_objective
from ..core.price_overrides import overrides
from ..core.redaction import redact
from ..fleet.plan import FleetOptions
from ..fleet.scenario import locate
from ..platforms.base import SideOptions, TargetOptions
from ..platforms.registry import INTERLEAVED, URL, names, platform_of

MOST_USERS = 10_000_000
"""Larger numbers are typing errors, because a machine can run only about 10,000 users."""

LONGEST_S = 365 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The validated options of a run. No other code checks the options again.

    Attributes:
        platform: the kind of the platform under load.
        target: the target's options.
        users, spawn_rate, duration_s: these replace the scenario's own values; None keeps the scenario's values.
        user_classes, tags, exclude_tags: the parts of the scenario to run; empty for all.
        shape: the name of the load shape if the scenario has several; `none` to run without one.
        arguments: the scenario's own arguments.
        override_hosts: whether to send all requests to the target, even if the user classes name other hosts.
        fleet: the processes that make the load.
        objectives: objectives in addition to the scenario's own.
        default_objective: whether to add an objective on errors if no objective limits them.
        stop_on: conditions that end the run early.
        check: whether to end the run if all first answers of an endpoint fail.
        check_answers: whether to compare answers under load with reference answers, also for user classes without
            `check_answers`.
        answer_check: how answers are compared, in addition to the classes' own settings.
        prices: fields of `core.prices.Prices` that replace the list prices.
        max_usd: the maximum cost; None for no limit.
        yes: whether load may be sent to another machine without asking.
        runs: the folder in which the run's folder is made.
        margins: how much slower the second of two targets may be.
        until_decided: whether a run with two targets ends as soon as its margins are decided.
    """

    locustfile: Path
    platform: str
    target: TargetOptions
    users: int | None
    spawn_rate: float | None
    duration_s: float | None
    fleet: FleetOptions
    label: str | None
    user_classes: tuple[str, ...] = ()
    shape: str | None = None
    tags: tuple[str, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    override_hosts: bool = False
    objectives: tuple[Objective, ...] = ()
    default_objective: bool = True
    stop_on: tuple[Objective, ...] = ()
    check: bool = True
    check_answers: bool = False
    answer_check: AnswerCheck = field(default_factory=AnswerCheck)
    prices: Mapping[str, object] = field(default_factory=dict)
    max_usd: float | None = None
    yes: bool = False
    runs: Path = Path("runs")
    margins: tuple[Margin, ...] = ()
    until_decided: bool = False


def parse_options(  # long, because each option takes one line in the parameters and one in the result
    *,
    scenario: str,
    target: str = "local",
    label: str | None = None,
    yes: bool = False,
    runs: Path = Path("runs"),
    users: int | None = None,
    spawn_rate: float | None = None,
    duration: str | None = None,
    seed: int = 1,
    default_objective: bool = True,
    user_class: Sequence[str] | None = None,
    shape: str | None = None,
    tags: Sequence[str] | None = None,
    exclude_tags: Sequence[str] | None = None,
    override_hosts: bool = False,
    arguments: Sequence[str] | None = None,
    slo: Sequence[str] | None = None,
    stop_on: Sequence[str] | None = None,
    check: bool = True,
    check_answers: bool = False,
    ignore_field: Sequence[str] | None = None,
    answer_tolerance: float = AnswerCheck().tolerance,
    workers: int | None = None,
    expect_workers: int | None = None,
    bind: str = LOOPBACK,
    port: int = 0,
    join_timeout: str = "60s",
    ui: int | None = None,
    max_cost: float | None = None,
    prices: Path | None = None,
    free_tier: bool = False,
    sides: Sequence[str] | None = None,
    commands: Sequence[str] | None = None,
    services: Sequence[str] | None = None,
    margins: Sequence[str] | None = None,
    until_decided: bool = False,
    **target_options: object,
) -> RunOptions:
    """Return the options of a run.

    The names and values are the same as in `lt run`; `target_options` are the fields of `TargetOptions`.

    Raises:
        UsageError: an option is wrong; the message names it and says what to do.
    """
    try:
        path = locate(scenario)
    except OSError as error:
        raise UsageError(
            f"`--scenario {scenario[:80]}`: there is no such scenario or file ({error.strerror})."
        ) from None
    if "," in str(path):
        raise UsageError(
            f"`--scenario {path}`: Locust would read a comma as the separator of two files; rename the "
            "file or its folder."
        )
    platform, of_target = (
        _two_targets(sides or (), commands or (), services or (), target_options)
        if sides or commands or services
        else _target(target, target_options)
    )
    if max_cost is not None and not platform_of(platform).capabilities.bills:
        raise UsageError(f"`--max-cost {max_cost:g}`: valid only with a platform that bills (`--target cloud`).")
    local, total = _workers(workers, expect_workers)
    _check_numbers(
        users=users, spawn_rate=spawn_rate, max_cost=max_cost, bind=bind, ports={"--port": port, "--ui": ui or 0}
    )
    return RunOptions(
        locustfile=path,
        platform=platform,
        target=of_target,
        users=users,
        spawn_rate=spawn_rate,
        duration_s=None if duration is None else parse_duration(duration, option="--duration"),
        fleet=FleetOptions(
            workers=local,
            expect_workers=total,
            bind=bind,
            port=port or (DEFAULT_MASTER_PORT if total > local else 0),
            join_timeout_s=parse_duration(join_timeout, option="--join-timeout"),
            ui_port=ui,
            seed=seed,
        ),
        default_objective=default_objective,
        label=label,
        user_classes=_each(user_class),
        shape=shape,
        tags=_each(tags),
        exclude_tags=_each(exclude_tags),
        arguments=tuple(arguments or ()),
        override_hosts=override_hosts,
        objectives=tuple(parse_objective(text) for text in slo or ()),
        stop_on=tuple(parse_objective(text, live=True) for text in stop_on or ()),
        check=check,
        check_answers=check_answers,
        answer_check=_answer_check(ignore_field, answer_tolerance),
        prices=overrides(prices, free_tier=free_tier),
        max_usd=max_cost,
        yes=yes,
        runs=runs,
        margins=tuple(parse_margin(text) for text in margins or ()),
        until_decided=until_decided,
    )


def _check_numbers(
    *, users: int | None, spawn_rate: float | None, max_cost: float | None, bind: str, ports: Mapping[str, int]
) -> None:
    """Check that the numbers and the address are within their bounds.

    Raises:
        UsageError: a number or the address is outside its bounds.
    """
    if users is not None and not 1 <= users <= MOST_USERS:
        raise UsageError(f"`--users {users}`: must be at least 1, and at most {MOST_USERS:,}.")
    if spawn_rate is not None and not 0 < spawn_rate <= MOST_USERS:
        raise UsageError(f"`--spawn-rate {spawn_rate:g}`: must be above 0 users/s, and at most {MOST_USERS:,}.")
    if max_cost is not None and not 0 < max_cost < math.inf:
        raise UsageError(f"`--max-cost {max_cost:g}`: must be an amount of USD above 0.")
    if not is_host(bind):
        raise UsageError(f"`--bind {bind}`: give an address of this machine, such as 10.0.0.2.")
    for option, number in ports.items():
        if not 0 <= number <= 65_535:
            raise UsageError(f"`{option} {number}`: a port is a number from 1 to 65535.")


def parse_duration(text: str, *, option: str) -> float:
    """Return whole seconds from `90`, `90s`, `2m`, `1h30m` or `1.5m`. Locust does not accept fractions of a second.

    Raises:
        UsageError: the text has another form, or is not above 0.
    """
    try:
        seconds = parse_duration_s(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_S or seconds % 1:
        raise UsageError(
            f"`{option} {text}`: give a duration such as 90s, 2m or 1h30m, in whole seconds, up to a year."
        )
    return seconds


def _answer_check(ignored: Sequence[str] | None, tolerance: float) -> AnswerCheck:
    try:
        return AnswerCheck(_each(ignored), tolerance)
    except ValueError:
        raise UsageError(f"`--answer-tolerance {tolerance:g}`: must be at least 0 and below 1, such as 1e-6.") from None


def _each(given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names given to a repeatable option; each value may also be a comma-separated list."""
    return tuple(name.strip() for text in given or () for name in text.split(",") if name.strip())


def _workers(workers: int | None, expect_workers: int | None) -> tuple[int, int]:
    """Return the number of workers on this machine, and the total number."""
    local = max(1, (os.cpu_count() or 2) - 1) if workers is None else workers
    total = expect_workers if expect_workers is not None else local
    if workers is None and expect_workers is not None:
        local = 0  # if workers join from other machines, these should usually do the work
    if local < 0 or total < 1:
        raise UsageError(
            f"`--workers {local}`: must be at least 1, unless workers join from other machines with --expect-workers."
        )
    if total < local:
        raise UsageError(
            f"`--expect-workers {total}`: the number includes the {local} workers on this machine; give "
            f"at least {local}."
        )
    return local, total


LOCAL_KIND, CLOUD_KIND = "local", "cloud"

NAME_CHARS = 40
"""The maximum length of a command in a side's name, chosen so that two names fit next to each other on a page."""


def _two_targets(
    sides: Sequence[str], commands: Sequence[str], services: Sequence[str], place: Mapping[str, object]
) -> tuple[str, TargetOptions]:
    """Return the platform of a run against two targets, and its options. `place` says where both services are.

    Raises:
        UsageError: there are not exactly two targets, or a target is not `local`, a URL, a command or a service.
    """
    if sorted(map(len, (sides, commands, services))) != [0, 0, 2]:
        raise UsageError(
            "Give two targets, A and B: URLs, `local`, or commands in quotes that use $PORT; or give --command or "
            "--service twice."
        )
    if not services and (odd := next((name for name, value in place.items() if value is not None), None)):
        raise UsageError(f"`--{odd} {place[odd]}`: valid only with --service.")
    found = [_command(mark, text) for mark, text in zip("AB", commands, strict=False)]
    found += [_side(mark, text) for mark, text in zip("AB", sides, strict=False)]
    found += [_service(mark, text, place) for mark, text in zip("AB", services, strict=False)]
    return INTERLEAVED, TargetOptions(sides=tuple(found))


def _service(mark: str, text: str, place: Mapping[str, object]) -> SideOptions:
    options = TargetOptions(service=text, **place)  # type: ignore[arg-type] # passed by name
    return SideOptions(name=f"{mark} {text.partition('://')[2] or text}", platform=CLOUD_KIND, options=options)


def _command(mark: str, text: str) -> SideOptions:
    shown = redact(text)
    short = shown if len(shown) <= NAME_CHARS else f"{shown[: NAME_CHARS - 1]}…"
    return SideOptions(name=f"{mark} {short}", platform=LOCAL_KIND, options=TargetOptions(command=text))


def _side(mark: str, text: str) -> SideOptions:
    if text == LOCAL_KIND:
        return SideOptions(name=f"{mark} {text}", platform=LOCAL_KIND, options=TargetOptions())
    if len(text.split()) > 1:
        return _command(mark, text)
    url = parse_base_url(text, option=mark, instead="`local`, a command in quotes (`--command`), or ")
    url = url if "://" in url else f"http://{url}"
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"`{mark} {text}`: a side needs a URL with http:// or https://.")
    return SideOptions(name=f"{mark} {url.partition('://')[2]}", platform=URL, options=TargetOptions(url=url))


def _target(text: str, given: Mapping[str, object]) -> tuple[str, TargetOptions]:
    """Return the platform that `--target` names, and its options, which the platform has checked."""
    if unknown := given.keys() - {field.name for field in fields(TargetOptions)}:
        raise UsageError(f"There is no option `{sorted(unknown)[0]}`.")
    named = text in names()
    url = None if named else parse_base_url(text, option="--target", instead=f"{', '.join(names())}, or ")
    options = TargetOptions(**{**given, "url": url})  # type: ignore[arg-type] # passed by name
    kind = text if named else URL
    platform_of(kind).check_options(options)
    return kind, options
