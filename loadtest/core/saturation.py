"""Define when a load generator is saturated: from then on, it may measure its own delay."""

from __future__ import annotations

CPU_RATIO = 0.9
"""CPU of a worker, 1 = its whole core: at or above this value the worker is saturated."""

LAG_MS = 50.0
"""Longest delay of a worker's event loop in a second: above this value the worker is saturated."""
