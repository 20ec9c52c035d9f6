"""Gather a locustfile with the modules beside it that it imports, and lay them out for a worker elsewhere."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

MAX_BYTES = 32_000_000
"""What a scenario's modules may come to; more than this is data, or a folder taken by mistake."""

OURS = Path(__file__).resolve().parents[1]


class BundleError(Exception):
    """Why a scenario cannot be sent, as a sentence."""


def gather(locustfile: Path, roots: Iterable[Path]) -> dict[str, bytes]:
    """Return the files by their place under one common import root.

    What is imported is read from the source, wherever the import stands in it, and from the modules that are loaded:
    a name put together at run time is only known once it has been imported.

    Args:
        locustfile: goes to the root itself.
        roots: folders that modules of the user's own are imported from, in order: the locustfile's and the working
            folder. Packages that are installed are not sent.

    Raises:
        BundleError: it is too large.
    """
    folders = [root.resolve() for root in dict.fromkeys(roots)]
    files = {PurePosixPath(locustfile.name): locustfile}
    waiting = [*_imports(locustfile, ""), *_loaded(folders)]
    seen = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for place, path in _files_of(module, folders):
            if place not in files:
                files[place] = path
                waiting += _imports(path, ".".join(place.parent.parts))
    size = sum(path.stat().st_size for path in files.values())
    if size > MAX_BYTES:
        raise BundleError(f"the scenario's modules come to {size / 1e6:.0f} MB, above {MAX_BYTES / 1e6:.0f} MB")
    return {str(place): path.read_bytes() for place, path in files.items()}


def lay_out(files: dict[str, bytes], folder: Path) -> None:
    """Write gathered files under a folder.

    Raises:
        BundleError: one of them would land outside it.
    """
    for name, content in files.items():
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts:
            raise BundleError(f"the master sent a file called {name!r}")
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _imports(path: Path, package: str) -> list[str]:
    """Return the modules that a file may import, relative ones resolved against its package."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".") if package else []
            base = ".".join(parents[: len(parents) + 1 - node.level]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            found += [source, *(f"{source}.{name.name}" for name in node.names)]
    return [name for name in found if name]


def _loaded(folders: list[Path]) -> Iterator[str]:
    """Give the modules of the user's own that this process has loaded."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and any(_is_users(Path(file).resolve(), folder) for folder in folders):
            yield name


def _files_of(module: str, folders: list[Path]) -> Iterator[tuple[PurePosixPath, Path]]:
    """Give a module's source with those of the packages above it, from the first folder that has its top."""
    parts = module.split(".")
    for folder in folders:
        found = [
            (place, folder / place)
            for length in range(1, len(parts) + 1)
            for place in (
                PurePosixPath(*parts[:length], "__init__.py"),
                PurePosixPath(*parts[:length]).with_suffix(".py"),
            )
            if (folder / place).is_file() and _is_users((folder / place).resolve(), folder)
        ]
        if found:
            yield from found
            return


def _is_users(path: Path, folder: Path) -> bool:
    """Whether a file below a folder is the user's own: neither an installed package's nor ours."""
    installed = (Path(sysconfig.get_paths()[name]).resolve() for name in ("purelib", "platlib", "stdlib"))
    return (
        path.suffix == ".py"
        and path.is_relative_to(folder)
        and not path.is_relative_to(OURS)
        and not any(path.is_relative_to(library) for library in installed)
    )
