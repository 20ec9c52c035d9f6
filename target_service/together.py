"""Predict for several requests in one call of the model."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from target_service.model import Model
from target_service.schema import MAX_BATCH, Row


class Timed(NamedTuple):
    """A probability, and how long the call of the model took for all its rows, in milliseconds."""

    probability: float
    took_ms: float


class Together:
    """Predicts in one call for all requests that one turn of the event loop has read.

    The model takes 55 µs for the first row and 4 µs for each further row. A request never waits for other requests: if
    there is only one request in a turn, it is predicted alone. A row that the model rejects does not affect other
    requests.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._waiting: list[tuple[Row, asyncio.Future[Timed]]] = []

    def predict(self, row: Row) -> asyncio.Future[Timed]:
        """Return an awaitable prediction of the row; it raises the exceptions of the model."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._answer)
        future: asyncio.Future[Timed] = loop.create_future()
        self._waiting.append((row, future))
        return future

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._answer)
        waiting = [(row, future) for row, future in waiting if not future.done()]  # clients still connected
        if waiting:
            self._predict(waiting)

    def _predict(self, waiting: list[tuple[Row, asyncio.Future[Timed]]]) -> None:
        try:
            probabilities, took_ms = timed(self._model, [row for row, _ in waiting])
        except Exception as error:
            if len(waiting) > 1:
                for alone in waiting:
                    self._predict([alone])
            else:
                waiting[0][1].set_exception(error)
            return
        for (_, future), probability in zip(waiting, probabilities, strict=True):
            future.set_result(Timed(probability, took_ms))


def timed(model: Model, rows: list[Row]) -> tuple[list[float], float]:
    """Return the probabilities, and how long the model took in milliseconds."""
    began_s = time.perf_counter()
    probabilities = model.predict(rows)
    return probabilities, (time.perf_counter() - began_s) * 1000
