"""A platform consists of one class and one line. Nothing else in the project knows its name."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtest.core.console import Console, LogConsole
from loadtest.core.errors import UsageError
from loadtest.platforms import registry
from loadtest.platforms.base import DeployOptions, ScenarioNeeds, Target, TargetOptions
from loadtest.platforms.cloudrun.tokens import IdTokens, TokenServer
from loadtest.platforms.registry import platform_of
from loadtest.recording.capabilities import CLOUD_RUN, EMULATOR, LOCAL
from loadtest.recording.choice import newest_pair
from loadtest.recording.run import Run, TargetRecord
from loadtest.runs.options import parse_options
from loadtest.runs.run import run
from reports.render.text import render_text
from reports.summary.build import build_report
from tests.conftest import ROOT
from tests.platforms.cloudrun.test_tokens import jwt
from tests.platforms.toy import Toy


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_PLATFORMS", dict(registry._PLATFORMS))
    registry.register("toy", "tests.platforms.toy:Toy")


def test_a_new_platform_is_one_file_and_one_line(toy: None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The platform is opened, put under load, recorded with its capabilities, asked for its data, and reported."""
    caplog.set_level(logging.INFO, "loadtest")
    options = parse_options(
        scenario="ramp300", target="toy", users=2, spawn_rate=2, duration="2s", workers=1, runs=tmp_path
    )
    done = run(options)
    assert (done.record.outcome, done.record.reasons) == ("complete", [])
    stored = Run.model_validate_json((done.folder.path / "run.json").read_text("utf-8"))
    assert (stored.target.kind, stored.target.capabilities.scales) == ("toy", True)
    rows = len(done.folder.read_rows(["start"]))
    assert f"toy counted {rows}" in caplog.text
    assert "toy" in render_text(build_report([done.folder.path]))
    (tmp_path / "again").symlink_to(done.folder.path)
    assert [folder.read_run().target.kind for folder in newest_pair(tmp_path)[0]] == ["toy"]


def test_a_platform_refuses_unsupported_options(toy: None, tmp_path: Path) -> None:
    """The cases: limits if the platform creates no service, a cost limit if it bills nothing, an unknown name."""
    for words, sentence in (
        ({"cpu": "1"}, r"`--cpu 1`: valid only where the run creates the service"),
        ({"max_cost": 1.0}, r"`--max-cost 1`: valid only with a platform that bills"),
    ):
        with pytest.raises(UsageError, match=sentence):
            parse_options(scenario="ramp300", target="toy", **words)  # type: ignore[arg-type] # of the table above
    with pytest.raises(UsageError, match=r"There is no platform `moon` here; there are local, .*, toy"):
        registry.platform_of("moon")


def test_a_deploy_goes_to_the_platform_that_declares_it(toy: None) -> None:
    """The verb checks the capability. A platform without the capability says that it accepts no deploy."""
    assert registry.deployable().capabilities.can_deploy
    with pytest.raises(UsageError, match="Nothing can be deployed to `toy`"):
        registry.platform_of("toy").deployment(DeployOptions(service="x"), dry_run=True, console=LogConsole())


@pytest.mark.parametrize(("kind", "known"), [("local", LOCAL), ("emulator", EMULATOR), ("cloud", CLOUD_RUN)])
def test_a_run_from_before_capabilities_were_recorded_has_those_of_its_kind(kind: str, known: object) -> None:
    assert TargetRecord.model_validate({"kind": kind, "url": "http://x"}).capabilities == known


@pytest.mark.parametrize(
    ("url", "here", "priced"),
    [
        ("http://127.0.0.1:1", True, False),
        ("https://ml-abc.a.run.app", False, True),
        ("http://x", False, False),
        ("http://[::1", False, False),
    ],
)
def test_of_a_url_it_is_known_where_it_is_and_whose(url: str, here: bool, priced: bool) -> None:
    found = TargetRecord(kind="url", url=url).capabilities
    assert (found.on_this_machine, found.priced, found.bills) == (here, priced, False)


def test_no_code_compares_the_names_of_platforms() -> None:
    """Only platforms, and the table for old runs, may compare names.

    The pattern does not cover `--build cloud`, which means Cloud Build and is not a platform.
    """
    compared = re.compile(
        r"""(?:kind|platform|target)\s*(?:[!=]=|(?:not )?in)\s*[("']+\s*(?:local|emulator|cloud|url)"""
    )
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for top in ("loadtest", "reports")
        for path in sorted((ROOT / top).rglob("*"))
        if path.suffix in (".py", ".j2")
        for line in path.read_text("utf-8").splitlines()
        if compared.search(line)
    ]
    assert found == []


class Private(Toy):
    """A toy platform whose server requires a token for its own address."""

    @contextmanager
    def open(self, options: TargetOptions, *, needs: ScenarioNeeds, console: Console) -> Iterator[Target]:
        del needs, console
        assert options.service is not None
        with TokenServer(IdTokens(options.service, fetch=lambda audience: jwt(2e9, audience))) as served:
            yield Target(TargetRecord(kind="cloud", url=f"https://{options.service}"), environment=served.environment)


def given(path: str) -> str:
    """Return the token that a socket serves."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(path)
        return str(json.load(asked.makefile())["token"])


def test_each_of_two_services_has_a_source_of_tokens_for_its_own_audience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_PLATFORMS", dict(registry._PLATFORMS))
    registry.register("cloud", f"{__name__}:Private")
    options = parse_options(scenario="ramp300", services=["one", "two"], region="europe-west2")
    assert [side.name for side in options.target.sides] == ["A one", "B two"]
    assert {side.options.region for side in options.target.sides} == {"europe-west2"}
    with platform_of("ab").open(options.target, needs=ScenarioNeeds(), console=LogConsole()) as target:
        assert sorted(target.environment) == ["LT_TOKEN_SOCKET_A", "LT_TOKEN_SOCKET_B"]
        got = [given(target.environment[f"LT_TOKEN_SOCKET_{mark}"]) for mark in "AB"]
    assert got == [jwt(2e9, "one"), jwt(2e9, "two")]
