"""For any body, the direct path, which does not use FastAPI, gives the same prediction as FastAPI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from target_service.app import _answers, create_app, create_instance
from target_service.instance import Counts
from target_service.model import Model
from target_service.schema import EXAMPLES, MAX_BATCH, LoanApplication, Row, as_row

OF_THE_INSTANCE = {"x-instance-id", "x-instance-age-ms", "server-timing"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def applications(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an application with some of its fields missing, changed or added."""
    fields: dict[str, Any] = dict(draw(st.sampled_from(EXAMPLES)))
    for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=3)):
        fields[name] = draw(JSON | st.sampled_from([0, -1, 1e308, "N", "Y", True, ""]))
    for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=2, unique=True)):
        del fields[name]
    return {**fields, **draw(st.dictionaries(st.text(max_size=5), JSON, max_size=1))}


BODIES = (
    st.binary(max_size=50)
    | JSON.map(lambda value: json.dumps(value).encode())
    | applications().map(lambda item: json.dumps(item).encode())
    | st.lists(applications(), max_size=3).map(lambda many: json.dumps({"applications": many}).encode())
)


async def answers_of(model: Model, path: str, options: dict[str, Any]) -> list[tuple[int, dict[str, str], bytes]]:
    """Return FastAPI's answer and the instance's answer."""
    found = []
    for app in (create_app(model, Counts()), create_instance(model)):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            response = await client.post(path, **options)
        headers = {name: value for name, value in response.headers.items() if name not in OF_THE_INSTANCE}
        found.append((response.status_code, headers, response.content))
    return found


@example(body=b'{"term_months": 123456789012345678901234567890}', path="/predict", content_type="")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    body=BODIES,
    path=st.sampled_from(["/predict", "/predict/batch"]),
    content_type=st.sampled_from(["application/json", "text/plain", "application/json; charset=utf-8", ""]),
)
def test_the_answer_is_fastapis(model: Model, body: bytes, path: str, content_type: str) -> None:
    async def ask() -> list[tuple[int, dict[str, str], bytes]]:
        return await answers_of(model, path, {"content": body, "headers": {"content-type": content_type}})

    by_fastapi, direct = anyio.run(ask)
    assert direct == by_fastapi


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1])
@pytest.mark.parametrize("stream", [False, True], ids=["length", "chunked"])
def test_a_large_body_is_answered_as_by_fastapi(model: Model, size: int, stream: bool) -> None:
    async def chunks() -> Any:
        for _ in range(2):
            yield b" " * (size // 2)

    async def ask() -> list[tuple[int, dict[str, str], bytes]]:
        found = []
        for app in (create_app(model, Counts()), create_instance(model)):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                response = await client.post("/predict", content=chunks() if stream else b" " * size)
            found.append((response.status_code, {}, response.content))
        return found

    by_fastapi, direct = anyio.run(ask)
    assert direct == by_fastapi
    assert direct[0] in (413, 422)


def test_a_prediction_that_breaks_is_a_500_as_by_fastapi(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Model, _rows: object) -> list[float]:
        raise RuntimeError("the model is broken")

    monkeypatch.setattr(Model, "predict", fail)

    async def ask() -> list[tuple[int, str, bytes]]:
        found = []
        for app in (create_app(model, Counts()), create_instance(model)):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                response = await client.post("/predict", json=EXAMPLES[0])
            found.append((response.status_code, response.headers["content-type"], response.content))
        return found

    by_fastapi, direct = anyio.run(ask)
    assert direct == by_fastapi
    assert direct[0] == 500


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(("whole", "refused", "broken", "gone")), min_size=1, max_size=2 * MAX_BATCH))
def test_each_of_many_requests_at_once_gets_its_own_answer(model: Model, kinds: list[str]) -> None:
    """Some rows break the model and some clients leave.

    All other requests get the same answers as if they were sent alone.
    """
    rows = [
        {**EXAMPLES[at % 2], "NoEmp": at, "City": "breaks" if kind == "broken" else "Other"}
        for at, kind in enumerate(kinds)
    ]
    bodies = [b"{}" if kind == "refused" else json.dumps(row).encode() for kind, row in zip(kinds, rows, strict=True)]
    alone = [model.predict([as_row(LoanApplication(**row))])[0] for row in rows]

    class Breaking(Model):
        def __init__(self) -> None:
            pass

        def predict(self, rows: Sequence[Row]) -> list[float]:
            assert len(rows) <= MAX_BATCH
            if any("breaks" in row for row in rows):
                raise RuntimeError("the model is broken")
            return model.predict(rows)

    async def ask() -> list[Any]:
        answer = _answers(Breaking(), Counts())["/predict"]
        tasks = [asyncio.ensure_future(answer(body)) for body in bodies]
        await asyncio.sleep(0)
        for kind, task in zip(kinds, tasks, strict=True):
            if kind == "gone":
                task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    for kind, found, probability in zip(kinds, asyncio.run(ask()), alone, strict=True):
        if kind == "whole":
            assert json.loads(found.body) == {"default_probability": probability}
        else:
            ends = {"refused": ValidationError, "broken": RuntimeError, "gone": asyncio.CancelledError}
            assert isinstance(found, ends[kind])


def test_the_openapi_document_names_both_paths(model: Model) -> None:
    paths = create_app(model, Counts()).openapi()["paths"]
    assert {"/predict", "/predict/batch"} <= set(paths)
    assert set(paths["/predict"]["post"]["responses"]) == {"200", "422"}
