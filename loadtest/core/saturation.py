"""Define when a load generator is saturated. A saturated generator may measure its own delay."""

from __future__ import annotations

CPU_RATIO = 0.9
"""A worker is saturated at or above this CPU use; 1 is its whole core."""

LAG_MS = 50.0
"""A worker is saturated if its event loop is delayed by more than this within a second."""
