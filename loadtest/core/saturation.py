"""Define when a load generator is saturated.

A saturated load generator may measure its own delay instead of the delay of the service.
"""

from __future__ import annotations

CPU_RATIO = 0.9
"""A worker is saturated if it uses at least this much CPU; 1 means a whole core."""

LAG_MS = 50.0
"""A worker is saturated if the delay of its event loop in a second is longer than this."""
