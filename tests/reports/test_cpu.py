"""The CPU utilisation around a spike shows whether the instances had any CPU left."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from loadtest.core import cloud_metrics
from reports.data.cloud import MetricSeries
from reports.spikes.cpu import Cpu, cpu_of
from reports.spikes.view import SpikeView


def view(onset_s: int, end_s: int, values: list[float]) -> SpikeView:
    """Return a spike in a run with one sample of CPU utilisation per minute, as Cloud Run has them."""
    end = 60.0 * (1 + np.arange(len(values)))
    samples = MetricSeries(cloud_metrics.CPU, "GAUGE", None, {}, end, end, np.array(values), np.ones(len(values)))
    spike = SimpleNamespace(onset_s=onset_s, end_s=end_s)
    return cast(SpikeView, SimpleNamespace(spike=spike, data=SimpleNamespace(cloud=(samples,))))


def test_samples_in_a_spike_are_compared_with_those_outside_without_the_first_minute() -> None:
    found = cpu_of(view(180, 300, [0.1, 0.2, 0.4, 0.6, 0.8, 0.3]))
    assert found.inside == pytest.approx(0.7)
    assert found.outside == pytest.approx(0.3)
    assert found.ratio == pytest.approx(0.7 / 0.3)
    assert not found.full


@pytest.mark.parametrize(
    ("values", "full"),
    [
        ([0.5, 0.95, 0.97, 0.98, 0.94], True),
        ([0.5, 0.95, 0.97, 0.85, 0.94], False),  # it had free CPU in a part of the spike
        ([0.5, 0.4, 0.97, 0.98, 0.4], False),  # it had free CPU outside, so the queue has another reason
    ],
)
def test_instances_are_full_if_they_have_no_free_cpu_in_the_spike_and_outside(
    values: list[float], *, full: bool
) -> None:
    # The spike of 80 s contains no whole sample, but it overlaps with those of the third and the fourth minute.
    found = cpu_of(view(140, 220, values))
    assert found.ratio is None
    assert found.full is full


def test_without_samples_nothing_is_known() -> None:
    assert cpu_of(view(100, 200, [])) == Cpu()
    assert not Cpu().full
