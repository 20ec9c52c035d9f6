"""Import CatBoost without pandas and scipy, which this service does not need.

`import catboost` takes most of a cold start, and nearly all of this time is spent on importing pandas and scipy.sparse.
CatBoost's extension module always imports pandas and scipy, but only to check whether an input is a DataFrame, a Series
or a sparse matrix; a list is none of these. Therefore empty modules replace pandas and scipy while CatBoost is
imported: no object is an instance of their types, and creating an instance raises an exception. Afterwards the real
modules can be imported as usual.

benchmarks/cold_start.py measures the saved time. tests/target_service/test_predictions.py checks that the answers are
the same, to the last bit, as with the full import. If another version of CatBoost used more of pandas to predict from
lists, that test would fail. The warm-up prediction before the port opens would fail too, so no request would get a
wrong answer.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class Absent:
    """A type without instances."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise TypeError("CatBoost was imported without pandas and scipy (target_service/lean.py): pass lists to it.")


class _StandIn(ModuleType):
    """A module in which every name is `Absent`."""

    def __getattr__(self, name: str) -> type[Absent]:
        if name.startswith("__"):
            raise AttributeError(name)  # attributes that the import system looks for must be missing
        return Absent


def import_catboost() -> None:
    """Import CatBoost without pandas and scipy, unless they are imported already.

    Afterwards CatBoost accepts lists and numpy arrays in this process, but does not recognise a DataFrame.
    """
    if "catboost" in sys.modules:
        return
    stand_ins: dict[str, ModuleType] = {}
    if "pandas" not in sys.modules:
        stand_ins["pandas"] = _StandIn("pandas")
    if "scipy.sparse" not in sys.modules and "scipy" not in sys.modules:
        scipy, sparse = _StandIn("scipy"), _StandIn("scipy.sparse")
        scipy.sparse = sparse  # type: ignore[attr-defined]  # as the import of a submodule does
        stand_ins |= {"scipy": scipy, "scipy.sparse": sparse}
    sys.modules.update(stand_ins)
    try:
        import catboost  # noqa: F401
    finally:
        for name in stand_ins:
            del sys.modules[name]
