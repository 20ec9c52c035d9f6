"""The emulator behaves like Cloud Run with real processes."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest

from loadtest.core.cloud_metrics import PREFIX
from loadtest.core.errors import EmulatorError
from loadtest.emulator import revision
from loadtest.emulator.cgroups import Cgroup, CgroupManager
from loadtest.emulator.control import LocalCloudRun
from loadtest.emulator.instance import Instance, Run, State
from loadtest.emulator.model import (
    EmulatorOptions,
    Phase,
    RevisionTemplate,
    Sampling,
    ServiceKey,
    StartupProbe,
    TemplateError,
)
from loadtest.emulator.process_supervisor import ProcessSupervisor
from tests.emulator.local import APP, KEY, Answer, deployed, eventually, get, local_cloud_run, told

SECONDS = Sampling(1.0)


def instances(emulator: LocalCloudRun, state: State = State.SERVING) -> list[int]:
    """Return the pids of the service's instances in a state, of all its revisions."""
    return [
        instance.pid
        for revision in emulator.find(KEY).revisions
        for instance, _, _ in revision.instances()
        if instance.state is state and instance.pid is not None
    ]


def limited() -> bool:
    slices = CgroupManager("test")
    slices.startup()
    slices.shutdown()
    return not slices.why_not


needs_cgroups = pytest.mark.skipif(not limited(), reason="cgroups cannot be written here, so nothing is limited")


def test_a_deployed_service_starts_at_zero_and_answers_the_first_request_through_the_queue() -> None:
    async def story() -> None:
        async with local_cloud_run() as emulator:
            url = await deployed(emulator, RevisionTemplate(command=APP, env=(("GREETING", "hello"),)))
            assert instances(emulator) == []
            pid, *names = (await get(url, "/who")).text.split()
            assert names == [emulator.service(KEY).latest_ready_revision, "counting", "counting", "hello"]
            assert instances(emulator) == [int(pid)]
            assert told(emulator, "1 desired by on demand: 1 pending")

    asyncio.run(story())


@pytest.mark.parametrize("concurrency", [1, 8, 80])
def test_an_instance_is_never_given_more_than_its_concurrency(concurrency: int) -> None:
    async def story() -> None:
        async with local_cloud_run() as emulator:
            url = await deployed(emulator, RevisionTemplate(command=APP, concurrency=concurrency, max_instances=1))
            answers = await asyncio.gather(*(get(url, "/?ms=20") for _ in range(concurrency * 3 + 10)))
            assert {answer.status for answer in answers} == {200}
            assert max(int(answer.text) for answer in answers) == concurrency  # the service's own count

    asyncio.run(story())


def test_a_crashed_instance_is_answered_503_and_replaced() -> None:
    async def story() -> None:
        async with local_cloud_run() as emulator:
            url = await deployed(emulator, RevisionTemplate(command=APP, min_instances=1))
            assert (await get(url, "/crash")).status == 503
            for _ in range(50):  # the kernel may accept connections for the process while it ends
                if (answer := await get(url, "/who")).status == 200:
                    break
                await asyncio.sleep(0.1)
            assert answer.status == 200
            assert told(emulator, "Container called exit(3).")

    asyncio.run(story())


@needs_cgroups
def test_an_instance_beyond_its_memory_is_killed_in_cloud_run_s_words() -> None:
    async def story() -> None:
        async with local_cloud_run() as emulator:
            template = RevisionTemplate(command=APP, memory_bytes=64 * 2**20, min_instances=1)
            url = await deployed(emulator, template)
            assert (await get(url, "/fill?mib=200")).status == 503
            await eventually(
                lambda: told(emulator, "Memory limit of 64 MiB exceeded with 64 MiB used. Consider increasing"),
                "the sentence about the memory limit",
            )

    asyncio.run(story())


@needs_cgroups
def test_an_instance_uses_no_more_cpu_than_its_slice() -> None:
    async def story() -> None:
        async with local_cloud_run() as emulator:
            url = await deployed(emulator, RevisionTemplate(command=APP, cpu=0.1, min_instances=1))
            (revision,) = emulator.find(KEY).revisions
            ((instance, _, _),) = revision.instances()
            before_s, began_s = instance.cpu_used_s(), time.monotonic()
            await get(url, "/burn?ms=100")
            used_s, took_s = instance.cpu_used_s() - before_s, time.monotonic() - began_s
            assert used_s >= 0.1
            assert used_s / took_s <= 0.13  # 10 %, plus the rounding of a period at either end

    asyncio.run(story())


def test_what_is_idle_for_its_idle_time_is_stopped_and_the_minimum_stays() -> None:
    async def story() -> None:
        async with local_cloud_run(EmulatorOptions(idle_s=1.0, sampling=SECONDS)) as emulator:
            url = await deployed(emulator, RevisionTemplate(command=APP, concurrency=1, min_instances=1))
            await asyncio.gather(*(get(url, "/?ms=300") for _ in range(4)))
            most = len(instances(emulator))
            assert most > 1
            await eventually(lambda: told(emulator, "stopped after its idle time"), "an idle instance to be stopped")
            await eventually(lambda: not instances(emulator, State.STANDBY), "the surplus to be gone")
            assert 1 <= len(instances(emulator)) < most
            assert (await get(url)).status == 200

    asyncio.run(story())


def test_an_instance_that_ignores_sigterm_is_killed() -> None:
    async def story() -> None:
        children, slices = ProcessSupervisor("test"), CgroupManager("test")
        slices.startup()
        run = Run(APP, (("STUBBORN", "1"),), cpu=1.0, memory_bytes=2**29, cpu_boost=True, probe=StartupProbe())
        instance = Instance("stubborn", 1, run, supervisor=children, cgroups=slices)
        await instance.start()
        pid = instance.pid
        assert pid is not None
        await instance.stop(grace_s=0.2)
        assert not psutil.pid_exists(pid)
        assert instance.why_gone == ""  # the instance was asked to end, so no reason is recorded
        slices.shutdown()
        children.shutdown()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("file", "said"),
    [
        # can be opened, but refuses every write
        (
            "/dev/full",
            "cannot join its cgroup: /dev/full cannot be written. ",
        ),
        ("/nosuch/cgroup.procs", "its cgroup: /nosuch/cgroup.procs cannot be written (No such file or directory). "),
    ],
)
def test_a_process_that_may_not_join_its_cgroup_is_an_error_and_not_an_endless_wait(
    file: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is not the reason, so the message does not say to check it."""
    monkeypatch.setattr(Cgroup, "join_files", (Path(file),))

    async def story() -> None:
        async with local_cloud_run() as emulator:
            emulator.create_service(KEY, RevisionTemplate(command=APP))
            status = await emulator.settled(KEY, 1)
            assert status.phase is Phase.FAILED
            assert f"{said}Run as root, or in a delegated cgroup." in status.message
            assert "--command" not in status.message

    asyncio.run(story())


def test_a_limit_that_cannot_be_written_is_an_error_that_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "/sys/fs/cgroup/x/memory.max")

    monkeypatch.setattr(Cgroup, "limit_memory", refused)

    async def story() -> None:
        async with local_cloud_run() as emulator:
            emulator.create_service(KEY, RevisionTemplate(command=APP))
            status = await emulator.settled(KEY, 1)
            assert status.phase is Phase.FAILED
            assert "cannot be limited: /sys/fs/cgroup/x/memory.max cannot be written (Read-only" in status.message
            assert "--command" not in status.message

    asyncio.run(story())


@needs_cgroups
def test_an_emulator_at_real_time_priority_runs_its_instances_at_normal_priority() -> None:
    """The kernel refuses a real-time process in a cgroup without a real-time budget, and never limits one."""

    async def story() -> None:
        async with local_cloud_run() as emulator:
            await deployed(emulator, RevisionTemplate(command=APP, min_instances=1))
            (pid,) = instances(emulator)
            assert os.sched_getscheduler(pid) == os.SCHED_OTHER

    before, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pytest.skip("real-time priority is not permitted here")
    try:
        asyncio.run(story())
    finally:
        os.sched_setscheduler(0, before, priority)


@pytest.mark.parametrize(
    ("env", "probe", "words"),
    [
        ((("EXIT_WITH", "7"),), StartupProbe(), ("Container called exit(7)", "last words before the end")),
        ((("START_S", "60"),), StartupProbe(period_s=0.5), ("failed to start and listen on the port", "0.5 s")),
        ((), StartupProbe(kind="http", path="/missing", period_s=0.5), ("failed to start and listen",)),
    ],
)
def test_a_startup_probe_that_never_passes_fails_the_deploy(
    env: tuple[tuple[str, str], ...], probe: StartupProbe, words: tuple[str, ...]
) -> None:
    async def story() -> None:
        async with local_cloud_run() as emulator:
            emulator.create_service(KEY, RevisionTemplate(command=APP, env=env, startup_probe=probe))
            status = await emulator.settled(KEY, 1)
            assert status.phase is Phase.FAILED
            assert all(word in status.message for word in words), status.message

    asyncio.run(story())


def test_an_unexpected_error_fails_the_deploy_and_leaves_no_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vCPU is chosen while the first instance runs."""

    async def choose(*_: object, **__: object) -> None:
        raise TypeError("no such size")

    monkeypatch.setattr(revision, "choose_cpu", choose)

    async def story() -> None:
        async with local_cloud_run() as emulator:
            emulator.create_service(KEY, RevisionTemplate(command=APP, cpu=None))
            status = await emulator.settled(KEY, 1)
            assert status.phase is Phase.FAILED
            assert "TypeError: no such size" in status.message
            (failed,) = emulator.find(KEY).revisions
            assert failed.phase is Phase.FAILED
            assert failed.instances() == []

    asyncio.run(story())


def test_a_failed_update_leaves_the_revision_before_it_serving() -> None:
    async def story() -> None:
        async with local_cloud_run() as emulator:
            url = await deployed(emulator, RevisionTemplate(command=APP))
            emulator.update_service(KEY, RevisionTemplate(command=(*APP,), env=(("EXIT_WITH", "1"),)))
            status = await emulator.settled(KEY, 2)
            assert status.phase is Phase.FAILED
            assert status.latest_ready_revision != status.latest_created_revision
            assert (await get(url, "/who")).text.split()[1] == status.latest_ready_revision

    asyncio.run(story())


def test_a_revision_without_traffic_waits_until_it_is_named() -> None:
    async def story() -> None:
        async with local_cloud_run() as emulator:
            url = await deployed(emulator, RevisionTemplate(command=APP))
            old = emulator.service(KEY).latest_ready_revision
            template = RevisionTemplate(command=APP, env=(("GREETING", "new"),))
            emulator.update_service(KEY, template, traffic=old)
            new = (await emulator.settled(KEY, 2)).latest_ready_revision
            assert new != old
            assert (await get(url, "/who")).text.split()[1] == old
            emulator.update_service(KEY, template, traffic=new)
            await emulator.settled(KEY, 3)
            assert (await get(url, "/who")).text.split()[1] == new

    asyncio.run(story())


@pytest.mark.parametrize(
    "template",
    [
        RevisionTemplate(concurrency=0),
        RevisionTemplate(cpu=0.0),
        RevisionTemplate(min_instances=5, max_instances=4),
        RevisionTemplate(timeout_s=0),
        RevisionTemplate(memory_bytes=0),
    ],
)
def test_a_template_that_cannot_work_is_refused_before_anything_starts(template: RevisionTemplate) -> None:
    async def story() -> None:
        async with local_cloud_run() as emulator:
            with pytest.raises(TemplateError, match="must be"):
                emulator.create_service(KEY, template)
            assert emulator.services() == []

    asyncio.run(story())


@pytest.mark.parametrize("name", ["../../x", "a/b", "A", "a b"])
def test_a_name_that_is_no_cloud_run_name_is_refused_at_the_door(name: str) -> None:
    async def story() -> None:
        async with local_cloud_run() as emulator:
            for key in (ServiceKey(name), ServiceKey("ok", project=name), ServiceKey("ok", location=name)):
                with pytest.raises(TemplateError, match="must"):
                    emulator.create_service(key, RevisionTemplate(command=APP))
            with pytest.raises(TemplateError, match="revision name"):
                emulator.create_service(KEY, RevisionTemplate(command=APP, revision_name=f"counting-{name}"))
            assert emulator.services() == []

    asyncio.run(story())


def test_only_the_command_it_was_started_with_runs() -> None:
    async def story() -> None:
        emulator = LocalCloudRun(EmulatorOptions(command=APP))
        emulator.startup()
        try:
            with pytest.raises(TemplateError, match="--allow-any-command"):
                emulator.create_service(KEY, RevisionTemplate(command=("touch", "/tmp/no")))
            with pytest.raises(TemplateError, match="--allow-any-command"):
                emulator.create_service(KEY, RevisionTemplate(args=("--more",)))
            status = emulator.create_service(KEY, RevisionTemplate(command=APP))
            assert (await emulator.settled(KEY, status.generation)).phase is Phase.READY
            with pytest.raises(TemplateError, match="--allow-any-command"):
                emulator.update_service(KEY, RevisionTemplate(command=("touch", "/tmp/no")))
        finally:
            await emulator.shutdown()

    asyncio.run(story())


def test_an_app_on_127_0_0_1_only_does_not_become_ready_and_the_reason_is_reported() -> None:
    async def story() -> None:
        async with local_cloud_run() as emulator:
            emulator.create_service(KEY, RevisionTemplate(command=APP, env=(("HOST", "127.0.0.1"),)))
            status = await emulator.settled(KEY, 1)
            assert status.phase is Phase.FAILED
            assert "listen on 0.0.0.0" in status.message

    asyncio.run(story())


def test_an_instance_gets_a_clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREETING", "from the shell")

    async def story() -> None:
        async with local_cloud_run() as emulator:
            url = await deployed(emulator, RevisionTemplate(command=APP))
            assert (await get(url, "/who")).text.split()[-1] == "-"

    asyncio.run(story())


def test_a_busy_port_is_refused_with_a_cure() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            async with local_cloud_run() as emulator:
                with pytest.raises(EmulatorError, match="give another --port"):
                    emulator.create_service(KEY, RevisionTemplate(command=APP), front_port=taken.getsockname()[1])

    asyncio.run(story())


def test_a_thousand_in_flight_survive_scale_in_a_new_revision_and_lose_only_a_killed_instance_s() -> None:
    """500 clients send two requests each, and 500 send one long request each. Meanwhile one instance dies and a new
    revision takes over.

    The old revision's instances are then scaled in under the remaining load.
    """
    concurrency = 100

    async def client(url: str, paths: list[str]) -> list[Answer]:
        return [await get(url, path, timeout_s=90) for path in paths]

    async def story() -> None:
        async with local_cloud_run(EmulatorOptions(idle_s=1.0, sampling=SECONDS)) as emulator:
            template = RevisionTemplate(command=APP, concurrency=concurrency, max_instances=30)
            url = await deployed(emulator, template)
            (old,) = emulator.find(KEY).revisions
            short = [asyncio.create_task(client(url, ["/?ms=2500", "/?ms=1000"])) for _ in range(500)]
            long = [asyncio.create_task(client(url, ["/?ms=6000"])) for _ in range(500)]

            def in_flight() -> int:
                return sum(count for _, count, _ in old.instances())

            await eventually(lambda: in_flight() == 1000 and not old.pending, "1,000 requests at instances")
            victim = max(old.instances(), key=lambda instance: instance[1])[0]
            assert victim.pid is not None
            os.kill(victim.pid, signal.SIGKILL)
            emulator.update_service(KEY, RevisionTemplate(command=APP, concurrency=concurrency, cpu=0.5))
            status = await emulator.settled(KEY, 2)
            assert status.phase is Phase.READY
            answers = [answer for answers in await asyncio.gather(*short, *long) for answer in answers]
            failed = [answer for answer in answers if answer.status != 200]
            assert len(answers) == 1500
            assert {answer.status for answer in failed} == {503}
            assert len(failed) <= concurrency
            assert told(emulator, "Uncaught signal: 9")
            await eventually(lambda: not old.instances(), "the old revision's instances to be gone")
            counts = [revision.record.by_code for revision in emulator.find(KEY).revisions]
            assert sum(count.get(503, 0) for count in counts) == len(failed)  # its own metrics agree
            assert sum(sum(count.values()) for count in counts) == 1500
            assert counts[1].get(503, 0) == 0  # the new revision lost nothing

    asyncio.run(story())


def test_what_is_recorded_is_what_was_answered() -> None:
    async def story() -> None:
        async with local_cloud_run() as emulator:
            url = await deployed(emulator, RevisionTemplate(command=APP, concurrency=10))
            await asyncio.gather(*(get(url, "/?ms=10") for _ in range(60)))

            def counted() -> float:
                found = emulator.series(PREFIX + "request_count", start_s=0, end_s=time.time())
                return sum(point.value for series in found for point in series.points if isinstance(point.value, int))

            await eventually(lambda: counted() == 60, "all 60 in the metrics")

    asyncio.run(story())
