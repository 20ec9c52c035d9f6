"""Serve the model as the tutorial does: pandas, a model loaded at import, one DataFrame per request, a sync function.

The code is written from the tutorial's description. Only the schema is ours, so that both services accept the same
payloads.
"""

from __future__ import annotations

import pandas as pd
from catboost import CatBoostClassifier
from fastapi import FastAPI

from target_service.model import MODEL_FILE
from target_service.schema import LoanApplication

app = FastAPI()
model = CatBoostClassifier()
model.load_model(str(MODEL_FILE))


@app.get("/")
def describe() -> dict[str, str]:
    return {"service": "Loan default probability"}


@app.post("/predict")
def predict(application: LoanApplication) -> dict[str, float]:
    values = application.model_dump()
    frame = pd.DataFrame([values | {name: str(values[name]) for name in ("is_new", "same_state")}])
    return {"default_probability": model.predict_proba(frame)[0, 1]}
