"""Collect a locustfile and the user's modules that it imports, and write them out for a worker on another machine."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

MAX_BYTES = 32_000_000
"""Largest total size of a scenario's modules. If the total is larger, the modules probably contain data, or a folder
was included by mistake."""

OURS = Path(__file__).resolve().parents[1]


class BundleError(Exception):
    """A scenario cannot be sent. The message is a sentence that gives the reason."""


def gather(locustfile: Path, roots: Iterable[Path]) -> dict[str, bytes]:
    """Return the files by their paths under one common import root.

    The function looks for imports in the whole source and among the loaded modules, because a module name that is
    computed at run time is known only after the import.

    Args:
        locustfile: the locustfile, which is placed at the root.
        roots: the folders from which the user's modules are imported, in order: the locustfile's folder and the working
            folder. Installed packages are not sent.

    Raises:
        BundleError: the bundle is too large.
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
        raise BundleError(
            f"the scenario's modules have {size / 1e6:.0f} MB, which is above the limit of {MAX_BYTES / 1e6:.0f} MB"
        )
    return {str(place): path.read_bytes() for place, path in files.items()}


def lay_out(files: dict[str, bytes], folder: Path) -> None:
    """Write gathered files under a folder.

    Raises:
        BundleError: a file would be written outside the folder.
    """
    for name, content in files.items():
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts:
            raise BundleError(f"the master sent a file called {name!r}")
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _imports(path: Path, package: str) -> list[str]:
    """Return the modules that a file may import; relative imports are resolved against its package."""
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
    """Yield the user's modules that this process has loaded."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and any(_is_users(Path(file).resolve(), folder) for folder in folders):
            yield name


def _files_of(module: str, folders: list[Path]) -> Iterator[tuple[PurePosixPath, Path]]:
    """Yield the source files of a module and of its parent packages, from the first root with the top package."""
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
    """Whether a file is below the folder and belongs to the user, not to an installed package or to this project."""
    installed = (Path(sysconfig.get_paths()[name]).resolve() for name in ("purelib", "platlib", "stdlib"))
    return (
        path.suffix == ".py"
        and path.is_relative_to(folder)
        and not path.is_relative_to(OURS)
        and not any(path.is_relative_to(library) for library in installed)
    )
