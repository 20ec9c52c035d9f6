"""Return freed memory to the system while large arrays are created and freed."""

from __future__ import annotations

import ctypes

import pyarrow as pa

M_MMAP_THRESHOLD = -3
"""Parameters of mallopt(3)."""


def give_back_large_blocks() -> None:
    """Make Arrow use the system's allocator, and glibc return each freed block of 1 MB or more to the system at once.

    Otherwise glibc raises that threshold to 32 MB for large arrays and keeps their memory. A report of 10 M rows would
    then use up to 382 MB instead of 322 MB. Arrow's own pool would keep 40 MB after reading a run of one day at 50
    requests/s.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 20)
    except (OSError, AttributeError, TypeError):  # not glibc; Windows cannot open None
        return
