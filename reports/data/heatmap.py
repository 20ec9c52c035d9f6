"""Count successful requests by the time at which they began and by how long they took."""

from __future__ import annotations

import math

import numpy as np

from reports.data import rules
from reports.data.histogram import MIDDLE_US, lower_us
from reports.data.series import Series
from reports.model import Heatmap

LEAST_FACTOR = 1.02
"""Narrowest band, because a bin of the underlying counts is 0.8 % wide."""


def heatmap_of(series: Series) -> Heatmap | None:
    """Return the heatmap of a run; None if no request succeeded."""
    width_s = max(1, -(-series.seconds // rules.HEATMAP_COLUMNS))
    grid = series.cells.grid(0, series.seconds, width_s=width_s)
    there = np.flatnonzero(grid.counts.any(axis=0))
    if not len(there):
        return None
    low = max(1.0, float(lower_us(np.array([grid.first_bin + there[0]]))[0]))
    high = max(low * LEAST_FACTOR, float(lower_us(np.array([grid.first_bin + there[-1] + 1]))[0]))
    rows = min(rules.HEATMAP_ROWS, max(1, math.floor(math.log(high / low) / math.log(LEAST_FACTOR))))
    edges_us = np.geomspace(low, high, rows + 1)
    middle_us = MIDDLE_US[grid.first_bin + np.arange(grid.counts.shape[1])]
    band = np.clip(np.searchsorted(edges_us, middle_us, side="right") - 1, 0, rows - 1)
    counts = [grid.counts[:, band == row].sum(axis=1).tolist() for row in range(rows)]
    edges_ms = [round(float(edge) / 1000, 4) for edge in edges_us]
    return Heatmap(from_s=0.0, step_s=float(width_s), edges_ms=edges_ms, counts=counts)
