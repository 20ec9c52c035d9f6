"""Turn schemas into Python expressions that draw values a person would send.

The expressions are what the written scenario contains and what `lt init` evaluates when it tries the service: the two
cannot differ. They use one name, `draw`, a `random.Random`. Nothing of the document reaches them but through `repr`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .operations import Operation, Resolver, Schema
from .texts import FORMATS, SENTENCES, WORDS, number_range, pattern_samples, text_of

DEEPEST = 6
"""Nesting after which optional fields are left out and arrays are empty, so that recursive schemas end."""

DEFAULT_LENGTH = 3
"""Items of an array whose schema says nothing of its length; the trial corrects it."""

_NULL = ("null", None)


class RecursiveSchemaError(Exception):
    """A schema that holds itself; whoever can leave it out does."""


@dataclass(slots=True)
class Module:
    """What the written file needs above its user class, in the order it was asked for.

    Attributes:
        constants: expression by name.
        functions: what follows `def NAME` of a drawing function, by name.
        imports: import lines.
    """

    constants: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)

    def constant(self, name: str, expression: str) -> str:
        """Keep a constant and return its name; a name that is taken by something else gets a number."""
        return self._keep(self.constants, name, expression)

    def function(self, name: str, source: str) -> str:
        """Keep a function, whose source follows `def NAME`, and return its name."""
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
    """Writes the expressions of one document's schemas.

    Attributes:
        module: collects the functions and constants that expressions call.
        resolve: follows references.
        length: items of an array whose schema leaves its length open.
        within: references of the objects around the one that is being written, so that recursive schemas end.
        columns: the data file's columns by their plain names; a body's field or a parameter of that name takes its
            value from `row`.
        required_only: leave out fields that the schema does not require.
    """

    module: Module
    resolve: Resolver
    length: int = DEFAULT_LENGTH
    required_only: bool = False
    within: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)

    def value(self, schema: Any, name: str = "", depth: int = 0) -> str:
        """Return an expression that draws a value of `schema`, for a field or parameter called `name`."""
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        reference = reference if isinstance(reference, str) else None
        if reference in self.within:
            raise RecursiveSchemaError
        found = merged(schema, self.resolve)
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
        """Return an expression for a text, a number or a truth value."""
        if kind == "string":
            return self._text(found, name)
        if kind in ("integer", "number"):
            return self._number(found, kind, name)
        return {"boolean": "draw.random() < 0.5", "null": "None"}.get(kind or "", repr(str(name or "value")))

    def body(self, schema: Any, examples: tuple[Any, ...], name: str) -> str:
        """Return an expression for a whole body: the document's examples where it has some, else one that is drawn."""
        found = merged(schema, self.resolve)
        offered = [] if self.columns else list(examples) or examples_of(found)
        if offered and all(isinstance(each, dict) == (type_of(found) == "object") or not found for each in offered):
            return f"draw.choice({self.module.constant(constant_name(name, 'EXAMPLES'), pretty(offered))})"
        return self.value(schema, name)

    def _inside(self, reference: str | None) -> Expressions:
        if reference is None:
            return self
        return dataclasses.replace(self, within=(*self.within, reference))

    def _alternatives(self, found: Schema, key: str, name: str, depth: int) -> str:
        beside = {
            k: v for k, v in found.items() if k not in ("oneOf", "anyOf", "discriminator", "description", "title")
        }
        mapping = _mapping(found)
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
                # A value that the alternative itself names outweighs the name of its schema.
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
                for n in range(max(1, _int(found.get("minProperties"), 1)))
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
        if prefix := listed(found.get("prefixItems")):
            return "[" + ", ".join(self.value(each, name, depth + 1) for each in prefix) + "]"
        least, most = _int(found.get("minItems"), None), _int(found.get("maxItems"), None)
        if least is None and most is None:
            least = most = self.length
        elif most is None:
            most = max(least or 0, min((least or 0) + 2, 64))
        elif least is None:
            least = min(1, most)
        assert least is not None
        if depth >= DEEPEST:
            most = least
        open_length = "minItems" not in found and "maxItems" not in found
        least, most = min(least, most, 1000), min(most, max(least, 10), 1000)
        if most == 0:
            return "[]"
        items = found.get("items")
        inner = merged(items, self.resolve)
        if found.get("uniqueItems") and isinstance(inner.get("enum"), list):
            size = f"draw.randint({least}, {min(most, len(inner['enum']))})" if least != most else str(least)
            return f"draw.sample({inner['enum']!r}, {size})"
        try:
            one = self.value(items if isinstance(items, dict) else {"type": "string"}, _singular(name), depth + 1)
        except RecursiveSchemaError:
            if least and not open_length:
                raise
            return "[]"
        size = str(least) if least == most else f"draw.randint({least}, {most})"
        made = f"[{one} for _ in range({size})]"
        if found.get("uniqueItems") and type_of(inner) in ("string", "integer", "number"):
            return f"list(dict.fromkeys({made}))"
        return made

    def _text(self, found: Schema, name: str) -> str:
        least, most = _int(found.get("minLength"), 0) or 0, _int(found.get("maxLength"), None)
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


def merged(schema: Any, resolve: Resolver, depth: int = 0) -> Schema:
    """Return a schema with its references followed and its `allOf` joined into one; {} for what is no schema."""
    if schema is True or not isinstance(schema, dict) or depth > 16:
        return {}
    found = resolve(schema)
    parts = found.get("allOf")
    if not isinstance(parts, list):
        return found
    joined: Schema = {}
    for part in [*parts, {key: value for key, value in found.items() if key != "allOf"}]:
        each = merged(part, resolve, depth + 1)
        for key, value in each.items():
            if key == "properties" and isinstance(value, dict):
                before = mapped(joined.get("properties"))
                joined["properties"] = {
                    **before,
                    **{k: {"allOf": [before[k], v]} if k in before else v for k, v in value.items()},
                }
            elif key == "required" and isinstance(value, list):
                joined["required"] = [*listed(joined.get("required")), *value]
            elif key == "enum" and isinstance(joined.get("enum"), list) and isinstance(value, list):
                joined["enum"] = [each for each in joined["enum"] if each in value] or value
            elif (
                key in ("minimum", "minLength", "minItems")
                and isinstance(joined.get(key), int | float)
                and isinstance(value, int | float)
            ):
                joined[key] = max(joined[key], value)
            elif (
                key in ("maximum", "maxLength", "maxItems")
                and isinstance(joined.get(key), int | float)
                and isinstance(value, int | float)
            ):
                joined[key] = min(joined[key], value)
            else:
                joined[key] = value
    return joined


def type_of(schema: Schema) -> str | None:
    """Return the type of a schema, read from its other words where it does not say; null counts only when alone."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each not in _NULL), "null")
    if isinstance(kind, str):
        return kind
    for keywords, found in (
        (("properties", "additionalProperties", "required"), "object"),
        (("items", "prefixItems", "minItems", "maxItems"), "array"),
        (("pattern", "minLength", "maxLength", "format", "contentEncoding"), "string"),
        (("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
    ):
        if any(word in schema for word in keywords):
            return found
    return None


def examples_of(schema: Schema) -> list[Any]:
    """Return the values that a schema itself offers, best first; none where they are only placeholders."""
    found = list(schema["examples"]) if isinstance(schema.get("examples"), list) else []
    if "example" in schema:
        found.insert(0, schema["example"])
    elif not found and schema.get("default") is not None and type_of(schema) in ("string", "integer", "number", None):
        found = [schema["default"]]
    return [each for each in found if each is not None and each != "string"]


def fixed_values(schema: Schema, *, inner: bool) -> list[Any] | None:
    """Return the values that a schema leaves to choose from: a constant, an enumeration, examples of a field."""
    if "const" in schema:
        return [schema["const"]]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return [each for each in schema["enum"] if each is not None] or [None]
    return (examples_of(schema) or None) if inner else None


def choice(values: list[Any]) -> str:
    """Return an expression that draws one of these values."""
    unique = list({repr(each): each for each in values}.values())
    return repr(unique[0]) if len(unique) == 1 else f"draw.choice({tuple(unique)!r})"


def pretty(values: list[Any]) -> str:
    """Return values as a tuple, one a line."""
    return "(\n" + "".join(f"    {each!r},\n" for each in values) + ")"


def identifier(text: str) -> str:
    """Return a lower-case Python name for any text."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    name = re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_") or "value"
    name = name[:60].rstrip("_")
    if name[0].isdigit() or keyword.iskeyword(name) or name in RESERVED:
        name = f"a_{name}"
    return name


RESERVED = frozenset(
    {
        "data",
        "row",
        "draw",
        "os",
        "random",
        "task",
        "check",
        "client",
        "self",
        "quote",
        "base64",
        "uuid",
        "datetime",
        "list",
        "dict",
        "round",
        "range",
        "bool",
        "str",
        "int",
        "float",
        "rows",
    }
)
"""Names that the written file uses itself."""


def constant_name(*parts: str) -> str:
    """Return an upper-case Python name for these parts."""
    return identifier("_".join(part for part in parts if part)).upper()


def function_name(operation: Operation) -> str:
    """Return the name of an operation's task."""
    if operation.operation_id:
        # FastAPI's ids repeat path and method: predict_loan_predict_post
        tail = "_" + re.sub(r"\W+", "_", operation.path.strip("/")).strip("_") + f"_{operation.method.lower()}"
        short = re.sub(r"\W", "_", operation.operation_id)
        tail = re.sub(r"\W", "_", operation.path) + "_" + operation.method.lower()
        if short.endswith(tail) and len(short) > len(tail):
            short = short[: -len(tail)]
        return identifier(short)
    path_text = re.sub(r"[{}]", "", operation.path).strip("/") or "root"
    return identifier(path_text if operation.method == "GET" else f"{operation.method} {path_text}")


def listed(value: Any) -> list[Any]:
    """Return a list as it is, and nothing for what is none."""
    return value if isinstance(value, list) else []


def mapped(value: Any) -> dict[str, Any]:
    """Return an object as it is, and nothing for what is none."""
    return value if isinstance(value, dict) else {}


def _mapping(found: Schema) -> dict[str, tuple[str, Any]]:
    """Return which discriminator value belongs to which reference."""
    discriminator = found.get("discriminator")
    if not isinstance(discriminator, dict) or not isinstance(discriminator.get("propertyName"), str):
        return {}
    name = discriminator["propertyName"]
    mapping = discriminator.get("mapping")
    if isinstance(mapping, dict):
        return {str(reference): (name, value) for value, reference in mapping.items()}
    return {
        str(each["$ref"]): (name, str(each["$ref"]).rpartition("/")[2])
        for key in ("oneOf", "anyOf")
        for each in listed(found.get(key))
        if isinstance(each, dict) and "$ref" in each
    }


def _singular(name: str) -> str:
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def _int(value: Any, default: int | None) -> Any:
    return (
        int(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 else default
    )
