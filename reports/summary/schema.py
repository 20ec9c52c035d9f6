"""Document summary.json in Markdown from its model, so that page and code cannot differ."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from datetime import datetime

from reports.model import Part, Report

WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", datetime: "time, ISO 8601 in UTC"}


def reference() -> str:
    """Return a section for every part of the summary, the outermost part first.

    Each section contains a table of its keys.
    """
    return "\n\n".join(_section(part) for part in parts(Report))


def parts(outer: type[Part]) -> list[type[Part]]:
    """Return `outer` and every part inside it, each once, in the order in which they are used."""
    found = [outer]
    for part in found:  # the loop below adds to this list
        for field in part.model_fields.values():
            found += [inner for inner in _inside(field.annotation) if inner not in found]
    return found


def _section(part: type[Part]) -> str:
    rows = [
        f"| `{name}` | {_type(field.annotation)} | {field.description or ''} |"
        for name, field in part.model_fields.items()
    ]
    return "\n".join(
        [f"### {part.__name__}", "", part.__doc__ or "", "", "| key | type | what |", "|---|---|---|", *rows]
    )


def _inside(annotation: object) -> Iterator[type[Part]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _inside(argument)


def _type(annotation: object) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is types.UnionType:
        return " or ".join(_type(argument) for argument in arguments)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"object of {_type(arguments[1])}"
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type):
        return WORDS.get(annotation) or f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    raise TypeError(f"summary.json has a key of type {annotation!r}, which this page cannot describe")
