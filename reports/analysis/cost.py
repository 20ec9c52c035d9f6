"""Price a run from the cloud's billed time, or from its instances' activity."""

from __future__ import annotations

import numpy as np

from loadtest.core import cloud_run
from loadtest.core.cloud_metrics import BILLABLE_TIME, REQUEST_COUNT
from loadtest.core.prices import Prices
from loadtest.recording.run import Run
from reports.data import rules
from reports.data.cloud import InstanceGauge, MetricSeries
from reports.data.numbers import requests
from reports.data.series import Series
from reports.data.serving import instances_per_s
from reports.data.window import Window
from reports.model import Cost

OWN_SHARE = 0.95
"""If the run's share of the service's requests is below this, the bill includes other runs. A minute that overlaps only
partly with the run lowers the share by less than 5 %."""


def cost_of(
    run: Run, series: Series, cloud: tuple[MetricSeries, ...] | None, gauge: InstanceGauge | None, prices: Prices
) -> Cost | None:
    """Return the cost of a cloud run, or the cost that an emulator run would have had; None if neither can be known.

    Formula: instance-seconds × (vCPU + GiB at list price) + requests. Population: every request of the run.
    """
    if not run.target.capabilities.priced or run.target.limits.not_a_setting():
        return None
    instance_s, source = _instance_s(series, cloud, gauge)
    if instance_s is None:
        return None
    limits = run.target.limits
    vcpu = rules.ASSUMED_VCPU if limits.cpu is None else limits.cpu
    gib = rules.ASSUMED_GIB if limits.memory_mib is None else limits.memory_mib / 1024
    sent = requests(series, Window(0, series.seconds))
    idle_s = _idle_s(limits.min_instances or 0, series, gauge, instance_s)
    run_usd = prices.run_usd(instance_s, sent, vcpu=vcpu, memory_gib=gib, idle_s=idle_s)
    ok = int(series.ok.sum())
    unknown = limits.cpu is None or limits.memory_mib is None
    listed, free = prices.describe(run.target.region)
    return Cost(
        run_usd=run_usd,
        per_1000_predictions_usd=run_usd / ok * 1000 if ok else None,
        instance_s=instance_s,
        assumptions=[
            *limits.unpriced(),
            f"{instance_s:,.0f} instance-seconds {source}, {sent:,} requests",
            *([f"{idle_s:.0f} seconds of idle instances that min-instances kept"] if idle_s else []),
            *([_boost(vcpu)] if limits.cpu_boost and cloud_run.boosted_cpu(vcpu) > vcpu else []),
            f"instances of {vcpu:g} vCPU and {gib:g} GiB" + (" (assumed: the run's record does not say)" * unknown),
            listed,
            free,
            "no discount, tax, network or build",
            *(
                ("what Cloud Run would have charged: an emulator costs nothing",)
                if not run.target.capabilities.bills and run.target.capabilities.on_this_machine
                else ()
            ),
        ],
    )


def _boost(vcpu: float) -> str:
    more = cloud_run.boosted_cpu(vcpu) - vcpu
    return (
        f"without the startup CPU boost: {more:g} vCPU more while an instance starts and for "
        f"{cloud_run.BOOST_AFTER_START_S:g} s after"
    )


def _inside(metric: MetricSeries, series: Series) -> float:
    """Return the sum of the points that overlap the run.

    A point stands for one minute, which may begin before the run.
    """
    return float(np.nansum(metric.value[(metric.end_s > 0) & (metric.start_s < series.seconds)]))


def _at_the_edge(metric: MetricSeries, series: Series) -> float:
    """Return the sum of the points that overlap both the run and the time before or after it.

    They are not divided in proportion to time, because everything billed in such a minute may belong to the run.
    """
    overlaps = (metric.end_s > 0) & (metric.start_s < series.seconds)
    return float(np.nansum(metric.value[overlaps & ((metric.start_s < 0) | (metric.end_s > series.seconds))]))


def _idle_s(kept: int, series: Series, gauge: InstanceGauge | None, instance_s: float) -> float:
    """Return the billed seconds of idle instances that `kept` minimum instances caused during the run.

    They are computed from the count of idle instances, which is taken as constant between two samples. Without that
    count, they are the run's length × `kept`, minus the billed instance-seconds.
    """
    if not kept:
        return 0.0
    if gauge is None:
        return max(0.0, kept * series.seconds - instance_s)
    at = np.searchsorted(gauge.at_s, np.arange(series.seconds), side="right") - 1
    return float(np.minimum(gauge.idle[np.maximum(at, 0)], kept).sum())


def _instance_s(
    series: Series, cloud: tuple[MetricSeries, ...] | None, gauge: InstanceGauge | None
) -> tuple[float | None, str]:
    """Return billed instance-seconds and their source. The cloud's own figure is used if it is complete.

    That figure is complete if its last point is not before the last successful answer. The last minute must not be
    missing, because in a ramp it costs the most.
    """
    billed = [metric for metric in cloud or () if metric.metric == BILLABLE_TIME]
    late = ""
    if billed:
        total = sum(_inside(metric, series) for metric in billed)
        last_s = max(float(metric.end_s.max()) for metric in billed)
        answered = np.flatnonzero(series.ok_ended)
        whole = not answered.size or last_s >= answered[-1]
        counted = [metric for metric in cloud or () if metric.metric == REQUEST_COUNT]
        fetched, own = (
            sum(_inside(metric, series) for metric in counted),
            int(series.ended.sum() - series.generator.sum()),
        )
        if counted and not fetched and own:
            late = (
                f"; the billed time is not used: Cloud Monitoring counts no request during the run, although the run "
                f"sent {own}, so one of the clocks is wrong"
            )
        elif whole and counted and own < OWN_SHARE * fetched:
            return total * own / fetched, (
                f"as the run's share of {total:.0f} that Cloud Monitoring billed (an upper bound) for {fetched:.0f} "
                f"requests, of which {own} came from this run: others used the service in the same minutes"
            )
        elif whole:
            edge = 0.0 if counted else sum(_at_the_edge(metric, series) for metric in billed)
            bound = (
                f", an upper bound: {edge:.0f} of them are in points that begin before the run or end after it, and "
                "no request count shows to which run they belong"
            )
            return total, "as Cloud Monitoring billed them" + bound * (edge > 0)
        else:
            late = f"; the billed time is known up to {last_s:.0f} s only: fetch it again with `lt metrics`"
    if series.instances:
        seconds = sum(
            instance.last_seen_s - max(0.0, instance.ready_s or instance.first_start_s or 0.0)
            for instance in series.instances
        )
        return float(seconds), f"from each instance's first to last answer (lower than what is billed){late}"
    if gauge is not None:
        serving = instances_per_s(series, gauge)
        held = None if serving is None else float(serving.sum())
        return held, f"from the instance count, held between samples{late}"
    return None, ""
