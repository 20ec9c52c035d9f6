"""The verb `init`, and `run` without a scenario, lead from a service's document to a report."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import lt
from tests.openapi.odd_services import ODD
from tests.openapi.services import SERVICES
from tests.openapi.test_write import serving

PLAN = ("--users", "5", "--spawn-rate", "5", "--duration", "4s", "--workers", "1")


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "sesame")


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    with serving(SERVICES["path_parameters"]()) as url:
        yield url


def rows(runs: Path) -> pd.DataFrame:
    (path,) = runs.glob("*/requests.parquet")
    return pd.read_parquet(path)


def test_a_run_without_a_scenario_requests_the_operations_of_the_document(shop: str, tmp_path: Path) -> None:
    """Every request gets a 2xx, an item's path is one endpoint, and the generated file is deleted at the end."""
    done = lt("run", "--target", shop.removeprefix("http://"), *PLAN, "--runs", str(tmp_path))
    assert done.code == 0, done.err
    found = rows(tmp_path)
    assert set(found.status) == {200}
    assert set(found.name) <= {"/items", "/writes", "/items/{item_id}", "/items/{item_id}/similar"}
    (record,) = [json.loads(path.read_text()) for path in tmp_path.glob("*/run.json")]
    assert record["scenario"]["name"] == "shop"
    assert not Path(record["scenario"]["path"]).exists()


def test_init_names_the_command_that_runs_what_it_wrote(shop: str, tmp_path: Path) -> None:
    out = tmp_path / "mine.py"
    done = lt("init", shop, "--out", str(out))
    assert (done.code, out.exists()) == (0, True)
    assert f"run --scenario {out} --target {shop}" in done.err
    assert "do not name the instance (header x-instance-id)" in " ".join(done.err.split())
    assert "DELETE /items/{item_id}: left out, DELETE changes existing data" in done.err
    again = lt("init", shop, "--out", str(out))
    assert (again.code, "--force" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["run"], 2, "name a scenario"),
        (["run", "--target", "emulator"], 2, "name a scenario"),
        (["run", "--target", "http://127.0.0.1:9"], 4, "--get /path"),
        (["run", "-s", "ramp300", "--get", "/x"], 2, "cannot be combined with --scenario"),
        (["run", "--target", "http://192.0.2.1"], 2, "Add --yes"),
        (["init", "http://192.0.2.1"], 2, "Add --yes"),
        (["init", "http://127.0.0.1:9"], 4, "Connection refused"),
        (["init", "nothing.json"], 2, "neither a URL"),
        (["init", "pyproject.toml"], 2, "no OpenAPI 3 document"),
        (["init", "http://[::1"], 2, "http://[::1"),
        (["init", "http://a..b/"], 2, "is not a host name"),
    ],
)
def test_impossible_actions_are_reported_with_a_sentence(
    words: list[str], code: int, sentence: str, tmp_path: Path
) -> None:
    runs = ["--runs", str(tmp_path)] if words[0] == "run" else []
    done = lt(*words, *runs)
    assert (done.code, "Traceback" in done.err) == (code, False), done.err
    assert sentence in " ".join(done.err.split())


REAL = SERVICES | ODD
IN_CI = ("upload", "kserve", "enums_and_patterns")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name", [name if name in IN_CI else pytest.param(name, marks=pytest.mark.long) for name in REAL]
)
def test_init_then_run_is_answered(name: str, tmp_path: Path) -> None:
    """At least 99 % of the requests of a real run get a 2xx, for each service."""
    with serving(REAL[name]()) as url:
        out = tmp_path / "scenario.py"
        written = lt("init", url, "--out", str(out))
        assert written.code == 0
        (target,) = re.findall(r"--target (\S+)", written.err)  # with the path of the document's server
        base = lt("run", "-s", str(out), "-t", target, *PLAN, "--runs", str(tmp_path / "runs"))
    found = rows(tmp_path / "runs")
    assert len(found) >= 10, base.err
    assert ((found.status >= 200) & (found.status < 300)).mean() >= 0.99
