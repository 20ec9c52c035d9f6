"""Find the page's chart script in an installed package, and check that it is the tested version.

uPlot (https://github.com/leeoniya/uPlot, MIT) is not copied into this repository, because packages on PyPI contain it.
Pages run this script, so its digest is checked before it is used.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtest.core.errors import UnusableError


@dataclass(frozen=True, slots=True)
class Carrier:
    """A package that contains uPlot, and its files that were tested with this page.

    Attributes:
        package: the name to import.
        install: the argument for pip.
        version: the version of uPlot, not of the package.
        script, script_sha256: the path inside the package, and the digest of its bytes.
        style, style_sha256: the same for the style sheet.
    """

    package: str
    install: str
    version: str
    script: str
    script_sha256: str
    style: str
    style_sha256: str


CARRIERS = (
    Carrier(
        package="youplot",
        install="youplot==1.0.0",
        version="1.6.31",
        script="vendor/uplot.iife.min.js",
        script_sha256="2d27e8ad3d228164525ce213f9dc716f39b4e3aee0cc773fb3491c96cf4921a2",
        style="vendor/uplot.min.css",
        style_sha256="df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    ),
    Carrier(
        package="uplot",
        install="uplot-python==1.1.1",
        version="1.6.16",
        script="static/uPlot.iife.js",
        script_sha256="655bc8aa33781e8721c5af6b59f1699c03c9bda951aa74a6ab518ac20cc4326d",
        style="static/uPlot.min.css",
        style_sha256="3f121cd4a997b634e07a887658850018e475c26f0bddd874109a8d382c19de87",
    ),
)
"""The first package is a declared dependency. The others are tried too, so that nothing breaks if one package
vanishes."""


@dataclass(frozen=True, slots=True)
class ChartScript:
    """uPlot as text, with its digest checked.

    Attributes:
        version: the version of uPlot.
        script: JavaScript that defines `uPlot`.
        style: its CSS.
    """

    version: str
    script: str
    style: str


def chart_script(carriers: Sequence[Carrier] = CARRIERS) -> ChartScript:
    """Return uPlot from the first installed package that has the tested files.

    Raises:
        UnusableError: no such package is installed, or none has the known files; the message says what was found.
    """
    found: list[str] = []
    for carrier in carriers:
        try:
            package = _folder(carrier.package)
            script = (package / carrier.script).read_bytes()
            style = (package / carrier.style).read_bytes()
        except (ImportError, OSError) as error:
            found.append(f"{carrier.package}: {error}")
            continue
        if (_sha256(script), _sha256(style)) != (carrier.script_sha256, carrier.style_sha256):
            found.append(f"{carrier.package}: its files differ from those of {carrier.install}")
            continue
        return ChartScript(version=carrier.version, script=script.decode(), style=style.decode())
    raise UnusableError(
        f"The page's charts need uPlot, but no installed package contains the tested version ({'; '.join(found)}): "
        f"pip install {carriers[0].install}, or use `--format text`."
    )


def _folder(package: str) -> Path:
    """Return the folder of a package. It is not imported, because that takes longer than reading its files.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {package!r}")
    return Path(spec.submodule_search_locations[0])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
