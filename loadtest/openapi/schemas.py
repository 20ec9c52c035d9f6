"""Read JSON schemas in the forms that services really use: with references, `allOf`, missing types and examples."""

from __future__ import annotations

from typing import Any

from .operations import Resolver, Schema

_NULL = ("null", None)


def merged(schema: Any, resolve: Resolver, depth: int = 0) -> Schema:
    """Return a schema with its references resolved and its `allOf` merged; {} if it is not a schema."""
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
    """Return the type of a schema. If the schema states no type, infer it from its other keywords.

    The type is null only if the schema states no other type.
    """
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
    """Return the values that a schema itself offers, the best first; none if they are only placeholders."""
    found = list(schema["examples"]) if isinstance(schema.get("examples"), list) else []
    if "example" in schema:
        found.insert(0, schema["example"])
    elif not found and schema.get("default") is not None and type_of(schema) in ("string", "integer", "number", None):
        found = [schema["default"]]
    return [each for each in found if each is not None and each != "string"]


def fixed_values(schema: Schema, *, inner: bool) -> list[Any] | None:
    """Return the values that a schema permits: a constant, an enumeration, or examples of a field."""
    if "const" in schema:
        return [schema["const"]]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return [each for each in schema["enum"] if each is not None] or [None]
    return (examples_of(schema) or None) if inner else None


def listed(value: Any) -> list[Any]:
    """Return a list unchanged, and an empty list for any other value."""
    return value if isinstance(value, list) else []


def mapped(value: Any) -> dict[str, Any]:
    """Return an object unchanged, and an empty object for any other value."""
    return value if isinstance(value, dict) else {}


def discriminator_values(found: Schema) -> dict[str, tuple[str, Any]]:
    """Return the discriminator value of each reference."""
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


def whole_number(value: Any, default: int | None) -> Any:
    """Return a number as an int; `default` if it cannot be a size."""
    return (
        int(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 else default
    )


def excluded_values(schema: Schema, resolve: Resolver) -> list[Any]:
    """Return the plain values that a schema's `not` excludes.

    Other conditions in `not` are ignored here; the trial shows whether the service accepts the values.
    """
    barred = merged(schema.get("not"), resolve)
    values = [barred["const"]] if "const" in barred else listed(barred.get("enum"))
    return [each for each in values if each is None or isinstance(each, str | int | float | bool)]
