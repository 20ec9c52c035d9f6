"""An emulator as a separate process answers, returns its state, and always leaves nothing behind when it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from loadtest.core.cloud_metrics import PREFIX
from loadtest.core.errors import EmulatorError
from loadtest.emulator import cgroups, folders, handle
from loadtest.emulator.handle import EmulatorConfig, EmulatorHandle
from loadtest.emulator.model import EmulatorOptions, RevisionTemplate, Sampling, ServiceKey
from tests.conftest import ROOT, Until, lt, started
from tests.emulator.local import APP

SECONDS = EmulatorOptions(sampling=Sampling(1.0))


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A separate folder for this test's emulators, because others may run and be killed on this machine meanwhile."""
    path = Path(tempfile.mkdtemp(prefix="e-", dir="/tmp"))  # a short path for sockets
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    MARKS.clear()
    yield path
    shutil.rmtree(path, ignore_errors=True)


MARKS: set[str] = set()
"""Marks of the emulators that the running test has seen; their cgroups carry them."""


def mine() -> list[folders.EmulatorFolder]:
    """Return the folders of this test's emulators."""
    found = [folder for folder in folders.emulator_folders() if folder.path.parent == Path(os.environ["TMPDIR"])]
    MARKS.update(folder.mark for folder in found if folder.mark)
    return found


def leftovers(pids: list[int]) -> list[str]:
    """Return what still exists: these processes, and this test's cgroups and folders that have no living owner."""
    found = [f"process {pid}" for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
    alive = {folder.mark for folder in mine() if folder.owner and folder.owner.may_live}
    slices = [path for mark in MARKS - alive for path in cgroups.CGROUP_ROOT.glob(f"**/*{mark}")]
    return [*found, *(str(folder.path) for folder in mine() if folder.mark not in alive), *map(str, slices)]


def family(pid: int) -> list[int]:
    mine()
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def test_a_synchronous_process_starts_reads_and_stops_one(tmp_path: Path) -> None:
    log = tmp_path / "emulator.log"
    order = EmulatorConfig(RevisionTemplate(command=APP, concurrency=8), options=SECONDS)
    with EmulatorHandle.start(order, log=log) as emulator:
        pid = int(get(emulator.url + "/who").split()[0])
        state = emulator.state()
        (service,) = state["services"]
        (revision,) = service["revisions"]
        assert (service["url"], service["phase"], revision["concurrency"]) == (emulator.url, "ready", 8)
        assert [item["pid"] for item in revision["instances"]] == [pid]
        assert revision["decision"]["reason"]
        pids = family(state["emulator"]["pid"])
        assert pid in pids
    assert leftovers(pids) == []
    assert "serves after" in log.read_text()


def test_a_deploy_that_fails_is_an_error_with_the_last_lines_and_leaves_nothing() -> None:
    with pytest.raises(EmulatorError, match="last words before the end"):
        EmulatorHandle.start(EmulatorConfig(RevisionTemplate(command=APP, env=(("EXIT_WITH", "5"),))))
    assert leftovers([]) == []


def test_the_emulator_stops_everything_when_its_parent_is_killed(until: Until) -> None:
    """If the parent is killed with -9, the pipe closes, and the end of its stdin tells the emulator to stop."""
    script = (
        "import sys, time\n"
        "from loadtest.emulator.model import RevisionTemplate\n"
        "from loadtest.emulator.handle import EmulatorHandle, EmulatorConfig\n"
        f"emulator = EmulatorHandle.start(EmulatorConfig(RevisionTemplate(command={APP!r}, min_instances=2)))\n"
        "print(emulator.state()['emulator']['pid'], flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    pids = family(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: leftovers(pids) == [], "everything to be gone")


def test_after_kill_9_its_children_die_and_the_next_start_removes_the_rest(until: Until) -> None:
    order = EmulatorConfig(RevisionTemplate(command=APP, min_instances=2))
    emulator = EmulatorHandle.start(order)
    pid = emulator.state()["emulator"]["pid"]
    pids = family(pid)
    assert len(pids) >= 4  # the emulator itself, HAProxy, and two instances
    os.kill(pid, signal.SIGKILL)
    until(
        lambda: not [leftover for leftover in leftovers(pids[1:]) if leftover.startswith("process")],
        "its children to die",
    )
    with EmulatorHandle.start(order):
        assert leftovers(pids[1:]) == []
    emulator.stop()


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
def test_whoever_started_an_emulator_that_cannot_clean_up_does_it(
    what: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handle, "STOP_WITHIN_S", 0.5)
    emulator = EmulatorHandle.start(EmulatorConfig(RevisionTemplate(command=APP, min_instances=2)))
    pid = emulator.state()["emulator"]["pid"]
    pids = family(pid)
    os.kill(pid, what)
    emulator.stop()
    assert leftovers(pids) == []


def test_a_start_ends_although_the_emulator_was_paused_during_it(until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle, "STOPPED_S", 0.1)
    monkeypatch.setattr(handle, "STOP_WITHIN_S", 0.5)
    before = {child.pid for child in psutil.Process().children()}

    def pause() -> bool:
        """Pause the new child process as soon as there is one."""
        new = [child for child in psutil.Process().children() if child.pid not in before]
        for child in new:
            child.suspend()
        return bool(new)

    with ThreadPoolExecutor(1) as pool:
        paused = pool.submit(until, pause, "the emulator's process")
        with pytest.raises(EmulatorError, match="was paused during its start"):
            EmulatorHandle.start(EmulatorConfig(RevisionTemplate(command=APP)))
        assert paused.result()
    assert {child.pid for child in psutil.Process().children()} <= before


@pytest.mark.usefixtures("many_open_files")
def test_a_process_with_many_open_files_can_start_one() -> None:
    with subprocess.Popen([sys.executable, "-c", "print('ready')"], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.fileno() >= 1024
        assert handle._first_line(child) == "ready\n"


def test_an_emulator_that_is_paused_or_has_ended_is_noticed_and_stopped(until: Until) -> None:
    emulator = EmulatorHandle.start(EmulatorConfig(RevisionTemplate(command=APP)))
    pid = emulator.state()["emulator"]["pid"]
    assert emulator.why_stuck() == ""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: "was paused" in emulator.why_stuck(), "the stop to be noticed")
    os.kill(pid, signal.SIGCONT)
    until(lambda: emulator.why_stuck() == "", "it to go on")
    emulator.stop()
    assert "ended" in emulator.why_stuck()
    assert leftovers([pid]) == []


def test_a_second_service_is_not_recorded_with_the_run() -> None:
    from loadtest.platforms.emulator import FACTS, _facts

    def service(name: str, why: str, *, serving: bool = True) -> dict[str, object]:
        revision = dict.fromkeys(FACTS) | {"serving": serving, "cpu_why": why}
        return {"name": name, "project": "local", "location": "local", "revisions": [revision]}

    config = EmulatorConfig(key=ServiceKey("mine"))
    state = {"services": [service("a-neighbour", "its own"), service("mine", "the run's")]}
    assert _facts(state, config)["cpu_why"] == "the run's"
    assert _facts({"services": [service("a-neighbour", "its own")]}, config) == {}
    assert _facts({"services": [service("mine", "none", serving=False)]}, config) == {}


def test_ctrl_c_stops_the_verb_and_everything_it_started() -> None:
    words = (sys.executable, APP[1])
    with started("emulate", "--port", "0", "--min-instances", "1", "--command", " ".join(words)) as process:
        assert process.stdout is not None
        service, state = (process.stdout.readline().split()[-1] for _ in range(2))
        assert get(service + "/?ms=1") == "1"
        pids = family(json.loads(get(state))["emulator"]["pid"])
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert leftovers(pids) == []


def test_invalid_options_are_refused_with_a_sentence() -> None:
    done = lt("emulate", "--memory", "lots")
    assert (done.code, "512Mi" in done.err) == (2, True)
    done = lt("emulate", "--max-instances", "0", "--port", "0")
    assert (done.code, "`--max-instances 0`: give a whole number from 1 to 1000" in done.err) == (2, True)


@pytest.mark.skipif(not (shutil.which("hey") or shutil.which("wrk")), reason="neither hey nor wrk is installed (apt)")
def test_load_tools_at_zero_get_every_answer_and_the_official_client_counts_the_same(until: Until) -> None:
    import grpc
    from google.cloud.monitoring_v3 import MetricServiceClient
    from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

    template = RevisionTemplate(command=APP, concurrency=8, max_instances=5)
    with EmulatorHandle.start(EmulatorConfig(template, options=SECONDS)) as emulator:
        assert emulator.state()["services"][0]["revisions"][0]["instances"] == []  # scaled to zero
        answered, slack = load(emulator.url + "/?ms=5")
        channel = grpc.insecure_channel(emulator.api_endpoint)
        client = MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))
        bearer = [("authorization", f"Bearer {emulator.token}")]

        def counted() -> int:
            now_s = int(time.time())
            request = {
                "name": "projects/local",
                "filter": f'metric.type="{PREFIX}request_count"',
                "interval": {"start_time": {"seconds": now_s - 300}, "end_time": {"seconds": now_s}},
            }
            return sum(
                point.value.int64_value
                for series in client.list_time_series(request=request, metadata=bearer)
                for point in series.points
                if series.metric.labels["response_code"] == "200"
            )

        until(lambda: answered <= counted() <= answered + slack, f"the metrics to count {answered}")
        assert emulator.state()["services"][0]["revisions"][0]["lost_log_lines"] == 0
        channel.close()


def load(url: str) -> tuple[int, int]:
    """Send requests with hey, then with wrk.

    Return how many requests were answered with 200, and how many more may have been.

    When its time is over, wrk drops the requests in flight: at most one per connection.
    """
    answered = slack = 0
    if shutil.which("hey"):
        words = ["hey", "-n", "600", "-c", "60", "-t", "60", url]
        done = subprocess.run(words, capture_output=True, text=True, timeout=90, check=True)
        counts = re.findall(r"\[(\d+)\]\s+(\d+) responses", done.stdout)
        assert counts == [("200", "600")], done.stdout
        answered += 600
    if shutil.which("wrk"):
        words = ["wrk", "-t1", "-c60", "-d2s", "--timeout", "60s", url]
        done = subprocess.run(words, capture_output=True, text=True, timeout=90, check=True)
        assert "Non-2xx" not in done.stdout
        assert "Socket errors" not in done.stdout
        found = re.search(r"(\d+) requests in", done.stdout)
        assert found is not None
        answered, slack = answered + int(found[1]), 60
    return answered, slack
