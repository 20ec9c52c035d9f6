"""Serve a small model with FastAPI: it predicts the price of a house with a two-layer network in plain numpy.

    python -m examples.house_prices

`PREDICT_EXTRA_MS` in the environment adds this many milliseconds to every prediction, as an example of a regression.
"""

from __future__ import annotations

import os
import time
from typing import Literal

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI(title="House prices", version="1.0")

_DRAW = np.random.default_rng(7)
_HIDDEN = _DRAW.normal(0, 0.1, (6, 256))
_OUT = _DRAW.normal(0, 0.1, 256)
_EXTRA_S = float(os.environ.get("PREDICT_EXTRA_MS", "0")) / 1000
_KINDS = ("flat", "house", "farm")


class House(BaseModel):
    """The known properties of a house."""

    area_m2: float = Field(ge=15, le=600, examples=[84.0])
    rooms: int = Field(ge=1, le=20, examples=[3])
    built: int = Field(ge=1800, le=2026, examples=[1978])
    kind: Literal["flat", "house", "farm"] = "flat"


class Price(BaseModel):
    """The predicted price."""

    eur: float = Field(ge=0)


@app.post("/predict", operation_id="predict")
def predict(house: House) -> Price:
    """Return the price of one house."""
    if _EXTRA_S:
        time.sleep(_EXTRA_S)
    kind = [float(house.kind == each) for each in _KINDS]
    features = np.array([house.area_m2 / 100, house.rooms / 5, (house.built - 1950) / 50, *kind])
    score = float(np.maximum(features @ _HIDDEN, 0) @ _OUT)
    return Price(eur=round(max(0.0, 3000 * house.area_m2 * (1 + score)), 2))


@app.get("/healthz", operation_id="healthz")
def healthz() -> dict[str, str]:
    """Answer that the service is ready."""
    return {"status": "ok"}


if __name__ == "__main__":  # Cloud Run requires the service to listen on all addresses, at the port in $PORT
    import uvicorn

    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8080")), log_level="warning")
