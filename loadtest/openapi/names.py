"""Choose names for the functions, constants and arguments of the generated file."""

from __future__ import annotations

import keyword
import re

from .operations import Operation


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
        "case",
        "cases",
        "seed",
        "collections",
        "itertools",
        "next",
        "tuple",
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
"""Names that the generated file uses itself."""


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
