"""Parse regression margins such as `p95=5%` or `p99(POST /predict)=10%` into frozen records."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import UsageError

DEFAULT_MARGIN = "p95=5%"

MARGIN_START = re.compile(r"p\d[^=]*=")
"""This pattern distinguishes a margin from the name of a run."""

_MARGIN = re.compile(r"p(50|95|99)\s*(?:\((?P<scope>[^=]+)\))?\s*=\s*(?P<percent>\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True, slots=True)
class Margin:
    """How much slower than the baseline a run may be.

    Attributes:
        text: the margin as written.
        statistic: p50, p95 or p99 of successful response times.
        scope: a phase, or an endpoint such as `POST /predict`; "" means the steady phase, or the whole run if there is
            none.
        ratio: 0.05 allows 5 % more.
    """

    text: str
    statistic: str
    scope: str
    ratio: float


def parse_margin(text: str) -> Margin:
    """Parse a margin.

    Raises:
        UsageError: the text is not a margin.
    """
    found = _MARGIN.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"`--fail-on-regression {text}`: write p50, p95 or p99 and the allowed increase, such as p95=5% or "
            '"p95(POST /predict)=10%".'
        )
    scope = (found["scope"] or "").strip()
    return Margin(text.strip(), f"p{found[1]}", scope, float(found["percent"]) / 100)
