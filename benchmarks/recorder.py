"""Measure what it costs to record a request, in addition to the client that sends it.

    python -m benchmarks.recorder

For each request a row is packed and appended. Once a second the times of the rows are computed, and the rows are added
to Locust's totals in bulk and encoded as a frame. Both parts are measured over 20,000 rows, with the recorder and with
Locust's totals only; the result is the minimum of 15 rounds. The values depend on this machine; compare them with the
cost of a whole request (benchmarks/generator.py).
"""

from __future__ import annotations

import struct
import time

from locust.env import Environment  # imported first, because it patches sockets and threads

from benchmarks.machine import keep, where
from loadtest.recording.buffer import RowBuffer, attach
from loadtest.users.totals import Tally, pack_timed

ROWS, ROUNDS = 20_000, 15


def cost_us(*, record: bool) -> tuple[float, float]:
    """Return the µs of CPU per row for appending it, and for its share of the flush once a second."""
    environment = Environment(user_classes=[])
    environment.create_local_runner()
    if record:
        attach(environment, RowBuffer("benchmark"))
    tally = Tally(environment)
    name, method = tally.buffer.name_id("/predict"), tally.buffer.name_id("POST")
    stamp = struct.pack("qq", int(time.time()), 5)
    append_s, flush_s = float("inf"), float("inf")
    for _ in range(ROUNDS):
        sent_ns = time.perf_counter_ns()
        begun_s = time.process_time()
        for number in range(ROWS):
            read_ns = sent_ns + number * 1000 + 1_200_000
            tally.append(pack_timed(sent_ns, read_ns, -1, name, method, 200, 0, 0, 29, 0, -1, -1, stamp))
        appended_s = time.process_time()
        tally.flush()
        if record:
            tally.buffer.take()
        append_s = min(append_s, appended_s - begun_s)
        flush_s = min(flush_s, time.process_time() - appended_s)
    return append_s / ROWS * 1e6, flush_s / ROWS * 1e6


def main() -> None:
    lines = [
        "## Cost of recording per request",
        "",
        "`python -m benchmarks.recorder`: µs of CPU per request, including the loop of the benchmark.",
        "",
        "| | append | flush | together |",
        "|---|---|---|---|",
    ]
    for label, record in (("rows and Locust's totals", True), ("Locust's totals only", False)):
        append_us, flush_us = cost_us(record=record)
        lines.append(f"| {label} | {append_us:.2f} | {flush_us:.2f} | {append_us + flush_us:.2f} |")
    keep("recorder", "\n".join([*lines, "", where("locust", "numpy", "msgpack")]))


if __name__ == "__main__":
    main()
