"""Damaged run folders are read as far as they are valid, with a message, or they are refused with a sentence."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loadtest.core.errors import LoadTestError, RunFolderError
from loadtest.recording.folder import RunFolder
from loadtest.recording.housekeeping import export_rows
from loadtest.recording.listing import listed
from loadtest.recording.readers import count_rows
from loadtest.recording.rows import METRICS_SCHEMA
from loadtest.recording.run import Outcome, PlanPoint, ScenarioRecord, WorkerRecord
from loadtest.recording.seal import UNHEARD_FLUSHES
from reports.model import Report
from reports.render.files import write_report
from reports.render.html import render_html
from reports.render.junit import render_junit
from reports.render.markdown import render_markdown
from reports.render.text import render_text
from reports.summary.build import build_report
from reports.verdict import of_runs
from tests.recording.frames import T0, T0_NS, frames, record, spooled

ROWS = 600
FORMATS: tuple[Callable[[Report], str], ...] = (
    render_text,
    render_markdown,
    render_junit,
    render_html,
    Report.model_dump_json,
)

FILES = {
    "unsealed": ("run.json", "requests.spool", "load.csv", "metrics.parquet"),
    "sealed": ("run.json", "requests.parquet", "load.csv", "metrics.parquet", "failures.csv", "summary.json"),
}
NEEDED = ("run.json", "requests.spool", "requests.parquet")

Damage = Callable[[Path, random.Random], None]


def other_number(path: Path, chance: random.Random) -> None:
    """Change one digit, so that the text is still JSON."""
    content = path.read_bytes()
    places = [at for at, byte in enumerate(content) if byte in b"0123456789"]
    if not places:
        return
    at = chance.choice(places)
    content = content[:at] + str((int(chr(content[at])) + chance.randrange(1, 9)) % 10).encode() + content[at + 1 :]
    path.write_bytes(content)


def cut(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    at = chance.randrange(len(content) * 8)
    content[at // 8] ^= 1 << at % 8
    path.write_bytes(content)


def flip_the_end(path: Path, chance: random.Random) -> None:
    """Flip a bit in the last 2 kB, where Parquet keeps its index."""
    content = bytearray(path.read_bytes())
    at = chance.randrange(max(0, len(content) - 2048), len(content))
    content[at] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def scramble(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(chance.choice([1, 200, 100_000])))


def insert(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    at = chance.randrange(len(content))
    path.write_bytes(content[:at] + chance.randbytes(chance.randrange(1, 50)) + content[at:])


def repeat(path: Path, chance: random.Random) -> None:
    """Write the file twice, one copy after the other, or repeat a part of it."""
    content = path.read_bytes()
    path.write_bytes(content + content[: chance.choice([len(content), chance.randrange(1, len(content))])])


def delete(path: Path, _: random.Random) -> None:
    path.unlink()


def empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def dangling_link(path: Path, _: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def link_to_itself(path: Path, _: random.Random) -> None:
    path.unlink()
    path.symlink_to(path)


def folder(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path, _: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to(chance.choice(["/dev/zero", "/dev/null", "/dev/full", "/dev/random"]))


def unix_socket(path: Path, _: random.Random) -> None:
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def huge(path: Path, _: random.Random) -> None:
    os.truncate(path, 3 << 30)  # a sparse file, which uses no space


DAMAGES: tuple[Damage, ...] = (
    cut,
    flip,
    flip_the_end,
    scramble,
    insert,
    repeat,
    delete,
    empty,
    dangling_link,
    link_to_itself,
    folder,
    pipe,
    device,
    unix_socket,
    huge,
    other_number,
)
BY_CHANCE = (cut, flip, flip_the_end, scramble, insert, repeat, other_number)
"""The parts that differ from case to case. The other parts are the same in every case."""


def run_folder(place: Path) -> RunFolder:
    """Return an unsealed run that a killed process left, with every file that a reader opens."""
    plan = [PlanPoint(at_s=0, users=0), PlanPoint(at_s=3, users=50), PlanPoint(at_s=6, users=50)]
    made = record(
        scenario=ScenarioRecord(name="ramp300", plan=plan),
        objectives=["p95 < 300ms", "error_rate < 50%"],
        outcome=Outcome.RUNNING,
    )
    made_folder = spooled(place, frames(ROWS // 10, failed=1), made)
    begin_s = int(T0.timestamp())
    made_folder.append_load(
        [
            {"time_s": begin_s + at, "worker": "w1", "planned_users": f"{at * 10}", "users": at * 10, "in_flight": 1}
            for at in range(6)
        ]
    )
    points = [
        {
            "metric": "run.googleapis.com/container/instance_count",
            "kind": "GAUGE",
            "unit": "1",
            "labels": '{"state": "active", "revision_name": "one"}',
            "start": T0_NS + at * 10**9,
            "end": T0_NS + at * 10**9,
            "value": float(at),
            "distribution": None,
        }
        for at in range(6)
    ]
    made_folder.write_metrics(
        pa.table({name: [point[name] for point in points] for name in METRICS_SCHEMA.names}, schema=METRICS_SCHEMA)
    )
    return made_folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the same run in two states: before it was sealed, and after it was closed as complete."""
    unsealed = run_folder(tmp_path_factory.mktemp("unsealed"))
    sealed = RunFolder(Path(shutil.copytree(unsealed.path, tmp_path_factory.mktemp("sealed") / "run")))
    run = sealed.read_run()
    run.sealed = sealed.seal().file
    run.outcome, run.end, run.reasons = Outcome.COMPLETE, T0, []
    run.workers = [WorkerRecord(name="w1", rows_sent=ROWS, rows_received=ROWS)]
    sealed.write_run(run)
    write_report([sealed.path], build_report([sealed.path]))
    return {"unsealed": unsealed.path, "sealed": sealed.path}


@contextmanager
def bounded(seconds: int, what: str) -> Iterator[None]:
    """Fail instead of waiting forever for a pipe or a device."""

    def give_up(*_: object) -> None:
        raise AssertionError(f"{what}: no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(home: Path, state: str, name: str, what: str) -> None:
    """Assert that the run is refused with a sentence, or reported with its valid rows and a note on the damage."""
    with bounded(60, what):
        try:
            made = build_report([home])
            texts = [render(made) for render in FORMATS]
            write_report([home], made)
        except LoadTestError as error:
            said = str(error)
            assert said, what
            assert name in NEEDED or name == "summary.json", f"{what}: {said}"  # the rest of a run is shown without it
            assert str(home) in said, said
            return
    (run,) = made.runs
    there = count_rows(RunFolder(home))
    assert run.totals.requests == there, what
    assert all(texts), what
    if run.outcome == "complete":
        assert (state, run.totals.requests, run.totals.failed) == ("sealed", ROWS, ROWS // 10), what
    else:
        assert run.reasons, what
        assert of_runs(made.runs).kind != "held", what
        assert "? Yes" not in texts[0], what
    if name in ("load.csv", "metrics.parquet"):
        assert run.totals.requests == ROWS, what


def damaged(sound: Path, home: Path, name: str, damage: Damage, chance: random.Random) -> None:
    shutil.copytree(sound, home)
    damage(home / name, chance)


CASES = [(state, name, damage) for state, names in FILES.items() for name in names for damage in DAMAGES]


@pytest.mark.parametrize(("state", "name"), [(state, name) for state, names in FILES.items() for name in names])
def test_a_damaged_run_is_read_as_far_as_sound_or_refused(
    state: str, name: str, sound: dict[str, Path], tmp_path: Path
) -> None:
    """Every kind of damage is tested on every file. A kind that depends on chance is tested four times."""
    for damage in DAMAGES:
        for case in range(4 if damage in BY_CHANCE else 1):
            what = f"{state}/{name}/{damage.__name__}/{case}"
            home = tmp_path / f"{damage.__name__}{case}"
            damaged(sound[state], home, name, damage, random.Random(what))
            check(home, state, name, what)


@pytest.mark.slow
@pytest.mark.long
def test_ten_thousand_damaged_runs(sound: dict[str, Path], tmp_path: Path) -> None:
    """The same test, 10,000 times, with one to three files damaged at once."""
    chance = random.Random(18)
    for case in range(10_000):
        state = chance.choice(list(FILES))
        names = chance.sample(FILES[state], chance.choice([1, 1, 1, 2, 3]))
        home = tmp_path / "case"
        shutil.copytree(sound[state], home)
        what = f"{case}: {state}"
        for name in names:
            damage = chance.choice(DAMAGES)
            damage(home / name, chance)
            what += f" {name} {damage.__name__}"
        worst = next((name for name in names if name in NEEDED), names[0])
        check(home, state, worst if len(names) == 1 or worst in NEEDED else "summary.json", what)
        shutil.rmtree(home)


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path, compression="zstd")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.slice(0, ROWS // 2), "has 300 rows, but the run's record counts 600"),
        (lambda table: pa.concat_tables([table, table]), "has 1,200 rows, but the run's record counts 600"),
        (lambda table: table.slice(0, 0), "has 0 rows, but the run's record counts 600"),
        (lambda table: table.take(list(range(ROWS))[::-1]), "is not the file that was sealed"),
    ],
)
def test_rows_that_were_changed_are_never_judged_as_complete(
    change: Callable[[pa.Table], pa.Table], said: str, sound: dict[str, Path], tmp_path: Path
) -> None:
    home = Path(shutil.copytree(sound["sealed"], tmp_path / "run"))
    rewrite(home / "requests.parquet", change)
    made = build_report([home])
    assert made.runs[0].outcome == "degraded"
    assert said in " ".join(made.runs[0].reasons)
    assert said in " ".join(render_text(made).split())
    assert of_runs(made.runs).kind == "undecided"


@pytest.mark.parametrize(
    ("old", "new"),
    [('"at_s": 3.0', '"at_s": 4.0'), ('"p95 < 300ms"', '"p95 < 900ms"'), ('"rows_sent": 600', '"rows_sent": 604')],
)
def test_a_record_that_was_changed_is_never_judged_as_complete(
    old: str, new: str, sound: dict[str, Path], tmp_path: Path
) -> None:
    """The file is still JSON after a bit was flipped, but the flip is noticed in any value.

    Layout and order of the keys do not matter.
    """
    home = Path(shutil.copytree(sound["sealed"], tmp_path / "run"))
    path = home / "run.json"
    text = path.read_text()
    assert old in text
    path.write_text(json.dumps(dict(reversed(json.loads(text).items()))))
    assert build_report([home]).runs[0].outcome == "complete"
    path.write_text(text.replace(old, new))
    made = build_report([home])
    assert (made.runs[0].outcome, of_runs(made.runs).kind) == ("degraded", "undecided")
    assert "its digest differs" in " ".join(render_text(made).split())
    edited = json.loads(path.read_text())
    del edited["digest"]
    path.write_text(json.dumps(edited))
    assert build_report([home]).runs[0].outcome == "complete"


def test_another_runs_rows_are_distinguished_from_its_own(sound: dict[str, Path], tmp_path: Path) -> None:
    """Another run has the same number of rows. The fingerprint shows the difference."""
    other = spooled(tmp_path / "other", frames(ROWS // 10, failed=2))
    other.seal()
    home = Path(shutil.copytree(sound["sealed"], tmp_path / "run"))
    shutil.copy(other.rows, home / "requests.parquet")
    made = build_report([home])
    assert "is not the file that was sealed" in " ".join(made.runs[0].reasons)
    assert of_runs(made.runs).kind == "undecided"


@pytest.mark.parametrize("damage", [delete, dangling_link])
def test_no_empty_file_is_written_over_rows_that_are_gone(
    damage: Damage, sound: dict[str, Path], tmp_path: Path
) -> None:
    home = tmp_path / "run"
    damaged(sound["sealed"], home, "requests.parquet", damage, random.Random(0))
    before = {path.name: path.is_symlink() for path in home.iterdir()}
    with pytest.raises(LoadTestError, match=r"deleted or moved|is a broken link"):
        build_report([home])
    assert {path.name: path.is_symlink() for path in home.iterdir()} == before


def test_the_first_reader_corrects_the_record_of_a_killed_master(sound: dict[str, Path], tmp_path: Path) -> None:
    """The record of a killed master says that 0 rows were received.

    The spool has 600 rows in flushes of 10, and 50 users were running.
    """
    home = Path(shutil.copytree(sound["unsealed"], tmp_path / "run"))
    (worker,) = RunFolder(home).ensure_sealed().workers
    assert worker.rows_received == ROWS
    assert (worker.rows_missing_at_most or 0) >= UNHEARD_FLUSHES * 10 + 50
    assert RunFolder(home).read_run().workers[0].rows_received == ROWS


def test_a_folder_whose_name_is_not_text_is_refused_with_a_sentence(sound: dict[str, Path], tmp_path: Path) -> None:
    """No report, and no list for other programs, can contain the name. Other tools do unpack such names."""
    named = Path(os.fsdecode(b"2026\xff-ramp"))
    shutil.copytree(sound["sealed"], tmp_path / named)
    with pytest.raises(RunFolderError, match="not UTF-8"):
        build_report([tmp_path / named])
    with pytest.raises(RunFolderError, match="not UTF-8"):
        export_rows(RunFolder(tmp_path / named), tmp_path / "rows.csv")
    (line,) = listed(tmp_path)
    assert "not UTF-8" in line.why
