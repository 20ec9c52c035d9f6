"""Both images of the Dockerfile are really built and run: by buildah on a Debian base, without Docker."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from target_service.schema import EXAMPLES
from tests.buildah import ROOT, Builder, builder, cannot_build

DOCKERFILE = (ROOT / "Dockerfile").read_text()
needs_builder = pytest.mark.skipif(cannot_build() is not None, reason=str(cannot_build()))


def stage(name: str) -> str:
    """Return the lines of one stage of the Dockerfile."""
    (text,) = re.findall(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, flags=re.MULTILINE | re.DOTALL)
    return str(text)


@pytest.mark.parametrize("target", ["service", "loadgen"])
def test_an_image_runs_as_a_user_and_brings_no_build_tools(target: str) -> None:
    assert re.search(r"^USER app$", stage(target), flags=re.MULTILINE)
    assert not re.search(r"^RUN ", stage(target), flags=re.MULTILINE), "commands belong in the -packages stage"


@pytest.mark.parametrize("target", ["service", "loadgen"])
def test_packages_are_installed_before_the_code_is_copied(target: str) -> None:
    """Therefore only the last layers are rebuilt after a change of the code."""
    text = stage(f"{target}-packages")
    assert text.index("uv sync --frozen") < text.index("COPY ")


def test_nothing_is_sent_to_the_build_but_what_is_copied() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, flags=re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert allowed == copied


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    with builder(tmp_path_factory.mktemp("images")) as ready:
        yield ready


@pytest.fixture(scope="module")
def service(buildah: Builder) -> Iterator[tuple[dict[str, Any], str, int, subprocess.Popen[bytes]]]:
    """The service image while it runs: its configuration, its container, its port, and the process that runs it."""
    config = buildah.build("service")
    container = buildah("from", "service")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = buildah.command("run", "--isolation", "chroot", "--env", f"PORT={port}", container, "--", *config["Cmd"])
    process = subprocess.Popen(running)
    until_s = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until_s:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz").close()
            break
        except OSError:
            time.sleep(0.05)
    yield config, container, port, process
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
    process.wait()


def stats(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats") as answer:
        counted: dict[str, int] = json.load(answer)
    return counted


Running = tuple[dict[str, Any], str, int, "subprocess.Popen[bytes]"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@needs_builder
def test_the_service_image_answers_on_the_port_it_is_given(buildah: Builder, service: Running) -> None:
    config, container, port, _ = service
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict", json.dumps(EXAMPLES[0]).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        assert 0 < json.load(answer)["default_probability"] < 1
    assert config["User"] == "app"
    assert buildah.run(container, "id", "-u") != "0"
    test, *check = config["Healthcheck"]["Test"]
    assert test == "CMD"
    command = ["env", f"PORT={port}", *check]
    buildah.run(container, *command)
    assert "refused" in buildah.fails(container, "env", "PORT=1", *check)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@needs_builder
def test_the_service_image_holds_what_serving_needs_and_its_byte_code(buildah: Builder, service: Running) -> None:
    _, container, _, _ = service
    for unwanted in ("locust", "gevent", "pandas", "scipy", "matplotlib", "pip", "uv"):
        assert "No module named" in buildah.fails(container, "/venv/bin/python3", "-Ic", f"import {unwanted}")
    sources = buildah.run(container, "find", "/app", "/venv/lib", "-name", "app.py", "-path", "*target_service*")
    assert sources == "/app/target_service/app.py"
    assert buildah.run(container, "find", "/app/target_service/__pycache__", "-name", "app.*.pyc")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@needs_builder
def test_the_loadgen_image_loads_the_service_image_which_then_drains(buildah: Builder, service: Running) -> None:
    config = buildah.build("loadgen")
    container = buildah("from", "loadgen")
    assert config["User"] == "app"
    assert buildah.run(container, "id", "-u") != "0"
    for unwanted in ("catboost", "fastapi", "pandas", "pip", "uv"):
        assert "No module named" in buildah.fails(container, "/venv/bin/python3", "-Ic", f"import {unwanted}")
    _, _, port, process = service
    before = stats(port)["predictions"]
    words = ["-f", "scenarios/steady.py", "--headless", "-t", "3s"]
    buildah.run(container, *config["Entrypoint"], *words, "--host", f"http://127.0.0.1:{port}")
    assert stats(port)["predictions"] > before
    inside = [
        child for child in psutil.Process(process.pid).children(recursive=True) if "target_service" in child.cmdline()
    ]
    inside[-1].send_signal(signal.SIGTERM)  # the first lines are from buildah and name the command
    assert process.wait(timeout=30) == 0
