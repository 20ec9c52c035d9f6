"""Keep the old import path `loadtest.pacing` working for one minor version."""

from __future__ import annotations

import warnings
from typing import Any

from .users import pacing as _moved

warnings.warn(
    "`loadtest.pacing` is now `loadtest.users.pacing`; the old name will be removed in 0.3",
    DeprecationWarning,
    stacklevel=2,
)


def __getattr__(name: str) -> Any:
    return getattr(_moved, name)
