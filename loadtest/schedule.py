"""Keep the old import path `loadtest.schedule` working for one minor version."""

from __future__ import annotations

import warnings
from typing import Any

from .users import open_loop as _moved

warnings.warn(
    "`loadtest.schedule` is now `loadtest.users.open_loop`; the old name will be removed in 0.3",
    DeprecationWarning,
    stacklevel=2,
)


def __getattr__(name: str) -> Any:
    return getattr(_moved, name)
