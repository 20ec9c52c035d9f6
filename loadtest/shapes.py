"""Keep the old import path `loadtest.shapes` working for one minor version."""

from __future__ import annotations

import warnings
from typing import Any

from .users import shapes as _moved

warnings.warn(
    "`loadtest.shapes` is now `loadtest.users.shapes`; the old name will be removed in 0.3",
    DeprecationWarning,
    stacklevel=2,
)


def __getattr__(name: str) -> Any:
    return getattr(_moved, name)
