"""Try each operation a few times on the running service, and keep the form of request that the service accepts."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.data_files import DataFileError, batches
from . import kserve
from .names import identifier
from .operations import Operation, Resolver
from .payloads import Expressions, Module
from .requests import RequestCode, Variant, request_code, variants
from .wire import Answer, Wire

DRAWS = 5
"""A form of request is accepted if this many requests are all answered with 2xx."""

MORE_DRAWS = 40
"""Number of requests that are sent to find accepted bodies, if the service accepts only some of the random bodies."""

MOST_VALUES = 8
"""Number of working path values that are kept."""

_EXPECTS = re.compile(
    r"(?:expect(?:ing|ed|s)?|requires?|needs?|must (?:have|be)|exactly|should (?:have|be))\D{0,24}?(\d{1,4})"
)


Build = Callable[[Module], RequestCode]


@dataclass(frozen=True, slots=True)
class Tried:
    """The result of the trial of one operation.

    Attributes:
        build: writes the code of a request, and adds the functions and constants that it needs to a module.
        works: whether every trial request of this code was answered with 2xx; None if nothing was tried.
        last: the first failed answer, or the last good answer if none failed.
        note: a clause that says what made the operation work; "" if nothing special was needed.
        good: number of requests that were answered with 2xx before the first that was not.
    """

    operation: Operation
    build: Build
    works: bool | None
    last: Answer | None = None
    note: str = ""
    good: int = 0


@dataclass(slots=True)
class Trial:
    """Try the operations one after the other, and remember the ids in their answers."""

    resolve: Resolver
    wire: Wire | None
    base: str
    data: DataFile | None = None
    spent: int = 0
    seen: dict[str, list[Any]] = field(default_factory=dict)
    by_path: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def columns(self) -> Mapping[str, str]:
        """The data file's columns by their plain names; empty without a file."""
        return self.data.columns if self.data is not None else {}

    def run(self, operation: Operation) -> Tried:
        """Return how to call one operation, and whether the service answers it with success."""
        if self.wire is None:
            return Tried(operation, self._build(operation, Variant()), None)
        if (build := kserve.request(operation, self.base, self.wire, self.seen)) is not None:
            return self._judged(operation, build, "its inputs come from the metadata of the model")
        best: Tried | None = None
        lengths: list[int] = []
        plain = variants(operation, Expressions(Module(), self.resolve))
        for variant in plain:
            tried = self._try(operation, variant)
            if tried.works:
                return tried
            best = best if best is not None and best.good >= tried.good else tried
            if tried.last is not None and tried.last.status in (401, 403, 404, 405, 0):
                break
            lengths += _expected(tried.last)
            if lengths and any(each.length is not None for each in plain):
                hinted = self._try(operation, Variant(length=lengths.pop(0)))
                if hinted.works:
                    return hinted
        assert best is not None
        return self._with_values(operation) or self._with_bodies(operation) or best

    def _build(self, operation: Operation, variant: Variant) -> Build:
        def build(module: Module) -> RequestCode:
            write = Expressions(module, self.resolve, required_only=variant.required_only, columns=self.columns)
            if variant.length is not None:
                write.length = variant.length
            return request_code(operation, write, variant)

        return build

    def _try(self, operation: Operation, variant: Variant) -> Tried:
        note = ""
        if variant.length is not None:
            note = f"arrays of {variant.length}: the document does not state their length"
        elif variant.required_only:
            note = "required fields only"
        return self._judged(operation, self._build(operation, variant), note)

    def _judged(self, operation: Operation, build: Build, note: str) -> Tried:
        answer: Answer | None = None
        for good, (answer, _) in zip(range(DRAWS), self._answers(build), strict=False):
            if not answer.is_good:
                return Tried(operation, build, False, answer, good=good)
        assert answer is not None
        return Tried(operation, build, True, answer, note, DRAWS)

    def _answers(self, build: Build) -> Iterator[tuple[Answer, dict[str, Any]]]:
        """Send random requests one after the other, and return the answers."""
        assert self.wire is not None
        module = Module()
        code = build(module)
        namespace = namespace_of(module)
        if self.data is not None:
            namespace["data"] = self.data.rows()
        for seed in itertools.count(1):
            arguments = code.evaluate(namespace, seed)
            path = arguments.pop("url")
            answer = self.wire.send(code.operation.method, self.base + path, **arguments)
            self.spent += 1
            if answer.is_good:
                self._remember(code.operation.path, answer)
            yield answer, {"path": path, **arguments}

    def _remember(self, path: str, answer: Answer) -> None:
        """Remember the values of an answer's fields, as ids for the paths of other operations."""
        for key, value in _fields(answer.json):
            for place in (self.seen.setdefault(key, []), self.by_path.setdefault(f"{path} {key}", [])):
                if value not in place and len(place) < MOST_VALUES * 4:
                    place.append(value)

    def _with_values(self, operation: Operation) -> Tried | None:
        """Try values of path parameters that other answers contained, then small numbers. Keep the values that work."""
        names = re.findall(r"\{([^{}]+)\}", operation.path)
        if not names:
            return None
        per_name = [self._candidates(operation, name) for name in names]
        working: list[tuple[Any, ...]] = []
        for values in itertools.islice(itertools.product(*per_name), 60):
            answer, _ = next(self._answers(self._build(operation, Variant(path_values=(values,)))))
            if answer.is_good:
                working.append(values)
            if len(working) >= MOST_VALUES:
                break
        if not working:
            return None
        build = self._build(operation, Variant(path_values=tuple(working)))
        return self._judged(operation, build, "values that the service knows")

    def _candidates(self, operation: Operation, name: str) -> list[Any]:
        plain = identifier(name)
        prefix = operation.path.partition("{" + name + "}")[0].rstrip("/")
        found = [*self.by_path.get(f"{prefix} {plain}", []), *self.seen.get(plain, [])]
        keys = ["id", "name", "slug", "key", "uuid"] if not plain.endswith("_name") else ["name", "id"]
        for key in [plain.rpartition("_")[2], *keys]:
            found += self.by_path.get(f"{prefix} {key}", [])
        found += self.by_path.get(f"{prefix} ", [])  # the list contains plain values
        parameter = next(each for each in operation.parameters if each.name == name and each.place == "path")
        from .schemas import merged, type_of

        kind = type_of(merged(parameter.schema, self.resolve))
        found += [1, 2, 3, 0, 10] if kind in ("integer", "number", None) else ["1", "2", "test", "default", "en"]
        return list({repr(each): each for each in found}.values())[:24]

    def _with_bodies(self, operation: Operation) -> Tried | None:
        """Keep the accepted bodies if the service accepts only some of the random bodies."""
        if operation.body is None or not operation.body.is_json or "{" in operation.path:
            return None
        answers = itertools.islice(self._answers(self._build(operation, Variant())), MORE_DRAWS)
        good = [arguments["json"] for answer, arguments in answers if answer.is_good and "json" in arguments]
        if not good:
            return None
        unique = list({json.dumps(each, sort_keys=True, default=str): each for each in good}.values())[:20]
        build = self._build(operation, Variant(bodies=tuple(unique)))
        note = f"{len(unique)} bodies that were accepted: the service rejects some bodies that its document allows"
        return self._judged(operation, build, note)


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file whose rows fill the requests.

    Attributes:
        columns: the file's columns by their plain names.
    """

    path: Path
    columns: Mapping[str, str]

    def rows(self) -> Iterator[Any]:
        """Yield the rows of the file again and again."""
        return (row for _ in itertools.count() for batch in batches(self.path) for row in batch)


def data_file(path: Path) -> DataFile:
    """Return a data file with its columns.

    Raises:
        DataFileError: the file does not exist or cannot be read.
    """
    first = next(batches(path), None)
    if not first:
        raise DataFileError(f"`--data {path}`: the file has no rows.")
    return DataFile(path, {identifier(str(column)): str(column) for column in first[0]})


def namespace_of(module: Module) -> dict[str, Any]:
    """Run the code of a module, and return the names that it defines."""
    namespace: dict[str, Any] = {"__name__": "lt_trial"}
    source = "\n".join(sorted(module.imports)) + "\n" + module.source()
    exec(compile(source, "<scenario>", "exec"), namespace)
    return namespace


def _expected(answer: Answer | None) -> list[int]:
    """Return the lengths that an error message requires, as in scikit-learn's `expecting 4 features`."""
    if answer is None:
        return []
    text = answer.body[:4000].decode("utf-8", "replace")
    return [int(found) for found in _EXPECTS.findall(text) if 0 < int(found) <= 4096][:2]


def _fields(value: Any, depth: int = 0, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of all fields with a text or a whole number in a JSON value, up to a limited breadth."""
    if depth > 4:
        return
    if isinstance(value, dict):
        for name, inner in itertools.islice(value.items(), 50):
            yield from _fields(inner, depth + 1, identifier(str(name)))
            if isinstance(inner, dict) and depth == 0:
                yield "", str(name)  # the outer object maps ids to objects: each key is an id
    elif isinstance(value, list):
        for inner in value[:20]:
            yield from _fields(inner, depth + 1, key)
            if not isinstance(inner, dict | list):
                yield from _fields(inner, depth + 1, "")  # a plain list is a list of ids, whatever its name
    elif (isinstance(value, str) and 0 < len(value) <= 100) or (isinstance(value, int) and not isinstance(value, bool)):
        yield key, value


def sorted_for_trial(found: list[Operation]) -> list[Operation]:
    """Return operations in the order to try them: lists first, because their answers contain ids for the others."""
    return sorted(found, key=lambda each: (each.method != "GET", each.path.count("{")))


def tried_in_order(trial: Trial, wanted: list[Operation], say: Callable[[Tried], None]) -> list[Tried]:
    """Try all operations and return them in the document's order."""
    done: dict[str, Tried] = {}
    for operation in sorted_for_trial(wanted):
        done[operation.name] = trial.run(operation)
        say(done[operation.name])
    return [done[operation.name] for operation in wanted]
