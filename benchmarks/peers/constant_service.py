"""Answer every request with the same JSON through a FastAPI route that reads nothing, to measure FastAPI's own cost."""

from __future__ import annotations

from collections import Counter

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def describe() -> dict[str, str]:
    return {"service": "constant"}


answered: Counter[str] = Counter()


@app.get("/count")
async def count() -> int:
    return answered.total()


@app.post("/predict")
async def predict() -> dict[str, float]:
    answered["/predict"] += 1
    return {"default_probability": 0.5}
