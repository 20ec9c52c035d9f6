"""Values that are drawn from a schema match that schema, for any schema."""

from __future__ import annotations

import random
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtest.openapi.operations import Resolver
from loadtest.openapi.payloads import Expressions, Module
from loadtest.openapi.texts import pattern_samples, python_pattern
from loadtest.openapi.trial import namespace_of

NAMES = st.text(min_size=1, max_size=8)
NUMBERS = st.one_of(st.integers(-1000, 1000), st.floats(-1000, 1000, allow_nan=False).map(lambda x: round(x, 3)))


def _number(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    whole = st.integers(-500, 500)
    return st.builds(
        lambda low, width, keys: {
            "type": kind,
            **{k: v for k, v in {"minimum": low, "maximum": low + width}.items() if k in keys},
        },
        whole,
        st.integers(0, 300),
        st.sets(st.sampled_from(["minimum", "maximum"])),
    )


TEXT = st.builds(
    lambda least, more, keys: {
        "type": "string",
        **{k: v for k, v in {"minLength": least, "maxLength": least + more}.items() if k in keys},
    },
    st.integers(0, 40),
    st.integers(0, 40),
    st.sets(st.sampled_from(["minLength", "maxLength"])),
)
LEAVES = st.one_of(
    _number("integer"),
    _number("number"),
    TEXT,
    st.just({"type": "boolean"}),
    st.builds(lambda values: {"enum": values}, st.lists(st.one_of(NAMES, NUMBERS), min_size=1, max_size=4)),
    st.builds(lambda value: {"const": value}, st.one_of(NAMES, NUMBERS)),
    st.sampled_from([{"type": "string", "format": form} for form in ("date", "date-time", "uuid", "email", "ipv4")]),
    st.sampled_from(
        [{"type": "string", "pattern": p} for p in (r"^[A-Z]{3}$", r"^\d{2,4}-x$", r"[a-f]+", r"^(ab|cd)*e$")]
    ),
    st.just({"type": ["integer", "null"], "minimum": 3}),
    st.just({"type": "integer", "minimum": 1, "maximum": 5, "not": {"enum": [2, 3]}}),
    st.just({"type": "string", "pattern": r"^(?=.*\d)(?=.*[a-z])[a-z0-9]{4,8}$"}),
    st.builds(
        lambda least, more: {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": 9},
            "uniqueItems": True,
            "minItems": least,
            "maxItems": least + more,
        },
        st.integers(1, 5),
        st.integers(0, 3),
    ),
    st.builds(
        lambda least: {
            "type": "array",
            "prefixItems": [{"type": "string"}, {"type": ["number", "null"]}],
            "items": {"type": "integer"},
            "minItems": least,
        },
        st.integers(0, 5),
    ),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda properties, required: {
                "type": "object",
                "properties": properties,
                "required": sorted(set(properties) & required),
            },
            st.dictionaries(NAMES, inner, max_size=4),
            st.sets(NAMES, max_size=4),
        ),
        st.builds(
            lambda items, least, more: {"type": "array", "items": items, "minItems": least, "maxItems": least + more},
            inner,
            st.integers(0, 3),
            st.integers(0, 3),
        ),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda item: {"allOf": [item]}, inner),
    ),
    max_leaves=12,
)


def drawn(schema: dict[str, Any], components: dict[str, Any] | None = None, seed: int = 1) -> Any:
    """Return a value drawn by the code that is generated for a schema."""
    module = Module()
    expression = Expressions(module, Resolver({"components": {"schemas": components or {}}})).value(schema, "body")
    namespace = namespace_of(module)
    namespace["draw"] = random.Random(seed)
    return eval(expression, namespace)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.nested_given])
@given(SCHEMAS, st.integers(0, 5))
def test_a_drawn_value_is_valid(schema: dict[str, Any], seed: int) -> None:
    jsonschema.validate(drawn(schema, seed=seed), schema)


def test_recursive_schemas_end() -> None:
    """The cases are a tree with optional children and a list of trees, and a pair that requires a pair or null."""
    tree = {
        "type": "object",
        "required": ["v"],
        "properties": {
            "v": {"type": "integer"},
            "left": {"$ref": "#/components/schemas/Tree"},
            "all": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
        },
    }
    pair = {
        "type": "object",
        "required": ["other"],
        "properties": {"other": {"anyOf": [{"$ref": "#/components/schemas/Pair"}, {"type": "null"}]}},
    }
    components = {"Tree": tree, "Pair": pair}
    value = drawn({"$ref": "#/components/schemas/Tree"}, components)
    assert set(value) == {"v", "all"}
    assert value["all"] == []
    assert drawn({"$ref": "#/components/schemas/Pair"}, components) == {"other": None}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.nested_given])
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), NUMBERS, NAMES),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "items",
                        "properties",
                        "required",
                        "enum",
                        "anyOf",
                        "allOf",
                        "$ref",
                        "minimum",
                        "maxLength",
                        "pattern",
                        "format",
                        "a",
                    ]
                ),
                inner,
                max_size=4,
            ),
        ),
        max_leaves=10,
    )
)
def test_nonsense_in_place_of_a_schema_raises_nothing(schema: Any) -> None:
    """The generated code runs even if a schema is replaced by any other value."""
    drawn(schema)


@pytest.mark.parametrize(
    ("pattern", "drawn_like"),
    [
        (r"^(?<year>20\d{2})-(?<n>\d{3})$", r"20\d{2}-\d{3}"),
        (r"^(?<a>x|y)\k<a>$", "xx|yy"),
        (r"^\p{Lu}[\p{L} '-]{2,5}$", r"[A-Z][a-zA-Z '-]{2,5}"),
        (r"^\p{N}+\\p$", r"[0-9]+\\p"),
    ],
)
def test_an_ecma_pattern_that_python_reads_otherwise_is_drawn_by(pattern: str, drawn_like: str) -> None:
    """The patterns have named groups, references to these, and classes of Unicode.

    Only the ASCII part of a class is drawn.
    """
    samples = pattern_samples(pattern, 0, None)
    assert samples
    assert all(re.fullmatch(drawn_like, sample) for sample in samples), samples


@pytest.mark.parametrize("pattern", [r"(?<!a)b(?<=b)", r"[[\]p{L}]+", r"\\p{L}", r"a{2,3}(?:b|c)"])
def test_a_pattern_that_both_read_alike_stays_as_it_is(pattern: str) -> None:
    """A look-behind is not the name of a group, and an escaped backslash begins no class."""
    assert python_pattern(pattern) == pattern
