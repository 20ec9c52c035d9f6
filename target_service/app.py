"""Serve the model over HTTP: `/predict`, `/predict/batch`, `/healthz`, `/stats` and `/`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from target_service.instance import Counts, Instance
from target_service.logs import AccessLog
from target_service.model import Model
from target_service.schema import Batch, BatchPrediction, LoanApplication, Prediction, as_row
from target_service.together import Together, timed

_JSON = "application/json"

_MAX_BODY_BYTES = 1 << 20
"""The maximum size of a body; a full batch has a quarter of this size."""


Answer = Callable[[bytes], Awaitable[Response]]
"""A function that returns the response to a body's bytes, or raises ValidationError."""


def create_app(model: Model, counts: Counts) -> FastAPI:
    """Return the service as a FastAPI application: every path, the OpenAPI document, and every error."""
    return _documented(_answers(model, counts), counts)


def create_instance(model: Model, *, access_log: AccessLog | None = None) -> Instance:
    """Return the whole service as one ASGI application."""
    counts = Counts()
    answers = _answers(model, counts)
    return Instance(_Direct(_documented(answers, counts), answers), counts, access_log=access_log)


def _answers(model: Model, counts: Counts) -> dict[str, Answer]:
    """Return the functions that answer POST requests, by path."""
    together = Together(model)

    async def answer_one(body: bytes) -> Response:
        row = as_row(LoanApplication.model_validate_json(body))
        probability, took_ms = await together.predict(row)
        counts.predictions += 1
        return _answer({"default_probability": probability}, took_ms)

    async def answer_batch(body: bytes) -> Response:
        rows = [as_row(application) for application in Batch.model_validate_json(body).applications]
        probabilities, took_ms = timed(model, rows)
        counts.predictions += len(probabilities)
        return _answer({"default_probabilities": probabilities}, took_ms)

    return {"/predict": answer_one, "/predict/batch": answer_batch}


def _documented(answers: dict[str, Answer], counts: Counts) -> FastAPI:
    app = FastAPI(
        title="Loan default probability",
        description="Predicts whether a loan guaranteed by the US Small Business Administration is not paid back.",
        version="1",
        max_body_size=_MAX_BODY_BYTES,
        # by default, this is read from the environment at each call
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
        },
    )
    app.add_exception_handler(RequestValidationError, _refuse)

    @app.get("/")
    async def describe() -> dict[str, str]:
        """Return the service's name and its main paths."""
        return {"service": app.title, "predict": "POST /predict", "documentation": "/docs"}

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Answer that the instance is ready."""
        return {"status": "ok"}

    @app.get("/stats")
    async def stats() -> Counts:
        """Return the service's own counts since its start; this path and `/healthz` are not counted."""
        return counts

    # FastAPI makes the OpenAPI page from the signatures below; the answers are computed directly from the body's bytes.
    def predict(application: LoanApplication) -> Prediction:  # type: ignore[empty-body]
        """Return the probability that the loan is not paid back."""

    def predict_batch(batch: Batch) -> BatchPrediction:  # type: ignore[empty-body]
        """Return the probability for each application, in the order of the request."""

    for path, documented in (("/predict", predict), ("/predict/batch", predict_batch)):
        route = _straight(answers[path])
        app.router.add_api_route(path, documented, methods=["POST"], route_class_override=route)
    return app


class _Direct:
    """Answer predictions before FastAPI sees them, because its routing and middleware take longer than the prediction.

    This layer passes two kinds of request on to FastAPI: requests to all other paths, and requests with a large body or
    a body of unknown length, which FastAPI would answer differently.
    """

    def __init__(self, app: ASGIApp, answers: dict[str, Answer]) -> None:
        self._app, self._answers = app, answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer = self._answers.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if answer is None or not _small(scope):
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        if body is None:
            return
        try:
            response = await answer(body)
        except ValidationError as error:
            response = _refusal(error.errors(include_url=False))
        except Exception:
            await PlainTextResponse("Internal Server Error", status_code=500)(scope, receive, send)
            raise  # so that the server's log shows the reason
        await response(scope, receive, send)


def _small(scope: Scope) -> bool:
    """Whether the request's headers state the length of the body, and the body is not too large."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return len(value) < 8 and value.isdigit() and int(value) <= _MAX_BODY_BYTES
    return False


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body, or None if the client has disconnected."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _straight(answer: Answer) -> type[APIRoute]:
    """Return a class of route that computes the answer from the body's bytes, on the event loop.

    A prediction takes less than 0.1 ms of CPU; passing it to a thread would take an additional 0.2 ms
    (benchmarks/service.py).
    """

    class StraightRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            async def handle(request: Request) -> Response:
                try:
                    return await answer(await request.body())
                except ValidationError as error:
                    raise RequestValidationError(error.errors(include_url=False)) from None

            return handle

    return StraightRoute


def _answer(content: dict[str, Any], took_ms: float) -> Response:
    return Response(orjson.dumps(content), media_type=_JSON, headers={"Server-Timing": f"predict;dur={took_ms:.3f}"})


async def _refuse(_request: Request, error: Exception) -> Response:
    """Answer 422 with the field, the error and the value, but without the whole body."""
    assert isinstance(error, RequestValidationError)
    return _refusal(error.errors())


def _is_small(value: object) -> bool:
    """Whether the 422 answer may repeat a value. Objects, lists and integers of more than 64 bits are left out."""
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 64
    return value is None or isinstance(value, str | float)


def _refusal(problems: Sequence[Any]) -> Response:
    detail = [
        {
            "loc": ["body", *problem["loc"]],
            "msg": problem["msg"],
            "type": problem["type"],
            **({"input": problem["input"]} if _is_small(problem["input"]) else {}),
        }
        for problem in problems
    ]
    return Response(orjson.dumps({"detail": detail}), status_code=422, media_type=_JSON)
