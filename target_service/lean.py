"""Import CatBoost without pandas and scipy, which it imports and a service of rows never uses.

`import catboost` is most of a cold start, and nearly all of that is pandas and scipy.sparse: its extension module
imports both whether they are needed or not, to ask of each input "are you a DataFrame, a Series, a sparse matrix?". A
list is none of them. While CatBoost is imported, empty modules therefore replace these two: nothing is an instance of
their types, and creating one raises. The real ones stay importable afterwards.

benchmarks/cold_start.py measures what this saves; tests/target_service/test_predictions.py proves that the answers
are those of the full import to the last bit. Another CatBoost that used more of pandas while predicting from lists
would fail in that test, and in the warm-up prediction before the port opens, not in the middle of serving.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class Absent:
    """A type that nothing is an instance of."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise TypeError("CatBoost was imported without pandas and scipy (target_service/lean.py): give it lists.")


class _StandIn(ModuleType):
    """A module in which every name is `Absent`."""

    def __getattr__(self, name: str) -> type[Absent]:
        if name.startswith("__"):
            raise AttributeError(name)  # attributes that the import system looks for must be missing
        return Absent


def import_catboost() -> None:
    """Import CatBoost without pandas and scipy, unless they are imported already.

    Afterwards this process's CatBoost takes lists and numpy arrays; it does not know a DataFrame when it sees one.
    """
    if "catboost" in sys.modules:
        return
    stand_ins: dict[str, ModuleType] = {}
    if "pandas" not in sys.modules:
        stand_ins["pandas"] = _StandIn("pandas")
    if "scipy.sparse" not in sys.modules and "scipy" not in sys.modules:
        scipy, sparse = _StandIn("scipy"), _StandIn("scipy.sparse")
        scipy.sparse = sparse  # type: ignore[attr-defined]  # as importing a submodule does
        stand_ins |= {"scipy": scipy, "scipy.sparse": sparse}
    sys.modules.update(stand_ins)
    try:
        import catboost  # noqa: F401
    finally:
        for name in stand_ins:
            del sys.modules[name]
