"""The grammar of objectives: each text is parsed into its meaning, and an error points at its column."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.core.errors import ObjectiveError
from loadtest.core.objectives import EXAMPLES, PHASES, Unit, parse_objective


@pytest.mark.parametrize(
    ("text", "metric", "quantile", "phase", "comparison", "limit", "unit", "window_s"),
    [
        ("p95(steady) < 300ms", "p95", 0.95, "steady", "<", 300.0, Unit.MS, None),
        ("p99 < 1s for 30s", "p99", 0.99, "all", "<", 1000.0, Unit.MS, 30),
        ("p99.9<=2.5s", "p99.9", 0.999, "all", "<=", 2500.0, Unit.MS, None),
        ("error_rate < 1%", "error_rate", None, "all", "<", 0.01, Unit.RATIO, None),
        ("error_rate(ramp) < 0.01", "error_rate", None, "ramp", "<", 0.01, Unit.RATIO, None),
        ("error_rate > 50% for 10s", "error_rate", None, "all", ">", 0.5, Unit.RATIO, 10),
        ("throughput >= 280/s", "throughput", None, "all", ">=", 280.0, Unit.PER_S, None),
        ("  p50 ( warmup ) > 1 min for 2min ", "p50", 0.5, "warmup", ">", 60_000.0, Unit.MS, 120),
    ],
)
def test_an_objective_is_read_as_written(
    text: str,
    metric: str,
    quantile: float | None,
    phase: str,
    comparison: str,
    limit: float,
    unit: Unit,
    window_s: int | None,
) -> None:
    found = parse_objective(text)
    assert (found.metric, found.phase, found.comparison) == (metric, phase, comparison)
    assert (found.unit, found.window_s, found.text) == (unit, window_s, text.strip())
    assert found.limit == pytest.approx(limit)
    assert found.quantile == (None if quantile is None else pytest.approx(quantile))


@pytest.mark.parametrize(
    ("text", "column", "word"),
    [
        ("", 1, "metric"),
        ("p95", 4, "< <= > >="),
        ("latency < 3ms", 1, "`latency`"),
        ("p0 < 3ms", 1, "`p0`"),
        ("p95(stedy) < 3ms", 5, "`stedy`"),
        ("p95(steady < 3ms", 12, ")"),
        ("p95 = 3ms", 5, "< <= > >="),
        ("p95 < fast", 7, "number"),
        ("p95 < 300", 10, "unit"),
        ("p95 < 300%", 10, "unit"),
        ("error_rate < 1ms", 15, "unit"),
        ("error_rate < 150%", 17, "at most 100%"),
        ("throughput >= 280", 18, "unit"),
        ("p95 < 3ms for", 14, "duration"),
        ("p95 < 3ms for 3", 16, "s, min or h"),
        ("p95 < 3ms for 0.5s", 15, "whole seconds"),
        ("p95 < 3ms always", 11, "end"),
    ],
)
def test_an_error_points_at_the_column_and_shows_the_way(text: str, column: int, word: str) -> None:
    with pytest.raises(ObjectiveError) as caught:
        parse_objective(text)
    said = str(caught.value)
    assert f"column {column}:" in said
    assert word in said
    assert "\n  " + " " * (column - 1) + "^" in said
    assert EXAMPLES[0] in said


@given(
    st.sampled_from(["p50", "p95", "p99.9", "error_rate", "throughput"]),
    st.sampled_from(["", *PHASES]),
    st.sampled_from(["<", "<=", ">", ">="]),
    st.integers(0, 100),
    st.sampled_from(["", " for 1s", " for 30s"]),
    st.sampled_from(["", " ", "  "]),
)
def test_every_sentence_of_the_grammar_is_read(
    metric: str, phase: str, comparison: str, number: int, window: str, space: str
) -> None:
    unit = {"error_rate": "%", "throughput": "/s"}.get(metric, "ms")
    found = parse_objective(f"{metric}{f'({phase})' if phase else ''}{space}{comparison}{space}{number}{unit}{window}")
    assert (found.metric, found.phase, found.comparison) == (metric, phase or "all", comparison)
    assert found.met_by(found.limit) == (comparison in {"<=", ">="})


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        found = parse_objective(text)
    except ObjectiveError as error:
        assert "column" in str(error)  # noqa: PT017 (parsing without an error is also correct)
    else:
        assert parse_objective(found.text) == found
