"""Name the extras of an installation, and say which one a feature lacks."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from .errors import UnusableError

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "service": ("fastapi", "uvicorn", "catboost"),
    "emulator": ("grpc", "google.cloud.run_v2", "google.cloud.monitoring_v3", "starlette", "uvicorn"),
    "cloud": ("google.auth", "google.cloud.run_v2", "google.cloud.monitoring_v3", "grpc"),
}
"""The modules that each extra of pyproject.toml installs and nothing else does."""


def require(extra: str, what: str) -> None:
    """Check that an extra is installed.

    Args:
        extra: one of EXTRAS.
        what: the feature that needs it; begins the sentence.

    Raises:
        UnusableError: it is not; the text says how to install it.
    """
    missing = next((module for module in EXTRAS[extra] if not _is_installed(module)), None)
    if missing is not None:
        raise UnusableError(_sentence(extra, what, missing), cure=_install(extra))


def missing_extra(error: ModuleNotFoundError) -> UnusableError | None:
    """Return a sentence for a missing module that belongs to an extra; None for any other module."""
    name = error.name or ""
    for extra in ("cloud", "emulator", "service"):
        for module in EXTRAS[extra]:
            if name == module or module.startswith(f"{name}.") or name.startswith(f"{module}."):
                return UnusableError(_sentence(extra, "This", name), cure=_install(extra))
    return None


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # its parent is missing, or it is only partly loaded
        return False


def _sentence(extra: str, what: str, module: str) -> str:
    return f"{what} needs `{module}`, which is not installed: `{_install(extra)}` (or `lt[all]`) brings it."


def _install(extra: str) -> str:
    return f"pip install 'lt[{extra}]'"
