"""Compute the workers, cores, storage and network that a rate of requests needs: `python -m benchmarks.sizing`.

The benchmark measures what a worker's report costs the master (Locust's own statistics, decoding and checking the
frame, appending it), and the size of a row on the wire, in the spool and in Parquet. Its inputs are the generator's CPU
per request (from benchmarks/results/generator.md, made by `python -m benchmarks.generator`, or --request-us) and the
share of a core that a worker may use. The table is computed only from these values, by the functions below.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.machine import RESULTS, keep, where
from loadtest.recording.buffer import RowBuffer
from loadtest.recording.folder import RunFolder
from loadtest.recording.frames import decode_frame
from loadtest.recording.run import Run, ScenarioRecord, TargetRecord
from target_service.schema import EXAMPLES

GUIDE = Path(__file__).parents[1] / "docs" / "distributed.md"
BEGIN, END = "<!-- sizing: made by `python -m benchmarks.sizing` -->", "<!-- end of sizing -->"

RATES_PER_S = (300, 3_000, 30_000, 100_000, 300_000, 1_000_000)
WORKER_CORE_RATIO = 0.6
"""Share of its core that a worker may use. Above this share, its own queueing affects what it measures. From 0.9 on, it
counts as saturated."""
MASTER_CORE_RATIO = 0.7
"""Share of its core that a master may use; it is a single process."""
LINK_GBIT_S = 10.0
"""Bandwidth of the master's machine."""
HTTP_HEAD_BYTES = 160 + 260
"""Bytes of the request and response headers of the bundled service, with its instance and timing headers."""
ANSWER_BYTES = 43
PACKET_RATIO = 1.1
"""TCP, IP and TLS framing and acknowledgements on top of the payload of such small messages."""
ASSUMED_REQUEST_US = 15.4
"""The cost of the first prototype of FastUser. It is used if nothing was measured on this machine."""


@dataclass(frozen=True)
class Costs:
    """The cost of a request, a row and a report; the module's docstring says where each number comes from."""

    request_us: float
    report_us: float
    row_us: float
    row_wire_bytes: float
    row_spool_bytes: float
    row_parquet_bytes: float


@dataclass(frozen=True)
class Size:
    """One line of the table."""

    rate_per_s: int
    workers: int
    master_core_ratio: float
    load_gbit_s: float
    master_gbit_s: float
    spool_bytes_per_hour: float
    parquet_bytes_per_hour: float

    def bottleneck(self) -> str:
        """Return the first bottleneck at this rate."""
        if self.master_core_ratio > MASTER_CORE_RATIO:
            shards = math.ceil(self.master_core_ratio / MASTER_CORE_RATIO)
            return f"the master's single core: use {shards} runs side by side, each with its own master"
        if self.master_gbit_s > LINK_GBIT_S * 0.7:
            return "the master's network link"
        if self.load_gbit_s > LINK_GBIT_S * 0.7:
            return f"the service's network: {self.load_gbit_s:.0f} Gbit/s of requests and answers"
        if self.workers > 1:
            return "the CPU of the workers: add workers"
        return "none: one worker is enough"


def size(rate_per_s: int, costs: Costs) -> Size:
    """Return the resources that a rate needs."""
    workers = max(1, math.ceil(rate_per_s * costs.request_us / 1e6 / WORKER_CORE_RATIO))
    request_bytes = len(json.dumps(EXAMPLES[0])) + HTTP_HEAD_BYTES + ANSWER_BYTES
    return Size(
        rate_per_s=rate_per_s,
        workers=workers,
        master_core_ratio=(workers * costs.report_us + rate_per_s * costs.row_us) / 1e6,
        load_gbit_s=rate_per_s * request_bytes * PACKET_RATIO * 8 / 1e9,
        master_gbit_s=rate_per_s * costs.row_wire_bytes * PACKET_RATIO * 8 / 1e9,
        spool_bytes_per_hour=rate_per_s * 3600 * costs.row_spool_bytes,
        parquet_bytes_per_hour=rate_per_s * 3600 * costs.row_parquet_bytes,
    )


def fill(buffer: RowBuffer, rows: int, seed: int) -> None:
    """Add rows like those of a steady run against twelve instances."""
    chance = random.Random(seed)
    start_ns = 1_786_960_800 * 10**9 + seed * 10**9
    name, method = buffer.name_id("/predict"), buffer.name_id("POST")
    instances = [buffer.instance_id(f"{chance.getrandbits(128):032x}") for _ in range(12)]
    for row in range(rows):
        server_us = round(chance.lognormvariate(math.log(900), 0.3))
        latency_us = server_us + round(chance.lognormvariate(math.log(1500), 0.4))
        at_ns = start_ns + row * 10**9 // rows + chance.randrange(1000)
        which = chance.choice(instances)
        buffer.add(
            start=at_ns,
            latency_us=latency_us,
            late_us=-1,
            name=name,
            method=method,
            status=200,
            outcome=0,
            error=0,
            bytes=43,
            instance=which,
            instance_age_ms=at_ns // 10**6 % 10**7,
            server_us=server_us,
        )


def report_of(rows: int, seed: int) -> bytes:
    """Return a worker's report of one second in the form in which it is sent."""
    import msgpack
    from locust.env import Environment
    from locust.stats import setup_distributed_stats_event_listeners

    environment = Environment()
    setup_distributed_stats_event_listeners(environment.events, environment.stats)
    chance = random.Random(seed)
    for _ in range(rows):
        environment.stats.log_request("POST", "/predict", round(chance.lognormvariate(1, 0.5)), 43)
    data: dict[str, object] = {}
    environment.events.report_to_master.fire(client_id="worker", data=data)
    buffer = RowBuffer("host-1")
    fill(buffer, rows, seed)
    data["lt"] = {"worker": "host-1", "users": rows, "in_flight": 1, "frame": buffer.take()}
    packed: bytes = msgpack.packb(("stats", data, "worker"))
    return packed


def master_cost_us(rows: int, *, rounds: int = 7) -> tuple[float, int]:
    """Return the master's CPU for one report of that many rows (median of rounds), and the size of the report."""
    import msgpack
    from locust.env import Environment
    from locust.stats import setup_distributed_stats_event_listeners

    environment = Environment()
    setup_distributed_stats_event_listeners(environment.events, environment.stats)
    wire = report_of(rows, seed=1)
    took = []
    with tempfile.TemporaryFile(buffering=0) as spool:
        for _ in range(rounds):
            begun = time.process_time()
            for _ in range(5):
                _, data, client = msgpack.unpackb(wire, strict_map_key=False)
                report = data.pop("lt")
                environment.events.worker_report.fire(client_id=client, data=data)
                decode_frame(report["frame"])
                spool.write(report["frame"])
            took.append((time.process_time() - begun) / 5 * 1e6)
    return statistics.median(took), len(wire)


def bytes_per_row(rows_per_s: int = 300, seconds: int = 200) -> tuple[float, float]:
    """Return the bytes of a row in the spool and in Parquet, from a run that is really sealed."""
    with tempfile.TemporaryDirectory() as place:
        run = Run(
            id="sizing",
            scenario=ScenarioRecord(name="sizing"),
            target=TargetRecord(kind="url", url="http://127.0.0.1"),
            start=datetime.now(UTC),
        )
        folder = RunFolder.create(Path(place), run)
        buffer = RowBuffer("host-1")
        with folder.spool.open("wb") as spool:
            for second in range(seconds):
                fill(buffer, rows_per_s, second)
                spool.write(buffer.take() or b"")
        spool_bytes = folder.spool.stat().st_size
        folder.seal()
        rows = rows_per_s * seconds
        return spool_bytes / rows, folder.rows.stat().st_size / rows


def measured_request_us() -> tuple[float, str]:
    """Return FastUser's CPU per request from the generator's results, and the source of the value."""
    path = RESULTS / "generator.md"
    if path.exists():
        for line in path.read_text().splitlines():
            found = re.match(r"\|\s*\**FastUser, JSON \+ check, rows\**\s*\|\s*\**([\d,]+)", line)
            if found:
                per_cpu_s = float(found[1].replace(",", ""))
                return 1e6 / per_cpu_s, "benchmarks/results/generator.md"
    return ASSUMED_REQUEST_US, "assumed, because benchmarks/results/generator.md does not exist"


def table(costs: Costs) -> str:
    """Return the sizes as a Markdown table."""
    heads = (
        "requests/s",
        "workers (one core each)",
        "master, cores",
        "load, Gbit/s",
        "rows to the master, Gbit/s",
        "rows per hour",
        "spool per hour",
        "Parquet per hour",
        "first bottleneck",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for rate in RATES_PER_S:
        load = size(rate, costs)
        cells = (
            f"{rate:,}",
            f"{load.workers}",
            f"{load.master_core_ratio:.3f}",
            f"{load.load_gbit_s:.3f}",
            f"{load.master_gbit_s:.3f}",
            f"{rate * 3600:,}",
            _amount(load.spool_bytes_per_hour),
            _amount(load.parquet_bytes_per_hour),
            load.bottleneck(),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def section(costs: Costs, source: str) -> str:
    """Return the results as a section of Markdown: the sizes, the costs they are computed from, and the machine."""
    lines = [
        "## Sizing",
        "",
        f"`python -m benchmarks.sizing`; a worker uses at most {WORKER_CORE_RATIO:.0%} of its core.",
        "",
        table(costs),
        "",
        "| cost | value | source |",
        "|---|---|---|",
        f"| worker, CPU per request | {costs.request_us:.1f} µs | {source} |",
        f"| master, CPU per report of a worker (one per second) | {costs.report_us:.0f} µs | measured |",
        f"| master, CPU per row | {costs.row_us:.2f} µs | measured |",
        f"| size of a row on the wire | {costs.row_wire_bytes:.0f} B | measured |",
        f"| size of a row in the spool | {costs.row_spool_bytes:.0f} B | measured |",
        f"| size of a row in Parquet | {costs.row_parquet_bytes:.1f} B | measured |",
        "",
        where("locust", "msgpack", "pyarrow"),
    ]
    return "\n".join(lines)


def into_guide(text: str) -> None:
    """Replace the section between the markers of docs/distributed.md."""
    guide = GUIDE.read_text()
    before, _, rest = guide.partition(BEGIN)
    _, _, after = rest.partition(END)
    GUIDE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _amount(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"


def measure(request_us: float, write: Callable[[str], None]) -> Costs:
    """Return the costs measured on this machine."""
    write("measuring the master's CPU …")
    small, large = 1_000, 20_000
    (small_us, small_bytes), (large_us, large_bytes) = master_cost_us(small), master_cost_us(large)
    row_us = max(0.0, (large_us - small_us) / (large - small))
    write("measuring the size of a row …")
    spool_bytes, parquet_bytes = bytes_per_row()
    return Costs(
        request_us=request_us,
        report_us=max(0.0, small_us - row_us * small),
        row_us=row_us,
        row_wire_bytes=(large_bytes - small_bytes) / (large - small),
        row_spool_bytes=spool_bytes,
        row_parquet_bytes=parquet_bytes,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--request-us", type=float, help="the generator's CPU per request, instead of the stored results"
    )
    given = parser.parse_args().request_us
    request_us, source = (given, "--request-us") if given else measured_request_us()
    text = section(measure(request_us, print), source)
    keep("sizing", text)
    into_guide(text.partition("\n\n")[2])  # the guide already has a heading


if __name__ == "__main__":
    main()
