"""Convert schemas to Python expressions that draw realistic values.

The generated scenario contains the same expressions that `lt init` evaluates when it tries the service, so the trial
and the scenario cannot differ. The expressions use only one name, `draw`, which is a `random.Random`. Texts of the
document are inserted only through `repr`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .names import constant_name, identifier
from .operations import Resolver, Schema
from .schemas import (
    discriminator_values,
    examples_of,
    excluded_values,
    fixed_values,
    listed,
    mapped,
    merged,
    type_of,
    whole_number,
)
from .texts import FORMATS, SENTENCES, WORDS, number_range, pattern_samples, text_of

DEEPEST = 6
"""At this depth, optional fields are left out and arrays are empty, so that a value of a recursive schema is finite."""

DEFAULT_LENGTH = 3
"""Number of items of an array whose schema states no length. The trial corrects this number."""


class RecursiveSchemaError(Exception):
    """The schema contains itself. An optional field whose schema contains itself is left out."""


@dataclass(slots=True)
class Module:
    """The code above the user class of the generated file, in the order in which it is used.

    Attributes:
        constants: the expression of each constant, by its name.
        functions: by the name of each drawing function, its source without the leading `def NAME`.
        imports: import lines.
    """

    constants: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)

    def constant(self, name: str, expression: str) -> str:
        """Store a constant and return its name. If another constant has this name, a number is appended."""
        return self._keep(self.constants, name, expression)

    def function(self, name: str, source: str) -> str:
        """Store a function and return its name. `source` is its source without the leading `def NAME`."""
        return self._keep(self.functions, name, source)

    def _keep(self, place: dict[str, str], name: str, source: str) -> str:
        number = 1
        chosen = name
        while place.get(chosen, source) != source or chosen in (
            self.functions if place is self.constants else self.constants
        ):
            number += 1
            chosen = f"{name}_{number}"
        place[chosen] = source
        return chosen

    def source(self) -> str:
        """Return the constants and functions as code."""
        constants = [f"{name} = {expression}" for name, expression in self.constants.items()]
        functions = [f"def {name}{source}" for name, source in self.functions.items()]
        return "\n".join(constants) + ("\n\n\n" if constants and functions else "") + "\n\n\n".join(functions)


@dataclass(slots=True)
class Expressions:
    """Write the expressions for the schemas of one document.

    Attributes:
        module: collects the functions and constants that expressions call.
        resolve: follows references.
        length: number of items of an array whose schema leaves the length open.
        within: references of the enclosing objects, by which recursive schemas are recognised.
        columns: the columns of the data file by their plain names; a parameter or a field of the body with the same
            name gets its value from `row`.
        required_only: leave out fields that the schema does not require.
    """

    module: Module
    resolve: Resolver
    length: int = DEFAULT_LENGTH
    required_only: bool = False
    within: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)

    def value(self, schema: Any, name: str = "", depth: int = 0) -> str:
        """Return an expression that draws a value of `schema` for a field or parameter called `name`."""
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        reference = reference if isinstance(reference, str) else None
        if reference in self.within:
            raise RecursiveSchemaError
        found = merged(schema, self.resolve)
        excluded = excluded_values(found, self.resolve)
        if excluded:
            found = {key: value for key, value in found.items() if key != "not"}
            return other_than(self._drawn(found, reference, name, depth), excluded)
        return self._drawn(found, reference, name, depth)

    def _drawn(self, found: Schema, reference: str | None, name: str, depth: int) -> str:
        """Return an expression for a schema whose references have been resolved."""
        if depth == 1 and (column := self.columns.get(identifier(name))) is not None:
            return f"str(row[{column!r}])" if type_of(found) == "string" else f"row[{column!r}]"
        if (fixed := fixed_values(found, inner=depth > 0)) is not None:
            return choice(fixed)
        for key in ("oneOf", "anyOf"):
            if isinstance(found.get(key), list) and found[key]:
                return self._alternatives(found, key, name, depth)
        kind = type_of(found)
        if kind == "object":
            return self._object(found, reference, name, depth)
        if kind == "array":
            return self._array(found, name, depth)
        return self._plain(found, kind, name)

    def _plain(self, found: Schema, kind: str | None, name: str) -> str:
        """Return an expression for a text, a number or a boolean."""
        if kind == "string":
            return self._text(found, name)
        if kind in ("integer", "number"):
            return self._number(found, kind, name)
        return {"boolean": "draw.random() < 0.5", "null": "None"}.get(kind or "", repr(str(name or "value")))

    def body(self, schema: Any, examples: tuple[Any, ...], name: str) -> str:
        """Return an expression for a whole body: one of the document's examples if it has some, else a random body."""
        found = merged(schema, self.resolve)
        offered = [] if self.columns else list(examples) or examples_of(found)
        if offered and all(isinstance(each, dict) == (type_of(found) == "object") or not found for each in offered):
            return f"draw.choice({self.module.constant(constant_name(name, 'EXAMPLES'), pretty(offered))})"
        try:
            return self.value(schema, name)
        except RecursiveSchemaError:  # every value of this schema would be infinite; the service may accept {}
            return "{}"

    def _inside(self, reference: str | None) -> Expressions:
        if reference is None:
            return self
        return dataclasses.replace(self, within=(*self.within, reference))

    def _alternatives(self, found: Schema, key: str, name: str, depth: int) -> str:
        beside = {
            k: v for k, v in found.items() if k not in ("oneOf", "anyOf", "discriminator", "description", "title")
        }
        mapping = discriminator_values(found)
        parts, nullable = [], False
        for each in found[key]:
            if type_of(merged(each, self.resolve)) == "null":
                nullable = True
                continue
            alternative = each if not beside else {"allOf": [beside, each]}
            pinned = mapping.get(str(each.get("$ref", ""))) if isinstance(each, dict) else None
            if pinned is not None:
                field_name, value = pinned
                own = mapped(mapped(merged(each, self.resolve).get("properties")).get(field_name))
                own = merged(own, self.resolve)
                # If the alternative states a value for this field, that value is used instead of the value in the
                # discriminator.
                named = "const" in own or ("enum" in own and value not in listed(own["enum"]))
                pin = {} if named else {"properties": {field_name: {"const": value}}}
                alternative = {"allOf": [alternative, {**pin, "required": [field_name]}]}
            with contextlib.suppress(RecursiveSchemaError):
                parts.append(self.value(alternative, name, depth + 1))
        parts = list(dict.fromkeys(parts))
        if not parts and not nullable:
            raise RecursiveSchemaError
        if not parts:
            return "None"
        if depth >= DEEPEST:
            return min(parts, key=len)
        return parts[0] if len(parts) == 1 else f"draw.choice(({', '.join(parts)}))"

    def _object(self, found: Schema, reference: str | None, name: str, depth: int) -> str:
        properties = mapped(found.get("properties"))
        required = {each for each in listed(found.get("required")) if isinstance(each, str)}
        items: list[tuple[str, str]] = []
        for key, schema in properties.items():
            inner = merged(schema, self.resolve)
            if inner.get("readOnly") or ((depth >= DEEPEST or self.required_only) and key not in required):
                continue
            try:
                items.append((str(key), self._inside(reference).value(schema, str(key), depth + 1)))
            except RecursiveSchemaError:
                if key in required and depth < DEEPEST:
                    raise
        items += [(key, repr("value")) for key in sorted(required - set(properties))]
        extra = found.get("additionalProperties")
        if not items and isinstance(extra, dict) and depth < DEEPEST:
            items = [
                (f"key_{n + 1}", self.value(extra, name, depth + 1))
                for n in range(max(1, whole_number(found.get("minProperties"), 1)))
            ]
        if reference is None and depth > 0:
            return "{" + ", ".join(f"{key!r}: {value}" for key, value in items) + "}"
        lines = "".join(f"        {key!r}: {value},\n" for key, value in items)
        made = f"{{\n{lines}    }}" if items else "{}"
        title = name if reference is None else reference.rpartition("/")[2]
        function = identifier(title or "body")
        what = "".join(c for c in title if c.isalnum() or c in "_ -")[:80] or "body"
        takes_row = depth == 0 and "row[" in made
        source = f'({"row" if takes_row else ""}):\n    """Draw a value of {what}."""\n    return {made}'
        return f"{self.module.function(function, source)}({'row' if takes_row else ''})"

    def _array(self, found: Schema, name: str, depth: int) -> str:
        prefix = listed(found.get("prefixItems"))
        if prefix:
            rest = max(0, (whole_number(found.get("minItems"), 0) or 0) - len(prefix))
            items = found.get("items") if isinstance(found.get("items"), dict) else {"type": "integer"}
            return "[" + ", ".join(self.value(each, name, depth + 1) for each in [*prefix, *[items] * rest]) + "]"
        least, most = whole_number(found.get("minItems"), None), whole_number(found.get("maxItems"), None)
        if least is None and most is None:
            least = most = self.length
        elif most is None:
            most = max(least or 0, min((least or 0) + 2, 64))
        elif least is None:
            least = min(1, most)
        assert least is not None
        if depth >= DEEPEST:
            most = least
        may_be_empty = not whole_number(found.get("minItems"), 0)
        least, most = min(least, most, 1000), min(most, max(least, 10), 1000)
        if most == 0:
            return "[]"
        items = found.get("items")
        inner = merged(items, self.resolve)
        if found.get("uniqueItems") and isinstance(inner.get("enum"), list):
            size = f"draw.randint({least}, {min(most, len(inner['enum']))})" if least != most else str(least)
            return f"draw.sample({inner['enum']!r}, {size})"
        try:
            inner_value = self.value(
                items if isinstance(items, dict) else {"type": "string"}, _singular(name), depth + 1
            )
        except RecursiveSchemaError:
            if not may_be_empty:
                raise
            return "[]"
        size = str(least) if least == most else f"draw.randint({least}, {most})"
        if found.get("uniqueItems") and type_of(inner) in ("string", "integer", "number"):
            return f"list(dict.fromkeys({inner_value} for _ in range({20 * most})))[:{size}]"
        return f"[{inner_value} for _ in range({size})]"

    def _text(self, found: Schema, name: str) -> str:
        least, most = whole_number(found.get("minLength"), 0) or 0, whole_number(found.get("maxLength"), None)
        form = str(found.get("format", "")).lower()
        encoding = str(found.get("contentEncoding", "")).lower()
        if isinstance(found.get("pattern"), str):
            samples = pattern_samples(found["pattern"], least, most)
            if samples:
                return choice(samples)
        if form in FORMATS:
            expression, line = FORMATS[form]
            self.module.imports.update(line)
            return expression
        if form in ("byte", "base64") or encoding == "base64" or re.search(r"base64|b64", name, re.IGNORECASE):
            return self._file_text(name, str(found.get("contentMediaType", "")))
        expression, line = text_of(name, least, most)
        self.module.imports.update(line)
        for shared, values in (("WORDS", WORDS), ("SENTENCES", SENTENCES)):
            if f"({shared})" in expression:
                self.module.constants.setdefault(shared, pretty(list(values)))
        return expression

    def _file_text(self, name: str, media_type: str) -> str:
        from .files import sample_file

        self.module.imports.add("import base64")
        _, content, _ = sample_file(name, media_type)
        constant = self.module.constant(constant_name(name, "FILE"), repr(content))
        return f"base64.b64encode({constant}).decode()"

    def _number(self, found: Schema, kind: str, name: str) -> str:
        low, high = number_range(found, name, kind)
        step = found.get("multipleOf")
        if isinstance(step, int | float) and step > 0:
            first, last = -(-low // step), high // step
            whole = isinstance(step, int) or kind == "integer"
            factor = int(step) if step == int(step) else step
            value = f"draw.randint({int(first)}, {max(int(first), int(last))}) * {factor!r}"
            return value if whole else f"round({value}, 10)"
        if kind == "integer":
            return f"draw.randint({int(low)}, {max(int(low), int(high))})"
        digits = 2 if high - low >= 10 else 4
        if round(low, digits) < low or round(high, digits) > high or high - low < 0.01:
            return f"draw.uniform({low!r}, {high!r})"
        return f"round(draw.uniform({low!r}, {high!r}), {digits})"


def choice(values: list[Any]) -> str:
    """Return an expression that draws one of these values."""
    unique = list({repr(each): each for each in values}.values())
    return repr(unique[0]) if len(unique) == 1 else f"draw.choice({tuple(unique)!r})"


def pretty(values: list[Any]) -> str:
    """Return values as a tuple, one per line."""
    return "(\n" + "".join(f"    {each!r},\n" for each in values) + ")"


def _singular(name: str) -> str:
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def other_than(expression: str, excluded: list[Any]) -> str:
    """Return an expression that draws the same values as `expression`, except the excluded values."""
    barred = repr(tuple(excluded))
    return f"next((value for value in ({expression} for _ in range(100)) if value not in {barred}), None)"
