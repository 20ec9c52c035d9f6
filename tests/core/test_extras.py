"""If a part of the installation is missing, the message names the command that installs it."""

from __future__ import annotations

import tomllib

import pytest

from loadtest.cli.app import message_of
from loadtest.core.errors import UnusableError
from loadtest.core.exit_codes import ExitCode
from loadtest.core.extras import EXTRAS, missing_extra, require
from tests.conftest import ROOT


def test_the_extras_are_those_of_the_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(declared) == {*EXTRAS, "all"}
    assert declared["all"] == [f"lt[{','.join(EXTRAS)}]"]


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("catboost", "service"),
        ("grpc", "cloud"),
        ("google", "cloud"),
        ("google.cloud", "cloud"),
        ("starlette", "emulator"),
    ],
)
def test_an_import_that_fails_says_which_extra_it_needs(module: str, extra: str) -> None:
    said, code = message_of(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert f"`{module}`" in said
    assert f"pip install 'lt[{extra}]'" in said
    assert code == ExitCode.UNUSABLE


def test_another_module_that_is_missing_is_a_defect() -> None:
    assert missing_extra(ModuleNotFoundError(name="nosuchthing")) is None
    assert "defect" in message_of(ModuleNotFoundError("No module named 'nosuchthing'", name="nosuchthing"))[0]


def test_only_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for extra in EXTRAS:
        require(extra, "The test")
    monkeypatch.setitem(EXTRAS, "service", ("fastapi", "nosuchthing"))  # type: ignore[arg-type] # it is a dict
    with pytest.raises(UnusableError, match=r"The test needs `nosuchthing`.*pip install 'lt\[service\]'") as raised:
        require("service", "The test")
    assert raised.value.cure == "pip install 'lt[service]'"
