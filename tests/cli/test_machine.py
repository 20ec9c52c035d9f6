"""The doctor's checks of this machine: each line is good, or contains the command that fixes the problem."""

from __future__ import annotations

import socket
from pathlib import Path

from loadtest.cli.machine import check_cpu, check_disk, check_files, check_load, check_machine, check_port, check_python
from loadtest.platforms.cloudrun.checks import Mark


def test_every_line_that_is_not_good_has_a_command(tmp_path: Path) -> None:
    found = list(check_machine(users=300, workers=1, runs=tmp_path / "runs"))
    names = {check.name.split()[0] for check in found}
    assert {"python", "port", "open", "cores", "load", "disk", "haproxy", "cgroups", "browser"} == names
    assert not [check for check in found if check.mark is not Mark.GOOD and not check.cure]


def test_an_old_python_is_bad() -> None:
    assert check_python((3, 11, 0)).mark is Mark.GOOD
    assert check_python((3, 10, 9)).mark is Mark.BAD


def test_a_port_that_is_listened_on_is_taken() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        taken = check_port(port)
        assert taken.mark is Mark.RISKY
        assert str(port) in taken.cure
    assert check_port(port).mark is Mark.GOOD


def test_a_million_users_need_more_files_than_any_worker_has() -> None:
    # 1,000,000 / 2 + 256 further files
    check = check_files(users=1_000_000_000, workers=2)
    assert check.mark is Mark.BAD
    assert "500000256" in check.finding
    assert check_files(users=1, workers=1).mark is Mark.GOOD


def test_a_worker_needs_a_core_of_its_own() -> None:
    assert check_cpu(workers=1, cores=2).mark is Mark.GOOD
    assert check_cpu(workers=2, cores=2).mark is Mark.RISKY
    assert check_cpu(workers=5, cores=2).mark is Mark.BAD


def test_a_busy_machine_is_risky() -> None:
    assert check_load(busy=0.2, cores=2).mark is Mark.GOOD
    assert check_load(busy=1.5, cores=2).mark is Mark.RISKY


def test_a_folder_that_can_be_made_is_good(tmp_path: Path) -> None:
    assert check_disk(tmp_path / "not" / "yet").mark is Mark.GOOD
