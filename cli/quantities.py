"""Read the quantities that Cloud Run's flags are written in."""

from __future__ import annotations

import re

from recording.errors import UsageError

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def memory_of(text: str) -> int:
    """Return the bytes that `512Mi`, `4Gi`, `1G` mean.

    Raises:
        UsageError: it is not such a quantity.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|k|M|G)?", text.strip())
    if found is None:
        raise UsageError(f"--memory {text}: not a quantity of memory. Write it as 512Mi or 4Gi.")
    return round(float(found[1]) * _UNITS[found[2] or ""])


def cpu_of(text: str) -> float | None:
    """Return the vCPU that `1`, `0.5`, `500m` mean; None for `auto`.

    Raises:
        UsageError: it is neither.
    """
    if text.strip() == "auto":
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m?)", text.strip())
    if found is None or float(found[1]) == 0:
        raise UsageError(f"--cpu {text}: not a number of vCPU. Write it as 1, 0.5 or 500m, or `auto`.")
    return float(found[1]) / (1000 if found[2] else 1)
