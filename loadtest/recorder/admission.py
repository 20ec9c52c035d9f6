"""Validate workers' messages before the master uses them: whether a worker may join, and the bounds of every value."""

from __future__ import annotations

import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from ..core.errors import RunFolderError
from ..core.row_bounds import MAX_AGE_MS, MAX_BYTES, MAX_LATENCY_MS
from ..recording.frames import Frame, decode_frame
from ..recording.run import FailedBodyRecord, RefusalRecord, TaskErrorRecord, TotalsDifferenceRecord, WrongAnswerRecord
from .messages import join_proof

MAX_WORKER_CHARS = 200
MAX_FRAME_BYTES = 64 * 1024 * 1024
MAX_FRAME_ROWS = 1_000_000
"""Maximum number of rows in one second. The limit is 40 times the highest rate that was measured in one process."""
MAX_COUNT = 2**40
MAX_USERS = 1_000_000
MAX_STRING_CHARS = 600
MAX_LIST = 500
MAX_LATENCY_US = int(MAX_LATENCY_MS) * 1000 + 86_400 * 1_000_000
"""Maximum latency, measured around the client's call. The limit is a day more than the maximum that a client may
report."""
FUTURE_NS = 60 * 1_000_000_000
PAST_NS = 8 * 86_400 * 1_000_000_000
MAX_VERSIONS = 10


class AdmissionError(Exception):
    """A part of a worker's message was rejected.

    `name` is the name under which the rejected part is counted; `lost` says whether rows are missing because of it.
    """

    def __init__(self, name: str, value: object = "", *, lost: bool = True) -> None:
        super().__init__(name)
        self.name = name
        self.value = value
        self.lost = lost


@dataclass(frozen=True, slots=True)
class Greeting:
    """The identity of a worker that joins."""

    worker: str
    host: str
    pid: int
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """A worker's report on one second, with every value within its bounds.

    `frame` is None if the report contains no frame.
    """

    worker: str
    frame: Frame | None
    data: bytes
    rows_sent: int
    begun: int
    resent: int
    time_s: int
    users: int
    in_flight: int
    oldest_s: float
    cpu_ratio: float
    loop_lag_ms: float
    machine: dict[str, float | None]
    connects_repeated: int | None
    refused: int
    silenced_for_s: float
    pause_s: float
    held_by: str
    own_code_ms: float
    clock_step_s: float
    task_errors: tuple[TaskErrorRecord, ...]
    failed_bodies: tuple[FailedBodyRecord, ...]
    refusals: tuple[RefusalRecord, ...]
    custom_methods: tuple[str, ...]
    differences: tuple[TotalsDifferenceRecord, ...]
    ended_why: str
    answers_checked: tuple[int, ...]
    wrong_answers: tuple[WrongAnswerRecord, ...]


MACHINE_COLUMNS = ("machine_cpu_ratio", "machine_steal_ratio", "memory_pressure_ratio")


def check_greeting(data: object, *, client_id: str, secret: str) -> Greeting:
    """Return the identity of the worker that joins.

    Raises:
        AdmissionError: the message lacks the join secret, or is not a handshake of this recorder.
    """
    if not isinstance(data, Mapping):
        raise AdmissionError("greeting is not a map", type(data).__name__, lost=False)
    if secret and not proves(data, client_id=client_id, secret=secret):
        raise AdmissionError("wrong join secret", lost=False)
    versions = data.get("versions")
    if not isinstance(versions, Mapping) or len(versions) > MAX_VERSIONS:
        raise AdmissionError("greeting without versions", lost=False)
    return Greeting(
        worker=_name(data.get("worker"), "worker's name"),
        host=_name(data.get("host"), "worker's host"),
        pid=_count(data.get("pid"), "pid", 2**31),
        versions={_line(name): _line(version) for name, version in versions.items()},
    )


def proves(data: object, *, client_id: str, secret: str) -> bool:
    """Whether a message's `proof` shows that its sender knows the join secret.

    A proof that is not ASCII counts as wrong, and raises no error.
    """
    proof = data.get("proof") if isinstance(data, Mapping) else None
    return isinstance(proof, str) and hmac.compare_digest(proof.encode(), join_proof(secret, client_id).encode())


def check_report(data: object, *, worker: str, now_ns: int | None) -> WorkerReport:
    """Return a worker's report.

    Args:
        data: the message as received.
        worker: the name that the sender gave when it joined.
        now_ns: UTC ns on the worker's clock, as the master estimates it; None if unknown.

    Raises:
        AdmissionError: a value has the wrong type or is out of its bounds.
    """
    if not isinstance(data, Mapping):
        raise AdmissionError("report is not a map", type(data).__name__)
    if data.get("worker") != worker:
        raise AdmissionError("report in another worker's name", data.get("worker"))
    raw = data.get("frame")
    if not isinstance(raw, bytes):
        raise AdmissionError("frame is not bytes", type(raw).__name__)
    return WorkerReport(
        worker=worker,
        frame=_frame(raw, worker, now_ns) if raw else None,
        data=raw,
        rows_sent=_count(data.get("rows_sent"), "rows_sent"),
        begun=_count(data.get("begun"), "begun"),
        resent=_count(data.get("resent", 0), "resent"),
        time_s=_count(data.get("time_s"), "time_s", 2**33),
        users=_count(data.get("users"), "users", MAX_USERS),
        in_flight=_count(data.get("in_flight"), "in_flight", MAX_COUNT),
        oldest_s=_real(data.get("oldest_s"), "oldest_s", 0, MAX_LATENCY_US / 1e6),
        cpu_ratio=_real(data.get("cpu_ratio"), "cpu_ratio", 0, 1_000),
        loop_lag_ms=_real(data.get("loop_lag_ms"), "loop_lag_ms", 0, 1e9),
        machine={name: None if data.get(name) is None else _real(data[name], name, 0, 1) for name in MACHINE_COLUMNS},
        connects_repeated=None
        if data.get("connects_repeated") is None
        else _count(data["connects_repeated"], "connects_repeated"),
        refused=_count(data.get("refused"), "refused"),
        silenced_for_s=_real(data.get("silenced_for_s", 0.0), "silenced_for_s", 0, 1e9),
        pause_s=_real(data.get("pause_s", 0.0), "pause_s", 0, 1e9),
        held_by=_line(data.get("held_by", "")),
        own_code_ms=_real(data.get("own_code_ms", 0.0), "own_code_ms", 0, 1e9),
        clock_step_s=_real(data.get("clock_step_s", 0.0), "clock_step_s", -1e10, 1e10),
        task_errors=_records(data.get("task_errors", ()), TaskErrorRecord, "task_errors"),
        failed_bodies=_records(data.get("failed_bodies", ()), FailedBodyRecord, "failed_bodies"),
        refusals=_records(data.get("refusals", ()), RefusalRecord, "refusals"),
        custom_methods=tuple(_line(method) for method in _list(data.get("custom_methods", ()), "custom_methods")),
        differences=_records(data.get("differences", ()), TotalsDifferenceRecord, "differences"),
        ended_why=_line(data.get("ended_why", "")),
        answers_checked=tuple(
            _count(item, "answers_checked") for item in _list(data.get("answers_checked", ()), "answers_checked")
        ),
        wrong_answers=_records(data.get("wrong_answers", ()), WrongAnswerRecord, "wrong_answers"),
    )


def _frame(data: bytes, worker: str, now_ns: int | None) -> Frame:
    if len(data) > MAX_FRAME_BYTES:
        raise AdmissionError("frame too large", len(data))
    try:
        frame = decode_frame(data)
    except RunFolderError as error:
        raise AdmissionError("frame is damaged", error) from error
    if frame.worker != worker:
        raise AdmissionError("frame in another worker's name", frame.worker)
    if not 0 <= frame.rows <= MAX_FRAME_ROWS:
        raise AdmissionError("frame has too many rows", frame.rows)
    for value, name in ((frame.seq, "seq"), (frame.rows_before, "rows_before"), (frame.begun, "begun")):
        _count(value, f"frame's {name}")
    for text in frame.strings:
        if len(text) > MAX_STRING_CHARS or not (text.isprintable() or text == ""):
            raise AdmissionError("frame has a text that is too long or not printable", text[:80])
    _check_columns(frame, now_ns)
    return frame


def _check_columns(frame: Frame, now_ns: int | None) -> None:
    bounds = {
        "start": (0, 2**62) if now_ns is None else (now_ns - PAST_NS, now_ns + FUTURE_NS),
        "latency_us": (0, MAX_LATENCY_US),
        "late_us": (-1, MAX_LATENCY_US),
        "status": (0, 999),
        "bytes": (0, MAX_BYTES),
        "instance_age_ms": (-1, int(MAX_AGE_MS)),
        "server_us": (-1, MAX_LATENCY_US),
    }
    for name, (low, high) in bounds.items():
        values = np.frombuffer(frame.columns[name], dtype=np.dtype(frame.columns[name].typecode))
        if values.size and not (low <= int(values.min()) and int(values.max()) <= high):
            raise AdmissionError(f"frame's {name} is out of bounds", f"{values.min()} … {values.max()}")
    if frame.rows and not (min(frame.columns["name"]) and min(frame.columns["method"])):
        raise AdmissionError("frame has a row without name or method")


def _count(value: object, name: str, most: int = MAX_COUNT) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise AdmissionError(f"{name} is not a count", value)
    return value


def _real(value: object, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise AdmissionError(f"{name} is not a number", value)
    if not low <= value <= high:
        raise AdmissionError(f"{name} is out of bounds", value)
    return float(value)


def _name(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_WORKER_CHARS or not value.isprintable():
        raise AdmissionError(f"{name} is not a name", value, lost=False)
    return value


def _line(value: object) -> str:
    text = value if isinstance(value, str) else str(value)[:MAX_STRING_CHARS]
    return "".join(char for char in text[:MAX_STRING_CHARS] if char.isprintable())


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, (list, tuple)) or len(value) > MAX_LIST:
        raise AdmissionError(f"{name} is not a list", type(value).__name__)
    return list(value)


_Kind = TypeVar("_Kind", TaskErrorRecord, FailedBodyRecord, RefusalRecord, TotalsDifferenceRecord, WrongAnswerRecord)


def _records(value: object, kind: type[_Kind], name: str) -> tuple[_Kind, ...]:
    """Return records with long texts cut off and control characters removed, except line ends."""
    found = []
    for fields in _list(value, name):
        if not isinstance(fields, Mapping):
            raise AdmissionError(f"{name} is not a list of maps", type(fields).__name__)
        known = {key: _clean(fields[key]) for key in kind.model_fields if key in fields}
        try:
            record = kind.model_validate(known, strict=True)
        except ValidationError as error:
            raise AdmissionError(f"{name} does not have the right form", error) from error
        for field in ("count", "rows", "locust", "status"):
            _count(getattr(record, field, 0), f"{name}: {field}")
        found.append(record)
    return tuple(found)


def _clean(value: object) -> object:
    if not isinstance(value, str):
        return value
    return "".join(char for char in value[:5_000] if char.isprintable() or char == "\n")
