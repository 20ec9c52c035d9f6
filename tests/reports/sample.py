"""Make reports without runs, for the tests of the renderers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from reports.model import Report
from reports.render.tree import Beside, Block, Section

START = datetime(2026, 8, 17, 10, 15, tzinfo=UTC)
HOSTILE = "</script><img src=x onerror=alert(1)>\u2028'\"&amp;<!--"


def quantiles(p50: float, *, requests: int = 30_000) -> list[dict[str, Any]]:
    """Percentiles of an invented service whose median is `p50` ms."""
    return [
        {
            "q_ratio": q,
            "value_ms": round(p50 * factor, 3),
            "low_ms": round(p50 * factor * 0.97, 3) if q < 1 else None,
            "high_ms": None if q >= 0.999 else round(p50 * factor * 1.04, 3),
            "enough": q == 1 or requests * (1 - q) >= 10,
        }
        for q, factor in ((0.5, 1), (0.75, 1.3), (0.9, 1.9), (0.95, 2.6), (0.99, 6.2), (0.999, 18), (1.0, 44))
    ]


def spike(**changes: Any) -> dict[str, Any]:
    """A spike, cold start from zero."""
    return {
        "onset_s": 0.0,
        "end_s": 9.0,
        "peak_s": 0.0,
        "peak_ms": 4120.5,
        "peak_low_ms": 3980.25,
        "peak_high_ms": 4300.0,
        "baseline_ms": 51.2,
        "ratio": 80.5,
        "requests": 212,
        "extra_waiting_request_s": 361.4,
        "cause": "cold start from zero",
        "confidence": "high",
        "evidence": ["The first instance was first seen 3.9 s after the load began; 41 requests had waited for it."],
    } | changes


def series(seconds: int, p50: float, *, cloud: bool) -> dict[str, Any]:
    """Return a run's values second by second, with a gap from 60 s to 63 s."""

    def wave(level: float, at: int) -> float:
        hump = math.exp(-((at - 70) ** 2) / 40) * 9 + (math.exp(-at / 4) * 30 if cloud else 0)
        return level * (1 + 0.1 * math.sin(at / 3) + 0.05 * math.sin(at * 1.7) + hump)

    at = range(seconds)
    gap = range(60, 63)
    columns: dict[str, list[float | None]] = {
        f"p{q}_ms": [None if s in gap else round(wave(p50 * factor, s), 3) for s in at]
        for q, factor in ((50, 1), (95, 2.6), (99, 6))
    }
    columns["ok_per_s"] = [float(min(300, 5 * s)) for s in at]
    columns["failed_per_s.timeout"] = [float(s in range(70, 74)) * 3 for s in at]
    columns["failed_per_s.http_error"] = [float(s == 71) * 11 for s in at]
    columns["planned_users"] = [float(min(300, 5 * (s + 1))) for s in at]
    columns["users"] = [float(min(300, 5 * s)) for s in at]
    columns["in_flight"] = [round(min(300, 5 * s) * wave(p50, s) / 1000, 2) for s in at]
    columns["generator_cpu_ratio"] = [0.05 + min(300, 5 * s) / 900 for s in at]
    columns["loop_lag_ms"] = [2.0 + (s == 100) * 60 for s in at]
    if cloud:
        columns["instances_answering"] = [float(1 if s < 75 else min(12, 1 + (s - 75) // 3)) for s in at]
        columns["instances_active"] = [float(1 if s < 75 else min(12, 1 + (s - 75) // 3)) for s in at]
        columns["instances_idle"] = [float(s > 100) for s in at]
        columns["container_cpu_ratio"] = [0.9 - 0.3 * (s > 90) if s % 60 == 0 else None for s in at]
    return {"from_s": 0.0, "step_s": 1.0, "columns": columns}


def run(name: str = "emulator", *, p50: float = 20.0, cloud: bool = True, **changes: Any) -> dict[str, Any]:
    """A run of the main scenario."""
    requests = 27_375
    measured = {
        "command": "lt run --scenario ramp300 --target emulator",
        "versions": {"lt": "0.1.0", "locust": "2.47.0", "python": "3.11.2"},
        "host": {"cpu_count": "2", "memory": "24 GB"},
        "git_commit": "55923a3",
        "options": {"users": "300", "spawn_rate": "5", "workers": "1"},
        "workers": [
            {
                "name": "worker-1",
                "host": "this machine",
                "clock_offset_ms": 0.012,
                "clock_uncertainty_ms": 0.05,
                "rows_sent": requests,
                "rows_received": requests,
                "rows_missing_at_most": 0,
                "lost": None,
            }
        ],
        "saturated_s": 1.0,
        "saturated": [{"from_s": 100.0, "to_s": 101.0}],
        "refused": 0,
        "cloud_series": [
            {"metric": "run.googleapis.com/container/instance_count", "points": 3, "interval_s": 60, "ends_s": 120}
        ]
        if cloud
        else [],
        "missing": [] if cloud else ["No instance data: the service ran as one process on this machine."],
    }
    later = {
        "onset_s": 63.0,
        "end_s": 84.0,
        "peak_s": 70.0,
        "peak_ms": 812.0,
        "peak_low_ms": 770.0,
        "peak_high_ms": 850.5,
        "ratio": 10.4,
        "requests": 6120,
        "extra_waiting_request_s": 1904.0,
        "cause": "saturation, then scale-out",
        "evidence": [
            "93 % of requests were slower than the median before (50 % = unchanged).",
            "315 users on 1 instance are 1.4 × what it had served normally; 11 instances were first seen from 1:15 on.",
        ],
    }
    base = {
        "id": f"20260817T101500Z-ramp300-{name}",
        "name": name,
        "folder": f"20260817T101500Z-ramp300-{name}",
        "label": None,
        "scenario": "ramp300",
        "description": "300 users at 5 per second, then hold.",
        "target": name if name in ("local", "emulator", "cloud") else "url",
        "url": "http://127.0.0.1:8080",
        "service": "default-service" if cloud else None,
        "region": None,
        "revision": None,
        "limits": {"cpu": "1", "concurrency": "80", "max instances": "12"} if cloud else {},
        "load_model": "closed",
        "start": START,
        "load_start": START,
        "duration_s": 120.0,
        "outcome": "complete",
        "reasons": [],
        "totals": {
            "requests": requests,
            "ok": requests - 23,
            "failures": {"timeout": 12, "http_error": 11},
            "timeouts": 12,
            "timeout_at_least_ms": 10_000.0,
            "throttled": {"429": 11},
            "error_ratio": 23 / requests,
            "throughput_per_s": requests / 120,
            "peak_users": 300.0,
        },
        "latency": quantiles(p50),
        "response": None,
        "failed_latency": quantiles(3.0, requests=11)[:2],
        "curve": [{"q_ratio": 1 - 10 ** -(n / 12), "value_ms": p50 * (1 + 0.4 * (n / 12) ** 2.4)} for n in range(54)],
        "phases": [
            {
                "name": phase,
                "why": "made up",
                "start_s": start,
                "end_s": end,
                "requests": count,
                "failures": 0 if phase != "steady" else 23,
                "throughput_per_s": count / (end - start),
                "latency": quantiles(p50 * factor)[:1] + quantiles(p50 * factor)[3:5],
            }
            for phase, start, end, count, factor in (
                ("warmup", 0.0, 9.0, 212, 6.0),
                ("ramp", 9.0, 60.0, 8900, 1.1),
                ("steady", 60.0, 120.0, 18_263, 1.0),
            )
        ],
        "objectives": [
            {
                "text": "p95(steady) < 300ms",
                "verdict": "held",
                "value": p50 * 2.6,
                "limit": 300.0,
                "unit": "ms",
                "why": f"p95 of the steady phase is {p50 * 2.6:.0f} ms on 18,263 requests.",
            },
            {
                "text": "error_rate < 0.01%",
                "verdict": "missed",
                "value": 23 / requests,
                "limit": 0.0001,
                "unit": "ratio",
                "why": "23 of 27,375 requests failed.",
            },
        ],
        "spikes": [spike(), spike(**later)] if cloud else [],
        "slow_first": {
            "requests": 2,
            "instances": 2,
            "worst_ms": 1240.0,
            "text": "2 slow first requests on new instances, the worst 1,240 ms: too few to move p95.",
        }
        if cloud
        else None,
        "series": series(120, p50, cloud=cloud),
        "warmup": {
            "first_answer_s": 4.2 if cloud else 0.03,
            "settled_s": 20.0 if cloud else 0.0,
            "extra_waiting_request_s": 361.4 if cloud else 0.0,
            "young_requests": 1204 if cloud else 0,
            "peak_p95_ms": 4120.5 if cloud else 61.0,
            "steady_p95_ms": p50 * 2.6,
        },
        "capacity": {
            "reached": cloud,
            "in_flight_at_knee": 18.0 if cloud else None,
            "throughput_max_per_s": 302.0 if cloud else None,
            "per_instance": cloud,
            "text": "Throughput stops growing at about 18 requests in flight per instance."
            if cloud
            else "Not reached: throughput still grew with the last users.",
            "points": [
                {
                    "at_s": 10.0 * n,
                    "in_flight": n,
                    "throughput_per_s": min(300, n * 16) * (0.95 + 0.01 * (n % 7)),
                    "p95_ms": 50 + n * n / 4,
                }
                for n in range(1, 40)
            ],
        },
        "advice": [
            {
                "option": "--min-instances",
                "value": "1",
                "why": "The first spike was a cold start from zero.",
                "arithmetic": "1 idle instance × 730 h",
                "assumptions": ["Nobody else keeps it warm."],
                "cost": "+ $9.12 a month",
            }
        ]
        if cloud
        else [],
        "endpoints": [
            {
                "method": "POST",
                "name": "/predict",
                "requests": requests,
                "failures": 23,
                "throughput_per_s": requests / 120,
                "latency": quantiles(p50)[:1] + quantiles(p50)[3:5],
            }
        ],
        "failures": [
            {
                "kind": "timeout",
                "status": None,
                "message": "timed out after 10 s",
                "count": 12,
                "first_s": 70,
                "last_s": 73,
            },
            {
                "kind": "http_error",
                "status": 429,
                "message": "Too Many Requests",
                "count": 11,
                "first_s": 71,
                "last_s": 71,
            },
        ],
        "instances": [
            {
                "name": f"i-{n}",
                "first_seen_s": 3.9 if n == 0 else 72.0 + 3 * n,
                "last_seen_s": 120.0,
                "ready_s": None,
                "requests": 4000 - 200 * n,
                "first_latency_ms": 4120.0 if n == 0 else 310.0,
                "median_ms": p50,
            }
            for n in range(12 if cloud else 0)
        ],
        "cost": {
            "run_usd": 0.0213,
            "per_1000_predictions_usd": 0.00078,
            "instance_s": 402.0,
            "assumptions": ["europe-west2, tier 1 prices, 1 vCPU and 4 GiB, billed per request, no free tier."],
        }
        if cloud
        else None,
        "measured": measured,
    }
    return base | changes


def comparison() -> dict[str, Any]:
    """A comparison of the two runs of `report()`."""
    return {
        "a": ["local"],
        "b": ["emulator"],
        "a_name": "local",
        "b_name": "emulator",
        "comparable": True,
        "differences": [{"what": "workers", "a": "1", "b": "1 on another host", "matters": False}],
        "lines": [
            {
                "scope": scope,
                "statistic": statistic,
                "a_ms": 16.0 * factor,
                "b_ms": 20.0 * factor,
                "difference_ratio": 0.25,
                "low_ratio": low,
                "high_ratio": high,
                "verdict": said,
                "needed_s": 1800.0 if said == "inconclusive" else None,
            }
            for scope, low, high, said in (("steady", 0.18, 0.33, "slower"), ("ramp", -0.1, 0.41, "inconclusive"))
            for statistic, factor in (("p50", 1.0), ("p95", 2.6), ("p99", 6.2))
        ]
        + [
            {
                "scope": "POST /predict",
                "statistic": "p95",
                "a_ms": 41.6,
                "b_ms": 52.0,
                "difference_ratio": 0.25,
                "low_ratio": 0.18,
                "high_ratio": 0.33,
                "verdict": "slower",
            }
        ],
        "notes": [
            "One pair cannot show how much runs differ from one day to the next; several runs per side can show it."
        ],
    }


def report(*runs: dict[str, Any], **changes: Any) -> Report:
    """A report of the given runs. If no runs are given, it compares a local run with one on the emulator."""
    base: dict[str, Any] = {"made_by": "lt 0.1.0", "made_at": START, "notes": [], "runs": list(runs), "comparisons": []}
    if not runs:
        base["runs"] = [run("local", p50=16.0, cloud=False), run("emulator")]
        base["comparisons"] = [comparison()]
    return Report.model_validate(base | changes)


def hostile() -> Report:
    """A report in which every text from outside tries to be code or markup."""
    made = run("emulator")
    made["endpoints"][0]["name"] = made["failures"][0]["message"] = made["instances"][0]["name"] = HOSTILE
    made["spikes"][0]["evidence"] = [HOSTILE, HOSTILE * 20]
    made["measured"]["command"] = HOSTILE
    made["measured"]["options"] = {HOSTILE: HOSTILE}
    changed = {"name": HOSTILE, "label": HOSTILE, "scenario": HOSTILE, "url": HOSTILE * 5, "reasons": [HOSTILE]}
    return report(run("local", cloud=False), made | changed | {"outcome": "degraded"}, notes=[HOSTILE])


def blocks_of(sections: Sequence[Section]) -> Iterator[Block]:
    """Yield every block of the report in order. Blocks that are side by side are yielded one after the other."""
    for section in sections:
        for block in section.blocks:
            yield from block.blocks if isinstance(block, Beside) else (block,)
