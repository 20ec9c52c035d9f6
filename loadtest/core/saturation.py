"""Define when a load generator is saturated.

A saturated load generator may measure its own delay instead of the service's.
"""

from __future__ import annotations

CPU_RATIO = 0.9
"""A worker is saturated if it uses at least this much CPU; 1 means a whole core."""

LAG_MS = 50.0
"""A worker is saturated if its event loop is delayed by more than this within a second."""
