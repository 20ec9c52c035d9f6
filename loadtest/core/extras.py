"""List the optional extras of the package, and say which extra a feature needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from .errors import UnusableError

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "service": ("fastapi", "uvicorn", "catboost"),
    "emulator": ("grpc", "google.cloud.run_v2", "google.cloud.monitoring_v3", "starlette", "uvicorn"),
    "cloud": ("google.auth", "google.cloud.run_v2", "google.cloud.monitoring_v3", "grpc"),
}
"""The modules that only this extra of pyproject.toml installs."""


def require(extra: str, what: str) -> None:
    """Check that an extra is installed.

    Args:
        extra: one of EXTRAS.
        what: the feature that needs the extra; the sentence begins with it.

    Raises:
        UnusableError: the extra is not installed; the message says how to install it.
    """
    missing = next((module for module in EXTRAS[extra] if not _is_installed(module)), None)
    if missing is not None:
        raise UnusableError(_sentence(extra, what, missing), cure=_install(extra))


def missing_extra(error: ModuleNotFoundError) -> UnusableError | None:
    """Return a sentence about a missing module that belongs to an extra; None for any other module."""
    name = error.name or ""
    for extra in ("cloud", "emulator", "service"):
        for module in EXTRAS[extra]:
            if name == module or module.startswith(f"{name}.") or name.startswith(f"{module}."):
                return UnusableError(_sentence(extra, "This", name), cure=_install(extra))
    return None


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # the parent of the module is missing, or only partly loaded
        return False


def _sentence(extra: str, what: str, module: str) -> str:
    return f"{what} needs `{module}`, which is not installed: `{_install(extra)}` (or `lt[all]`) installs it."


def _install(extra: str) -> str:
    return f"pip install 'lt[{extra}]'"
