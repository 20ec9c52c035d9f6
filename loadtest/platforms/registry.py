"""List the platforms. Each platform is imported when it is first used."""

from __future__ import annotations

from importlib import import_module

from ..core.errors import UsageError
from .base import Platform

_PLATFORMS = {
    "local": ".local:Local",
    "emulator": ".emulator:Emulator",
    "cloud": ".cloudrun.platform:CloudRun",
    "none": ".unnamed:Unnamed",
    "url": ".url:Url",
    "ab": ".interleaved:Interleaved",
}

URL = "url"
"""The platform of a target that is given as a URL."""


INTERLEAVED = "ab"
"""The platform of two targets in one run."""


def register(kind: str, where: str) -> None:
    """Add a platform, or replace an existing platform.

    Args:
        kind: the platform's name in `--target`.
        where: the platform's class, as `package.module:Class`; a leading dot stands for this package.
    """
    _PLATFORMS[kind] = where


def names() -> tuple[str, ...]:
    """Return the values of `--target` other than a URL."""
    return tuple(name for name in _PLATFORMS if name not in (URL, INTERLEAVED))


def deployable() -> Platform:
    """Return the platform to which `lt deploy` deploys. This is the first platform with `can_deploy`."""
    return next(platform for platform in map(platform_of, _PLATFORMS) if platform.capabilities.can_deploy)


def platform_of(kind: str) -> Platform:
    """Return the platform called `kind`.

    Raises:
        UsageError: there is no platform with that name, for example because another installation recorded the run.
    """
    if kind not in _PLATFORMS:
        raise UsageError(f"There is no platform `{kind}` here; there are {', '.join(_PLATFORMS)}.")
    module, _, name = _PLATFORMS[kind].partition(":")
    platform: Platform = getattr(import_module(module, __package__), name)()
    return platform
