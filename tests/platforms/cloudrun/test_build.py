"""A build runs the commands that a person would type, in order, and stops at the first that fails."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path

import pytest

from loadtest.core.errors import CloudError, UsageError
from loadtest.platforms.cloudrun.build import (
    build_commands,
    delete_command,
    deploy_command,
    image_name,
    run_all,
    source_tag,
)
from loadtest.platforms.cloudrun.settings import ServiceSettings
from tests.conftest import lt

IMAGE = image_name(project="demo", region="europe-west2", service="ml", tag="1")
SETTINGS = ServiceSettings(service="ml", project="demo", region="europe-west2", image=IMAGE, max_instances=5)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH whose docker and gcloud record their arguments.

    docker or gcloud fails if the file `fail` names it.
    """
    for name in ("docker", "gcloud"):
        tool = tmp_path / name
        tool.write_text(
            "#!/bin/sh\n"
            f'echo {name} "$@" >> {tmp_path}/typed\n'
            f'[ ! -e {tmp_path}/fail ] || ! echo "{name} $@" | grep -q -f {tmp_path}/fail\n'
        )
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def typed(tools: Path) -> list[str]:
    return [" ".join(shlex.split(line)[:4]) for line in (tools / "typed").read_text().splitlines()]


def test_a_local_build_makes_the_repository_only_when_it_is_missing(tools: Path) -> None:
    commands = build_commands(IMAGE, project="demo", region="europe-west2", how="local")
    run_all(commands, folder=tools, on_start=lambda _: None)
    assert typed(tools) == [
        "gcloud artifacts repositories describe",
        "gcloud auth configure-docker europe-west2-docker.pkg.dev",
        "docker build --platform linux/amd64",
        f"docker push {IMAGE}",
    ]
    (tools / "typed").unlink()
    (tools / "fail").write_text("describe")
    run_all(commands, folder=tools, on_start=lambda _: None)
    assert typed(tools)[:2] == ["gcloud artifacts repositories describe", "gcloud artifacts repositories create"]


def test_a_cloud_build_submits_the_service_target(tools: Path) -> None:
    run_all(
        build_commands(IMAGE, project="demo", region="europe-west2", how="cloud"), folder=tools, on_start=lambda _: None
    )
    assert typed(tools)[-1] == "gcloud builds submit --config"
    config = Path(__file__).parents[3] / "deploy" / "cloudbuild.yaml"
    assert "docker build --target service " in config.read_text()


def test_a_step_that_fails_ends_the_build_and_is_named(tools: Path) -> None:
    (tools / "fail").write_text("docker build")
    with pytest.raises(CloudError, match=r"docker build.*ended with status 1"):
        run_all(build_commands(IMAGE, project="demo", region="r", how="local"), folder=tools, on_start=lambda _: None)
    assert not [line for line in typed(tools) if line.startswith("docker push")]


def test_a_missing_docker_is_reported_with_the_alternative(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tools / "docker").unlink()
    monkeypatch.setenv("PATH", str(tools) + os.pathsep + "/nowhere")
    with pytest.raises(CloudError, match="--build cloud"):
        run_all(
            build_commands(IMAGE, project="demo", region="r", how="local")[2:], folder=tools, on_start=lambda _: None
        )


def test_another_base_reaches_both_ways_of_building() -> None:
    local, cloud = (
        [command.argv for command in build_commands(IMAGE, project="demo", region="r", how=how, base="mirror/py:1")]
        for how in ("local", "cloud")
    )
    assert local[2][-3:-1] == ("--build-arg", "PYTHON_IMAGE=mirror/py:1")
    assert f"_IMAGE={IMAGE},_OPTIONS=--build-arg PYTHON_IMAGE=mirror/py:1" in cloud[1]


def test_the_tag_is_the_same_for_the_same_sources(tmp_path: Path) -> None:
    """A second deploy therefore uses the same image.

    Compiled byte code, which running the service leaves behind, does not count as a source.
    """
    (tmp_path / "target_service" / "__pycache__").mkdir(parents=True)
    for name in ("Dockerfile", "pyproject.toml", "uv.lock", "target_service/app.py"):
        (tmp_path / name).write_text(name)
    first = source_tag(tmp_path)
    (tmp_path / "target_service" / "__pycache__" / "app.pyc").write_text("compiled")
    (tmp_path / "README.md").write_text("not in the image")
    assert source_tag(tmp_path) == first
    assert source_tag(tmp_path, base="mirror/py:1") != first
    (tmp_path / "target_service" / "app.py").write_text("changed")
    assert source_tag(tmp_path) != first
    (tmp_path / "Dockerfile").unlink()
    with pytest.raises(UsageError, match="no Dockerfile"):
        source_tag(tmp_path)


@pytest.mark.parametrize(
    "words", [("--image", "a:1", "--build", "cloud"), ("--endpoint", "127.0.0.1:9", "--base-image", "b:1")]
)
def test_contradicting_options_are_refused(words: tuple[str, ...]) -> None:
    done = lt("deploy", *words)
    assert (done.code, words[-2] in done.err) == (2, True)


def test_the_deploy_is_shown_as_gcloud_would_be_typed() -> None:
    words = deploy_command(SETTINGS).argv
    assert words[:4] == ("gcloud", "run", "deploy", "ml")
    assert {"--no-allow-unauthenticated", "--allow-unauthenticated", "--no-traffic"}.isdisjoint(words)
    changed = dataclasses.replace(
        SETTINGS, public=True, env=(("A", "1,2"), ("B", "x y")), takes_traffic=False, cpu_boost=False
    )
    line = str(deploy_command(changed))
    assert shlex.split(line) == list(deploy_command(changed).argv)
    for part in ("--allow-unauthenticated", "'^;^A=1,2;B=x y'", "--no-traffic", "--no-cpu-boost", "--max-instances 5"):
        assert part in line


def test_the_delete_is_shown_as_gcloud_would_be_typed() -> None:
    assert str(delete_command(SETTINGS)) == "gcloud run services delete ml --project demo --region europe-west2"
