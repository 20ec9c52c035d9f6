"""Run one of our processes so that it sees the user's modules exactly as plain `locust -f FILE` does.

The script is run by its path::

    python loadtest/launch.py -f FILE --worker …     start Locust with the recorder; the arguments are Locust's
    python loadtest/launch.py .fleet.describe …      with a leading dot: call `main(arguments)` of a module of ours

Locust puts the working folder and the locustfile's folder on `sys.path`. The user's modules in these folders may have
any name, so none of our folders is added to `sys.path`: this package is loaded from its own folder, and uses only the
name `loadtest`. If the user has a module `loadtest` too, the user's module keeps the name, and our package is loaded as
`_lt_loadtest`; all imports inside our package are relative.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # before any other import, so that our `http`, `core` and `cli` cannot be imported by these names

import importlib.util
import os
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
SCENARIOS = HERE.parent / "scenarios"
NAME, ALIAS = "loadtest", "_lt_loadtest"
FETCH_S = 300
"""How long a worker waits for the master's scenario. Locust's own workers wait for the same time."""


def main() -> None:
    """Load the package, then run the module or the locustfile that the arguments name."""
    arguments = sys.argv[1:]
    tool = arguments.pop(0)[1:] if arguments and arguments[0].startswith(".") else "recorder.locust_process"
    if locustfile_in(arguments) == "-":
        arguments = with_fetched_scenario(arguments)
    named = locustfile_in(arguments)
    name = claim_name(None if named is None else Path(named).absolute())
    importlib.import_module(f"{name}.recorder.parent").watch()
    importlib.import_module(f"{name}.{tool}").main(arguments)


def locustfile_in(arguments: list[str]) -> str | None:
    """Return the first file that `-f` names, or None."""
    for index, word in enumerate(arguments):
        option, has_value, value = word.partition("=")
        if option in ("-f", "--locustfile"):
            named = value if has_value else arguments[index + 1] if index + 1 < len(arguments) else ""
        elif word.startswith("-f"):
            named = word[2:]
        else:
            continue
        return named.split(",")[0].strip() or None
    return None


def with_fetched_scenario(arguments: list[str]) -> list[str]:
    """Return a worker's arguments with the master's scenario in place of `-f -`; exit if the master has none.

    Locust would send only this file, without the modules next to it, and write it to a predictable name in /tmp.
    """
    import argparse
    import subprocess

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--master-host", default=os.environ.get("LOCUST_MASTER_NODE_HOST", "127.0.0.1"))
    parser.add_argument("--master-port", default=os.environ.get("LOCUST_MASTER_NODE_PORT", "5557"))
    master, _ = parser.parse_known_args(arguments)
    done = subprocess.run(
        [sys.executable, __file__, ".recorder.fetch", master.master_host, master.master_port, str(FETCH_S)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "LT_PARENT_PID": str(os.getpid())},
    )
    if done.returncode:
        sys.exit(done.returncode)
    folder, fetched = done.stdout.splitlines()
    os.environ["LT_FETCHED"] = os.environ["LT_FETCHED_HERE"] = folder
    replaced = {"-": fetched, "-f-": f"-f{fetched}", "--locustfile=-": f"--locustfile={fetched}"}
    return [replaced.get(word, word) for word in arguments]


def claim_name(locustfile: Path | None) -> str:
    """Load this package and return its name: `loadtest`, or `_lt_loadtest` if the user has a package of that name.

    A user's folder `loadtest` without `__init__.py` is a namespace package. Python would find the modules of
    both packages, so the user's modules are added to ours. If both packages have a module of the same name, our package
    is loaded as `_lt_loadtest` instead. A bundled scenario always gets our packages.
    """
    if locustfile is not None and locustfile.resolve().is_relative_to(SCENARIOS):
        _load("scenarios", SCENARIOS)
        _load(NAME, HERE)
        return NAME
    if locustfile is not None and locustfile.stem == NAME:
        return _step_aside([])
    folders = [*([] if locustfile is None else [str(locustfile.parent)]), str(Path.cwd()), *sys.path]
    theirs = PathFinder.find_spec(NAME, [folder for folder in folders if Path(folder).resolve() != HERE.parent])
    if theirs is None or (theirs.origin is not None and Path(theirs.origin).resolve().parent == HERE):
        _load(NAME, HERE)
        return NAME
    portions = [Path(portion) for portion in theirs.submodule_search_locations or ()]
    if theirs.origin is None and not any(_modules_in(portion) & _modules_in(HERE) for portion in portions):
        _load(NAME, HERE).__path__.extend(str(portion) for portion in portions)
        return NAME
    return _step_aside([str(portion) for portion in portions] if theirs.origin is None else [])


def _step_aside(portions: list[str]) -> str:
    """Load this package as `_lt_loadtest`, and prevent an installed copy from being imported as `loadtest`.

    If a second copy of our package were imported, the recorder of the first copy would not record that copy's users.

    Args:
        portions: the folders of the user's `loadtest` if it is a namespace package, else empty. These folders are
            needed because Python prefers an installed regular package to a namespace package.
    """
    sys.meta_path.insert(0, _TheirsAlone())
    if portions:
        spec = ModuleSpec(NAME, None, is_package=True)
        spec.submodule_search_locations = portions
        sys.modules[NAME] = importlib.util.module_from_spec(spec)
    _load(ALIAS, HERE)
    return ALIAS


class _TheirsAlone:
    """An import finder that finds the modules of the user's `loadtest`, and none of our modules."""

    @staticmethod
    def find_spec(fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        del target
        if fullname != NAME and not fullname.startswith(f"{NAME}."):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or (spec.origin is not None and Path(spec.origin).resolve().is_relative_to(HERE)):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return spec


def _modules_in(folder: Path) -> set[str]:
    """Return the names that can be imported from a package's folder."""
    return {
        entry.stem
        for entry in (folder.iterdir() if folder.is_dir() else ())
        if not entry.name.startswith(("_", ".")) and (entry.suffix == ".py" or entry.is_dir())
    }


def _load(name: str, folder: Path) -> ModuleType:
    spec: ModuleSpec | None = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
