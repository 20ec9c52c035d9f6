"""A fetched scenario that cannot be written leaves no temporary folder."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from loadtest.recorder import fetch
from loadtest.recorder.bundle import BundleError

GOOD = {
    "files": {"steady.py": b"import own", "own.py": b""},
    "locustfile": "steady.py",
    "options": {"host": "http://x"},
}
OUTSIDE = {**GOOD, "files": {"steady.py": b"", "../own.py": b""}}
FILE_AND_FOLDER = {**GOOD, "files": {"own": b"", "own/more.py": b""}}
"""The second file needs a folder where the first one is, so the disk refuses it."""


@pytest.fixture
def tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary folders."""
    path = tmp_path / "tmp"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def master(monkeypatch: pytest.MonkeyPatch, answer: Mapping[str, Any]) -> None:
    monkeypatch.setattr(fetch, "_ask", lambda *_: answer)


def test_a_scenario_is_written_with_its_modules_and_options(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    master(monkeypatch, GOOD)
    folder, locustfile = fetch.fetch("127.0.0.1", 1, 1.0)
    assert folder.parent == tmp
    assert Path(locustfile).read_bytes() == b"import own"
    assert (folder / fetch.OPTIONS).read_text() == '{"host": "http://x"}'


@pytest.mark.parametrize(("answer", "error"), [(OUTSIDE, BundleError), (FILE_AND_FOLDER, OSError)])
def test_a_scenario_that_cannot_be_written_leaves_no_folder(
    answer: Mapping[str, Any], error: type[Exception], tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master(monkeypatch, answer)
    with pytest.raises(error):
        fetch.fetch("127.0.0.1", 1, 1.0)
    assert list(tmp.iterdir()) == []


def test_a_given_folder_is_never_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder belongs to the caller, who may have other files in it."""
    given = tmp_path / "given"
    given.mkdir()
    (given / "notes").write_text("kept")
    master(monkeypatch, OUTSIDE)
    with pytest.raises(BundleError):
        fetch.fetch("127.0.0.1", 1, 1.0, given)
    assert (given / "notes").read_text() == "kept"


def test_a_refused_write_is_reported_as_a_sentence(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    master(monkeypatch, FILE_AND_FOLDER)
    with pytest.raises(SystemExit) as ended:
        fetch.main(["127.0.0.1", "1", "1"])
    assert ended.value.code == fetch.STATUS
    assert capsys.readouterr().err.startswith("No scenario from 127.0.0.1:1: ")
    assert list(tmp.iterdir()) == []
