"""Predictions that are made from rows equal those from the tutorial's one-row DataFrame, to the last bit."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
from catboost import CatBoostClassifier

from target_service.model import MODEL_FILE, Model
from target_service.schema import CATEGORICAL, EXAMPLES, FIELDS, LoanApplication, as_row
from target_service.synthetic import draw_loans
from tests.target_service.conftest import ROOT

LOANS = 300


def applications() -> list[LoanApplication]:
    """Draw loans that the model has not seen, including some with names and numbers outside its training."""
    loans = draw_loans(LOANS, seed=77)[list(FIELDS)].to_dict("records")
    strange = [
        {**EXAMPLES[0], "City": "NOWHERE", "Bank": "Ünïcode & Söhne", "FranchiseCode": "99999", "naics_first_two": "7"},
        {**EXAMPLES[0], "Term": 0, "NoEmp": 100_000, "GrAppv": 0.0, "SBA_Appv": 1e10, "longitude": -180, "latitude": 0},
        {**EXAMPLES[0], "GrAppv": 0.1, "SBA_Appv": 16_777_217.0},  # neither number is a float32
    ]
    return [LoanApplication.model_validate(loan) for loan in [*EXAMPLES, *strange, *loans]]


def tutorials_way(application: LoanApplication, classifier: CatBoostClassifier) -> float:
    """One request as the tutorial handles it: a DataFrame of one row, `predict_proba`, on as many threads as there are
    cores.
    """
    words = {name: str(getattr(application, name)) for name in ("is_new", "same_state")}
    frame = pd.DataFrame([application.model_dump() | words])
    assert list(frame.columns) == list(FIELDS)
    return float(classifier.predict_proba(frame)[0, 1])


def test_a_row_gives_what_the_tutorials_dataframe_gives(model: Model) -> None:
    classifier = CatBoostClassifier()
    classifier.load_model(str(MODEL_FILE))
    asked = applications()
    expected = [tutorials_way(application, classifier).hex() for application in asked]
    alone = [model.predict([as_row(application)])[0].hex() for application in asked]
    together = [value.hex() for value in model.predict([as_row(application) for application in asked])]
    assert alone == expected
    assert together == expected
    assert len(set(expected)) > LOANS * 0.9  # different loans give different results, so equality is not an accident


def test_without_pandas_and_scipy_the_answers_are_the_same(model: Model) -> None:
    """In the service's own process, empty modules replace pandas and scipy while CatBoost is imported."""
    code = """
import json, sys
from target_service.model import load_model
model = load_model()
unwanted = {"pandas", "scipy", "scipy.sparse", "matplotlib", "pyarrow"} & set(sys.modules)
print(json.dumps([sorted(unwanted), [value.hex() for row in json.load(sys.stdin) for value in model.predict([row])]]))
"""
    rows = [as_row(application) for application in applications()]
    lean = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(rows), capture_output=True, text=True, check=True, cwd=ROOT
    )
    unwanted, answers = json.loads(lean.stdout)
    assert unwanted == []
    assert answers == [model.predict([row])[0].hex() for row in rows]


def test_after_the_lean_import_the_real_pandas_can_still_be_imported() -> None:
    code = """
import sys
from target_service.lean import Absent, import_catboost
import_catboost()
assert not {"pandas", "scipy", "scipy.sparse"} & set(sys.modules)
import pandas
assert pandas.DataFrame([1]).shape == (1, 1)
try:
    Absent()
except TypeError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert "without pandas" in said


def test_the_model_keeps_the_services_columns_apart_from_names() -> None:
    classifier = CatBoostClassifier()
    classifier.load_model(str(MODEL_FILE))
    assert tuple(classifier.feature_names_) == FIELDS
    assert tuple(FIELDS[index] for index in classifier.get_cat_feature_indices()) == CATEGORICAL
    assert MODEL_FILE.stat().st_size < 1_000_000
