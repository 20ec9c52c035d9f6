"""The options of `lt run`: their parsed values, and the message for each invalid one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadtest.core.addresses import DEFAULT_MASTER_PORT, is_loopback, parse_address
from loadtest.core.errors import UsageError
from loadtest.runs.options import parse_duration, parse_options


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"scenario": "nosuch"}, "`--scenario nosuch`: there is no such scenario or file. Bundled: arrival300, cold,"),
        ({"target": "moon"}, "`--target moon`: give local, emulator, cloud, none, or a URL"),
        ({"target": "ftp://"}, "`--target ftp://`: give local, emulator, cloud, none, or a URL"),
        ({"target": "http://x:99999"}, "the port must be a number from 1 to 65535"),
        ({"target": "http://me:pw@x"}, "give only the base URL"),
        ({"target": "http://x/?a=1"}, "give only the base URL"),
        ({"workers": 0}, "`--workers 0`: must be at least 1"),
        ({"workers": -1, "expect_workers": 2}, "`--workers -1`: must be at least 1"),
        (
            {"workers": 3, "expect_workers": 2},
            "`--expect-workers 2`: the number includes the 3 workers on this machine",
        ),
        ({"users": 0}, "`--users 0`: must be at least 1"),
        ({"spawn_rate": 0.0}, "`--spawn-rate 0`: must be above 0 users/s"),
        ({"spawn_rate": float("nan")}, "`--spawn-rate nan`: must be above 0 users/s"),
        ({"spawn_rate": float("inf")}, "`--spawn-rate inf`: must be above 0 users/s"),
        ({"duration": "soon"}, "`--duration soon`: give a duration such as 90s"),
        ({"duration": "0"}, "`--duration 0`: give a duration such as 90s"),
        ({"duration": "0.5s"}, "in whole seconds"),
        ({"join_timeout": ""}, "`--join-timeout `: give a duration such as 90s"),
        ({"port": 70_000}, "`--port 70000`: a port is a number from 1 to 65535"),
        ({"target": "emulator", "command": ""}, "`--command`: '' is empty"),
        ({"target": "emulator", "command": "a 'b"}, "has an unclosed quotation mark"),
        ({"ui": -1}, "`--ui -1`: a port is a number from 1 to 65535"),
    ],
)
def test_an_invalid_option_gets_a_sentence_that_names_it(words: dict[str, Any], sentence: str) -> None:
    """The message says what is wrong, the value, and what to do."""
    with pytest.raises(UsageError) as caught:
        parse_options(**{"scenario": "ramp300", **words})
    assert sentence in str(caught.value)


def test_a_path_with_a_comma_is_refused(tmp_path: Path) -> None:
    """Locust would read the name as two files."""
    path = tmp_path / "a,b.py"
    path.write_text("")
    with pytest.raises(UsageError, match="comma"):
        parse_options(scenario=str(path))


def test_defaults_are_one_machine_on_loopback() -> None:
    """Without options: the local service, at least one local worker, and a free port on loopback."""
    options = parse_options(scenario="ramp300")
    assert (options.platform, options.target.url, options.fleet.bind, options.fleet.port) == (
        "local",
        None,
        "127.0.0.1",
        0,
    )
    assert options.fleet.workers == options.fleet.expect_workers >= 1
    assert (options.users, options.spawn_rate, options.duration_s) == (None, None, None)


def test_expected_workers_come_from_elsewhere_unless_some_are_named() -> None:
    """`--expect-workers 2` starts no local worker and uses Locust's own port.

    With `--workers 1` in addition, one of the two workers is local.
    """
    elsewhere = parse_options(scenario="ramp300", expect_workers=2)
    assert (elsewhere.fleet.workers, elsewhere.fleet.expect_workers, elsewhere.fleet.port) == (
        0,
        2,
        DEFAULT_MASTER_PORT,
    )
    mixed = parse_options(scenario="ramp300", workers=1, expect_workers=2, port=7000)
    assert (mixed.fleet.workers, mixed.fleet.expect_workers, mixed.fleet.port) == (1, 2, 7000)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("1.5m", 90), ("1.1m", 66)]
)
def test_durations(text: str, seconds: float) -> None:
    """Hours, minutes and seconds are accepted. A number without a unit is in seconds."""
    assert parse_duration(text, option="--duration") == seconds


@pytest.mark.parametrize(
    ("text", "address"),
    [("10.0.0.2", ("10.0.0.2", DEFAULT_MASTER_PORT)), ("m:7", ("m", 7)), ("[::1]:7", ("::1", 7))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    """An address is a host, followed by the port if that is not Locust's own port."""
    assert parse_address(text, option="--master") == address


@pytest.mark.parametrize("text", ["", ":7", "a:b", "http://x", "a@b", "a:99999"])
def test_addresses_that_are_none(text: str) -> None:
    """The message names the option and gives an example."""
    with pytest.raises(UsageError, match=r"`--master .*10\.0\.0\.2:5557"):
        parse_address(text, option="--master")


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://localhost", True),
        ("http://api.localhost:1", True),
        ("http://[::1]:8080", True),
        ("http://127.0.0.1.example.com", False),
        ("http://0.0.0.0", False),
        ("https://x.run.app", False),
    ],
)
def test_loopback_is_this_machine_alone(url: str, here: bool) -> None:
    """For any other host, load may leave the machine, so the user is asked."""
    assert is_loopback(url) is here
