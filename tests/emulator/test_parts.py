"""The small parts work as specified: log lines, quotas, cgroup trees, and samples of a service's work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loadtest.core.quantities import with_variables
from loadtest.emulator.access_log import Answered, parse_line
from loadtest.emulator.cgroups import CgroupManager, quota_us
from loadtest.emulator.haproxy import Queue, parse_overdue, parse_queue
from loadtest.emulator.sizing import Sample, sample_of


@pytest.mark.parametrize(
    ("line", "status", "slot"),
    [
        ("200 -- 501 512 i1 0", 200, 1),
        ("429 sQ 2003 2003 <NOSRV> 0", 429, None),
        ("503 SH 0 7 i3 0", 503, 3),
        ("- CQ 40 40 <NOSRV> 0", 0, None),  # the client left before it got an answer
        ("502 -- 0 7 i3 0", 502, 3),  # the service's own 502 is not changed
        ("504 sH 0 5002 i1 0", 504, 1),
        ("503 SC 0 9 i2 0", 503, 2),
    ],
)
def test_a_log_line_has_the_status_that_the_client_got(line: str, status: int, slot: int | None) -> None:
    found = parse_line(line)
    assert found is not None
    assert (found.status, found.slot) == (status, slot)


def test_haproxy_s_own_notices_are_no_requests() -> None:
    assert parse_line("Paused frontend fe.") is None
    assert parse_line("200 -- 0 1 hold 0") == Answered(200, None, 0, 1, 0)


def test_stat_lines_without_the_queue_holder_are_the_queue() -> None:
    lines = ("# pxname,svname", "be,hold,0,1,1,1,,1,2", "be,i1,0,0,3,8,,40,2", "be,i2,0,0,0,0,,0,2")
    assert parse_queue("\n".join((*lines, "be,BACKEND,17,20,4,9,400,60,2"))) == Queue(
        pending=17, in_flight={1: 3}, served={1: 40}
    )


@pytest.mark.parametrize("cpu", [0.001, 0.025, 0.07, 0.5, 1.0, 2.0])
def test_the_quota_is_the_cpu_asked_for_and_no_less_than_the_kernel_s_least(cpu: float) -> None:
    quota, period = quota_us(cpu)
    assert quota >= 1000
    assert 1000 <= period <= 1_000_000
    assert quota / period == pytest.approx(cpu, rel=0.01)


def test_a_small_slice_has_the_shortest_period_that_admits_it() -> None:
    assert quota_us(0.025) == (1000, 40_000)


def fake_tree(root: Path, controllers: str = "cpu memory") -> Path:
    (root / "cgroup.controllers").write_text(controllers)
    (root / "cgroup.subtree_control").write_text(controllers)
    return root


def test_version_2_limits_are_written_as_the_kernel_reads_them(tmp_path: Path) -> None:
    cgroups = CgroupManager("mark", fake_tree(tmp_path))
    name = "lt-emulator-mark"
    (tmp_path / name).mkdir()
    (tmp_path / name / "cgroup.subtree_control").write_text("cpu memory")
    cgroups.startup()
    assert cgroups.why_not == ""
    cgroup = cgroups.create("i1")
    cgroup.limit_cpu(0.05)
    cgroup.limit_memory(64 * 2**20)
    cgroup.weigh("starting")
    folder = tmp_path / name / "1-i1"
    assert (folder / "cpu.max").read_text() == "1000 20000"
    assert (folder / "memory.max").read_text() == str(64 * 2**20)
    assert (folder / "cpu.weight").read_text() == "10"
    cgroup.limit_cpu(None)
    assert (folder / "cpu.max").read_text() == "max 100000"
    (folder / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (folder / "memory.events").write_text("low 0\noom_kill 2\n")
    assert (cgroup.cpu_used_s(), cgroup.oom_kills()) == (2.5, 2)


def test_without_cgroups_there_is_no_limit_and_a_sentence_says_so(tmp_path: Path) -> None:
    cgroups = CgroupManager("mark", tmp_path)
    cgroups.startup()
    assert "no limit on cpu and memory" in cgroups.why_not
    cgroup = cgroups.create("i1")
    cgroup.limit_cpu(0.1)
    cgroup.limit_memory(1)
    cgroup.watch(os.getpid())
    assert cgroup.cpu_used_s() > 0  # still counted, from /proc
    assert cgroup.memory_bytes() > 0
    assert cgroup.join_files == ()


def test_the_sample_of_a_service_is_its_shortest_post_with_an_example() -> None:
    schema = {"$ref": "#/components/schemas/Loan"}
    body = {"requestBody": {"content": {"application/json": {"schema": schema}}}}
    openapi = {
        "paths": {"/predict/batch": {"post": body}, "/predict": {"post": body}, "/": {"get": {}}},
        "components": {"schemas": {"Loan": {"examples": [{"Term": 84}]}}},
    }
    assert sample_of(openapi) == Sample("POST", "/predict", b'{"Term": 84}')
    assert sample_of({"paths": {"/": {"get": {}}}}) is None


def test_only_requests_older_than_the_timeout_are_overdue() -> None:
    """A session that waits for its next request is not closed.

    The session has no backend, and its age is counted from the epoch.
    """
    line = "{name}: proto=tcpv4 src=127.0.0.1:1 fe=fe be={be} srv=i1 ts=104 epoch=0x3 age={age} calls=1 rate=0"
    sessions = [
        line.format(name="0x1", be="be", age="5m1s"),
        line.format(name="0x2", be="be", age="4m59s"),
        line.format(name="0x3", be="<NONE>", age="20828d14h"),
        line.format(name="0x4", be="be", age="20828d14h"),
        line.format(name="0x5", be="be", age="1d2h"),
    ]
    assert parse_overdue("\n".join(sessions), timeout_s=300) == ["0x1", "0x5"]


def test_a_command_gets_its_variables_without_a_shell() -> None:
    """`$PORT` and `${PORT}` are replaced.

    Unknown variables, and other special characters of a shell, are not changed.
    """
    words = ("uvicorn", "app:app", "--port", "$PORT", "--url=http://h:${PORT}/", "$PORTAL", "$HOME", "a$", "*.py")
    assert with_variables(words, {"PORT": "8080"}) == [
        "uvicorn", "app:app", "--port", "8080", "--url=http://h:8080/", "$PORTAL", "$HOME", "a$", "*.py",
    ]  # fmt: skip
