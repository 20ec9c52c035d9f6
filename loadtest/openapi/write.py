"""Generate a scenario for a service: read its document, try its operations, and write those that work to a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from ..core.errors import TargetError, UsageError
from .document import Document
from .locustfile import LeftOut, locustfile
from .operations import Operation, Resolver, operations
from .requests import CREDENTIALS
from .trial import DataFile, Trial, Tried, tried_in_order
from .wire import Wire


@dataclass(frozen=True, slots=True)
class Written:
    """A generated scenario and how it was made.

    Attributes:
        source: the source of the locustfile.
        sent: the operations that the scenario sends.
        left_out: the operations that the scenario does not send, with the reasons.
        requests: number of requests that were sent to try the scenario.
        columns: the columns of the data file that have the name of a field, and all other columns.
    """

    document: Document
    source: str
    sent: tuple[Tried, ...]
    left_out: tuple[LeftOut, ...]
    requests: int
    columns: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def names_instances(self) -> bool | None:
        """Whether answers name the instance that sent them; None if nothing was tried."""
        answers = [tried.last for tried in self.sent if tried.last is not None]
        return any("x-instance-id" in map(str.lower, answer.headers) for answer in answers) if answers else None


def write_scenario(
    document: Document,
    *,
    wire: Wire | None,
    include: Collection[str] = (),
    data: DataFile | None = None,
    seed: int = 1,
    say: Callable[[Tried], None] = lambda tried: None,
) -> Written:
    """Return the scenario of a document.

    Args:
        document: the document of the service.
        wire: sends the trial requests; if it is None, nothing is tried.
        include: operations such as `DELETE /items/{id}` that are sent although they may change something.
        data: fills the fields and parameters that are named like its columns.
        seed: the seed of the scenario's data.
        say: called with each operation that was tried.

    Raises:
        UsageError: the document describes no operation that can be sent, or `include` names an operation that is not in
            the document.
        TargetError: the service answered no operation with 2xx.
    """
    found = operations(document.spec)
    if not found:
        raise UsageError(f"{document.source} describes no operation: `paths` is empty.")
    wanted, left_out = _chosen(found, {_plain(each) for each in include})
    if not wanted:
        reasons = "; ".join(f"{each.operation.name}: {each.why}" for each in left_out[:5])
        raise UsageError(
            f'{document.source}: nothing to send ({reasons}). To include an operation, use --include "METHOD /path".'
        )
    trial = Trial(Resolver(document.spec), wire, document.base or "", data)
    done = tried_in_order(trial, wanted, say)
    sent = tuple(each for each in done if each.works is not False)
    left_out += [LeftOut(each.operation, refusal(each)) for each in done if each.works is False]
    source_of = None if data is None else str(data.path)
    if not sent:
        reasons = "; ".join(f"{each.operation.name}: {each.why}" for each in left_out[:3])
        raise TargetError(f"{document.base}: no operation was answered with 2xx when tried ({reasons}).")
    source = locustfile(document, sent, left_out, data=source_of, seed=seed)
    used = {column: f"row[{column!r}]" in source for column in (data.columns.values() if data is not None else ())}
    columns = tuple(c for c, is_used in used.items() if is_used), tuple(c for c, is_used in used.items() if not is_used)
    return Written(document, source, sent, tuple(left_out), trial.spent, columns)


def _chosen(found: list[Operation], include: set[str]) -> tuple[list[Operation], list[LeftOut]]:
    """Divide operations into those to try and those to leave out.

    If it is uncertain whether an operation changes data, it is tried only if no other operation is a POST.
    """
    known = {_plain(each.name) for each in found}
    if missing := include - known:
        names = ", ".join(sorted(each.name for each in found)[:12])
        raise UsageError(f'`--include "{sorted(missing)[0]}"`: the document has no such operation; it has {names}.')
    wanted, doubtful, left_out = [], [], []
    for each in found:
        if each.unsupported is not None:
            left_out.append(LeftOut(each, each.unsupported))
        elif _plain(each.name) in include or (each.changes is None and not each.in_doubt):
            wanted.append(each)
        elif each.changes is None:
            doubtful.append(each)
        else:
            left_out.append(LeftOut(each, each.changes))
    only_reads = not any(each.method == "POST" for each in wanted)
    if only_reads:  # the service has no other POST, so these operations are its purpose
        wanted = [each for each in found if each in wanted or each in doubtful]
    else:
        left_out += [LeftOut(each, "nothing says whether this POST changes something") for each in doubtful]
    return wanted, left_out


def refusal(tried: Tried) -> str:
    """Return why an operation does not work, as a clause: the status, the beginning of the body, and what to do."""
    answer = tried.last
    if answer is None:
        return "it could not be tried"
    if answer.error is not None:
        return f"no answer ({answer.error})"
    body = answer.body[:200].decode("utf-8", "replace").strip()
    clause = f"answered {answer.status}" + (f" {body}" if body else "")
    if answer.status in (401, 403):
        clause += f"; {_credential_hint(tried.operation)}"
    return clause


def _credential_hint(operation: Operation) -> str:
    names = []
    for each in operation.security:
        names += ["API_USER", "API_PASSWORD"] if each.kind == "basic" else [CREDENTIALS.get(each.kind, "API_KEY")]
    if names:
        return f"set {' and '.join(dict.fromkeys(names))} in the environment and write the scenario again"
    return "its document names no credential"


def _plain(name: str) -> str:
    return re.sub(r"\s+", " ", name.strip())
