"""Limits of shapes, ends of runs, lost workers, and the modules that are sent to other machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gevent
import locust
import pytest
from locust import LoadTestShape
from locust.env import Environment

from loadtest.recorder.bounds import Bounds, apply_bounds, bounded
from loadtest.recorder.bundle import BundleError, gather, lay_out
from loadtest.recorder.ending import MasterEnding, forward_ending
from loadtest.recorder.liveness import HUNG_S, SILENT_S, STOPPED_S, Process, judge


@pytest.mark.parametrize(
    ("tick", "elapsed_s", "expected"),
    [
        ((30, 30), 0, (3, 2)),
        ((2, 1), 4.9, (2, 1)),
        ((30, 30, ["A"]), 1, (3, 2, ["A"])),
        ((1, 1), 5, None),
        (None, 0, None),
    ],
)
def test_a_shape_gets_no_more_than_the_options_allow(tick: Any, elapsed_s: float, expected: Any) -> None:
    assert bounded(tick, Bounds(users=3, spawn_rate=2, duration_s=5), elapsed_s) == expected
    assert bounded(tick, Bounds(), elapsed_s) == tick


class Wave(LoadTestShape):
    def tick(self) -> tuple[int, float]:
        return 9, 9


class Flat(Wave):
    def tick(self) -> tuple[int, float]:
        return 1, 1


def test_a_shape_is_chosen_by_name_and_stays_the_scenarios_own() -> None:
    """The scenario's own shape object is used, because the scenario's listeners may refer to it."""
    wave, flat = Wave(), Flat()
    environment = Environment(shape_class=wave, available_shape_classes={"Wave": wave, "Flat": flat})  # type: ignore[dict-item]
    apply_bounds(environment, Bounds(shape="Flat", users=5), lambda: None)
    assert environment.shape_class is flat
    apply_bounds(environment, Bounds(shape="Wave", users=5), lambda: None)
    assert environment.shape_class is wave
    assert wave.tick() == (5, 9)
    apply_bounds(environment, Bounds(shape="none"), lambda: None)
    assert environment.shape_class is None


class LeavingRunner:
    """A fake master. Each time the number of workers is read, one worker has left."""

    def __init__(self, workers: int) -> None:
        self.left = workers
        self.did: list[str] = []
        self.clients = self.server = self.greenlet = self
        self.stop = lambda **_: self.did.append("stop")
        self.quit = self.register_message = lambda *_: None

    @property
    def all(self) -> list[Any]:
        return [type("Client", (), {"id": str(at)}) for at in range(self.left)]

    @property
    def worker_count(self) -> int:
        self.did.append("look")
        self.left = max(0, self.left - 1)
        return self.left

    def send_to_client(self, message: Any) -> None:
        self.did.append(message.type)

    def kill(self, **_: object) -> None:
        self.did.append("end")


def test_a_master_that_quits_waits_for_its_workers_and_for_no_time() -> None:
    """Locust calls `quit` up to four times at the end of a run, and each of its own calls waits 0.5 s."""
    runner: Any = LeavingRunner(workers=2)
    ending = MasterEnding(Environment(), runner, lambda _: None)
    ending._quit()
    assert runner.did == ["stop", "quit", "quit", "look", "look", "end"]
    runner.did.clear()
    ending._quit()
    assert runner.did == ["stop", "look", "end"]


def test_the_end_of_the_duration_does_not_wait_for_users_that_start_slowly() -> None:
    """Locust asks the shape only after the users of its last answer have been started."""
    ended: list[bool] = []
    environment = Environment(shape_class=Wave())
    apply_bounds(environment, Bounds(duration_s=0.01), lambda: ended.append(True))
    environment.events.test_start.fire(environment=environment)
    with gevent.Timeout(5):
        while not ended:
            gevent.sleep(0.005)


class Worker:
    """A worker's runner that only records its calls."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def quit(self) -> None:
        self.did.append("quit")

    def stop(self) -> None:
        self.did.append("stop")

    def send_message(self, kind: str, data: dict[str, str]) -> None:
        self.did.append(f"{kind} {data['where']}")


def test_the_scenario_ends_the_whole_run_and_locust_one_worker(tmp_path: Path) -> None:
    """A call is the scenario's if its code is not Python's, Locust's or ours, or if it comes directly from a
    greenlet.
    """
    runner: Any = Worker()
    forward_ending(runner)
    names: dict[str, Any] = {}
    exec(compile("def end(runner):\n    runner.quit()\n", str(tmp_path / "mine.py"), "exec"), names)
    names["end"](runner)
    gevent.spawn(runner.stop).join()
    assert runner.did == ["lt_ending mine.py, line 2", "lt_ending in a greenlet that it started"]
    runner.did.clear()
    locusts = str(Path(locust.__file__).parent / "runners.py")
    exec(compile("def handle(runner):\n    runner.stop()\n", locusts, "exec"), names)
    gevent.spawn(names["handle"], runner).join()
    assert runner.did == ["stop"]


@pytest.mark.parametrize(
    ("silent_s", "process", "lost"),
    [
        (8, Process.RUNNING, False),
        (HUNG_S + 1, Process.RUNNING, True),
        (0, Process.GONE, True),
        (STOPPED_S - 1, Process.STOPPED, False),
        (STOPPED_S + 1, Process.STOPPED, True),
        (8, Process.ELSEWHERE, False),
        (SILENT_S + 1, Process.ELSEWHERE, True),
    ],
)
def test_a_worker_is_lost_by_its_process_or_by_its_silence(silent_s: float, process: Process, lost: bool) -> None:
    verdict = judge(silent_s, process)
    assert verdict.lost is lost
    assert bool(verdict.why) is lost


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("/init", "/__init__")
        path = path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_scenario_travels_with_every_module_that_it_imports(tmp_path: Path) -> None:
    """These include modules of packages, modules in the working folder, and imports inside functions.

    Installed packages are not sent.
    """
    project, cwd = tmp_path / "project", tmp_path / "cwd"
    text = "import json, gevent, parts.paths, loadtest\ndef task():\n    from common import late\n"
    write(project, locustfile=text, parts__init="from . import deep", parts__paths="", parts__deep="import sibling")
    write(project, sibling="", unrelated="")
    write(cwd, common__late="from .own import X", common__own="X = 1", locustfile="")
    files = gather(project / "locustfile.py", [project, cwd])
    expected = "common/late.py common/own.py locustfile.py parts/__init__.py parts/deep.py parts/paths.py sibling.py"
    assert sorted(files) == expected.split()
    lay_out(files, tmp_path / "there")
    assert (tmp_path / "there/parts/deep.py").read_text() == "import sibling"
    assert (tmp_path / "there/locustfile.py").read_text() == text


@pytest.mark.parametrize("name", ["../x.py", "/tmp/x.py", "a/../../x.py"])
def test_nothing_is_written_outside_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        lay_out({name: b""}, tmp_path / "there")


def test_workers_that_did_not_join_in_time_are_counted_with_a_cure() -> None:
    """If all workers joined, there is no message, because the run ended for another reason."""
    from loadtest.recorder.ending import missing_workers

    assert missing_workers(2, 3, 15).startswith("2 of 3 workers joined within 15 s: ")
    assert "--join-timeout" in missing_workers(2, 3, 15)
    assert missing_workers(3, 3, 15) == ""
