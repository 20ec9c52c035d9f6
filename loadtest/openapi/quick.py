"""Generate a scenario for a run that has none: from the target's OpenAPI document, or with a GET of each given path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import TargetError
from ..core.temp_folders import temporary_folder
from .document import read_document
from .trial import Tried
from .wire import Wire
from .write import write_scenario

GETS = '''"""GET {names}."""

from locust import task

from loadtest import FastUser, spread_throughput


class Visitor(FastUser):
    """Sends one request a second, the paths in turn."""

    wait_time = spread_throughput(1)

{tasks}'''


@dataclass(frozen=True, slots=True)
class QuickScenario:
    """A scenario generated for one run.

    Attributes:
        path: the path of the scenario's file, which exists during the run.
        target: the URL to which the scenario's paths are appended.
    """

    path: Path
    target: str


@contextmanager
def quick_scenario(
    url: str, *, gets: Sequence[str], seed: int, wire: Wire, say: Callable[[Tried], None]
) -> Iterator[QuickScenario]:
    """Generate a scenario for `url`. The file of the scenario is deleted at the end of the block.

    Args:
        url: the URL of the service.
        gets: the paths to GET. If there are none, the operations of the service's OpenAPI document are tried and used.
        seed: the seed of the sent data.
        wire: sends the trial requests.
        say: called with each operation that was tried.

    Raises:
        TargetError: the service does not answer, offers no document, or answers no operation with 2xx.
    """
    target = url
    if gets:
        source, name = gets_only(gets), "get"
    else:
        try:
            document = read_document(url, target=None, wire=wire)
        except TargetError as error:
            raise TargetError(
                f"{error} You can also name the paths to request: `lt run --target {url} --get /path`, or use your "
                f"own scenario: `--scenario locustfile.py`."
            ) from None
        source = write_scenario(document, wire=wire, seed=seed, say=say).source
        name = document.file_name
        target = document.base or url
    with temporary_folder("scenario") as folder:
        path = folder / f"{name}.py"
        path.write_text(source, encoding="utf-8")
        yield QuickScenario(path, target)


def gets_only(paths: Sequence[str]) -> str:
    """Return the source of a scenario that GETs these paths."""
    tasks = "\n".join(
        f"    @task\n    def get_{number}(self):\n        self.client.get({('/' + path.lstrip('/'))!r})\n"
        for number, path in enumerate(paths, 1)
    )
    names = ", ".join("".join(c for c in path if c.isprintable() and c not in '"\\') for path in paths)
    return GETS.format(names=names, tasks=tasks)
