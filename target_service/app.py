"""Put the model behind HTTP: `/predict`, `/predict/batch`, `/healthz`, `/stats` and `/`."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError

from target_service.instance import Counts, Instance
from target_service.logs import AccessLog
from target_service.model import Model
from target_service.schema import Batch, BatchPrediction, LoanApplication, Prediction, Row, as_row

_JSON = "application/json"

_MAX_BODY_BYTES = 1 << 20
"""A full batch is a quarter of it."""


def create_app(model: Model, counts: Counts) -> FastAPI:
    """Return the service without its outermost layer, ready for any ASGI server."""
    app = FastAPI(
        title="Loan default probability",
        description="How likely a loan guaranteed by the US Small Business Administration is not to be paid back.",
        version="1",
        max_body_size=_MAX_BODY_BYTES,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # asked of the environment at every request
    )
    app.add_exception_handler(RequestValidationError, _refuse)

    def answer_one(body: bytes) -> Response:
        row = as_row(LoanApplication.model_validate_json(body))
        (probability,), took_ms = _timed(model, [row])
        counts.predictions += 1
        return _answer({"default_probability": probability}, took_ms)

    def answer_batch(body: bytes) -> Response:
        rows = [as_row(application) for application in Batch.model_validate_json(body).applications]
        probabilities, took_ms = _timed(model, rows)
        counts.predictions += len(probabilities)
        return _answer({"default_probabilities": probabilities}, took_ms)

    @app.get("/")
    async def describe() -> dict[str, str]:
        """Say what this is."""
        return {"service": app.title, "predict": "POST /predict", "documentation": "/docs"}

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the instance can serve."""
        return {"status": "ok"}

    @app.get("/stats")
    async def stats() -> Counts:
        """Return what the service itself counted since it started; this path and `/healthz` are not counted."""
        return counts

    # The signatures below are what the OpenAPI page is made of; the answers come from the functions above, straight
    # from the body's bytes. FastAPI's own way (parse, validate, copy, validate again, encode) costs 0.1 ms more.
    def predict(application: LoanApplication) -> Prediction:  # type: ignore[empty-body]
        """Return the probability that the loan is not paid back."""

    def predict_batch(batch: Batch) -> BatchPrediction:  # type: ignore[empty-body]
        """Return the probability for each application, in the order they came."""

    for path, documented, answer in (
        ("/predict", predict, answer_one),
        ("/predict/batch", predict_batch, answer_batch),
    ):
        app.router.add_api_route(path, documented, methods=["POST"], route_class_override=_straight(answer))
        app.router.routes.insert(0, app.router.routes.pop())  # asked first: seven routes that do not match cost 20 µs
    return app


def create_instance(model: Model, *, access_log: AccessLog | None = None) -> Instance:
    """Return the whole service as one ASGI application."""
    counts = Counts()
    return Instance(create_app(model, counts), counts, access_log=access_log)


def _straight(answer: Callable[[bytes], Response]) -> type[APIRoute]:
    """Return a kind of route that answers from the body's bytes, on the event loop.

    A prediction takes about 0.1 ms of CPU; handing it to a thread costs twice that again (benchmarks/service.py).
    """

    class StraightRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            async def handle(request: Request) -> Response:
                try:
                    return answer(await request.body())
                except ValidationError as error:
                    raise RequestValidationError(error.errors(include_url=False)) from None

            return handle

    return StraightRoute


def _timed(model: Model, rows: list[Row]) -> tuple[list[float], float]:
    """Return the probabilities, and how long the model took in milliseconds."""
    began_s = time.perf_counter()
    probabilities = model.predict(rows)
    return probabilities, (time.perf_counter() - began_s) * 1000


def _answer(content: dict[str, Any], took_ms: float) -> Response:
    return Response(orjson.dumps(content), media_type=_JSON, headers={"Server-Timing": f"predict;dur={took_ms:.3f}"})


async def _refuse(_request: Request, error: Exception) -> Response:
    """Answer 422 and say which field, what was wrong and what came; whole bodies that came are not sent back."""
    assert isinstance(error, RequestValidationError)
    detail = [
        {
            "loc": ["body", *problem["loc"]],
            "msg": problem["msg"],
            "type": problem["type"],
            **({"input": problem["input"]} if isinstance(problem["input"], str | float | int | None) else {}),
        }
        for problem in error.errors()
    ]
    return Response(orjson.dumps({"detail": detail}), status_code=422, media_type=_JSON)
