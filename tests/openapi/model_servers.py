"""Strict services with documents like those of model servers and web frameworks.

The services refuse invalid requests with a 4xx.
"""

import datetime
import json
import re
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

Check = Callable[[Request, Any], bool]
OK = {"200": {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}}


def served(spec: dict[str, Any], routes: dict[str, Check], *, at: str = "/openapi.json") -> FastAPI:
    """Return an app that serves a document, and answers 400 if a check for `METHOD /path` fails."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get(at)
    def document() -> dict[str, Any]:
        return spec

    def route(where: str, check: Check) -> None:
        method, path = where.split(" ", 1)

        async def answer(request: Request) -> Response:
            raw = await request.body()
            kind = request.headers.get("content-type", "")
            try:
                body = json.loads(raw) if "json" in kind else raw
                good = check(request, body)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                return PlainTextResponse(f"{type(error).__name__}: {error}", 400)
            return JSONResponse({"ok": True}) if good else PlainTextResponse(f"refused: {raw[:300]!r}", 400)

        app.add_route(path, answer, methods=[method])

    for where, check in routes.items():
        route(where, check)
    return app


def spec(title: str, paths: dict[str, Any], schemas: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    found = {"openapi": "3.1.0", "info": {"title": title, "version": "1"}, "paths": paths}
    return {**found, "components": {"schemas": schemas or {}}, **more}


def post(schema: dict[str, Any], *, kind: str = "application/json", **more: Any) -> dict[str, Any]:
    return {"post": {"requestBody": {"required": True, "content": {kind: {"schema": schema}}}, "responses": OK, **more}}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def mlflow() -> FastAPI:
    """MLflow: /invocations takes one of four inputs; an example contains the columns."""
    split = {
        "type": "object",
        "required": ["dataframe_split"],
        "additionalProperties": False,
        "properties": {
            "dataframe_split": {
                "type": "object",
                "required": ["columns", "data"],
                "properties": {
                    "columns": {"type": "array", "items": {"type": "string"}},
                    "data": {"type": "array", "items": {"type": "array", "items": {}}},
                },
                "example": {"columns": ["age", "income"], "data": [[40, 1200.5]]},
            },
            "params": {"type": "object", "additionalProperties": True},
        },
    }
    get = {"get": {"responses": {"200": {"description": "up"}}}}

    def check(_: Request, body: Any) -> bool:
        table = body["dataframe_split"]
        return table["columns"] == ["age", "income"] and all(len(row) == 2 for row in table["data"])

    routes: dict[str, Check] = {"GET /ping": lambda *_: True, "POST /invocations": check}
    return served(spec("MLflow", {"/ping": get, "/invocations": post(split)}), routes)


def tf_serving() -> FastAPI:
    """TensorFlow Serving: a colon in the path, instances of a fixed width."""
    body = {
        "type": "object",
        "required": ["instances"],
        "properties": {
            "signature_name": {"type": "string", "default": "serving_default"},
            "instances": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
            },
        },
    }
    name = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "example": "iris"}}
    paths = {
        "/v1/models/{model}": {"parameters": [name], "get": {"responses": OK}},
        "/v1/models/{model}:predict": {"parameters": [name], **post(body)},
    }

    def predict(request: Request, given: Any) -> bool:
        rows = given["instances"]
        return request.path_params["model"] == "iris" and bool(rows) and all(len(row) == 4 for row in rows)

    known: Check = lambda request, _: request.path_params["model"] == "iris"  # noqa: E731 - one of a table
    return served(spec("TF", paths), {"GET /v1/models/{model}": known, "POST /v1/models/{model:str}:predict": predict})


def vertex() -> FastAPI:
    """Vertex AI: instances and parameters, each with its own schema."""
    schemas = {
        "Instance": {
            "type": "object",
            "required": ["mimeType", "content"],
            "properties": {
                "content": {"type": "string", "format": "byte"},
                "mimeType": {"type": "string", "enum": ["image/png", "image/jpeg"]},
            },
        },
        "Parameters": {
            "type": "object",
            "properties": {
                "confidenceThreshold": {"type": "number", "format": "float", "minimum": 0, "maximum": 1},
                "maxPredictions": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 100},
            },
        },
    }
    body = {
        "type": "object",
        "required": ["instances"],
        "properties": {
            "instances": {"type": "array", "items": ref("Instance"), "minItems": 1},
            "parameters": ref("Parameters"),
        },
    }

    def check(_: Request, given: Any) -> bool:
        import base64

        ok = all(base64.b64decode(each["content"], validate=True) is not None for each in given["instances"])
        parameters = given.get("parameters", {})
        return ok and bool(given["instances"]) and 0 <= parameters.get("confidenceThreshold", 0) <= 1

    return served(spec("Vertex", {"/predict": post(body)}, schemas), {"POST /predict": check})


def openai() -> FastAPI:
    """OpenAI-compatible: messages of different roles, limits, everything nullable, a bearer token."""

    def message(role: str) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["role", "content"],
            "properties": {"role": {"const": role}, "content": {"type": "string", "minLength": 1}},
        }

    schemas = {
        "System": message("system"),
        "User": message("user"),
        "Chat": {
            "type": "object",
            "required": ["model", "messages"],
            "properties": {
                "model": {"anyOf": [{"type": "string"}, {"enum": ["small", "large"]}], "example": "small"},
                "messages": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"oneOf": [ref("System"), ref("User")], "discriminator": {"propertyName": "role"}},
                },
                "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2, "default": 1},
                "n": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 4}, {"type": "null"}], "default": 1},
                "stop": {
                    "default": None,
                    "oneOf": [
                        {"type": "null"},
                        {"type": "string"},
                        {"type": "array", "minItems": 1, "maxItems": 4, "items": {"type": "string"}},
                    ],
                },
                "stream": {"type": ["boolean", "null"], "default": False},
                "logit_bias": {"type": ["object", "null"], "additionalProperties": {"type": "integer"}},
            },
        },
    }

    def check(request: Request, body: Any) -> bool:
        roles = [each["role"] for each in body["messages"]]
        return (
            request.headers.get("authorization") == "Bearer sesame"
            and body["model"] in ("small", "large")
            and bool(roles)
            and set(roles) <= {"system", "user"}
            and all(each["content"] for each in body["messages"])
            and 0 <= (body.get("temperature") or 0) <= 2
            and (body.get("n") or 1) in range(1, 5)
        )

    security = {"security": [{"ApiKeyAuth": []}]}
    made = spec("OpenAI", {"/v1/chat/completions": post(ref("Chat"))}, schemas, **security)
    made["components"]["securitySchemes"] = {"ApiKeyAuth": {"type": "http", "scheme": "bearer"}}
    return served(made, {"POST /v1/chat/completions": check})


def embeddings() -> FastAPI:
    """Hugging Face TEI: one text or many, ranks, and health without a body."""
    schemas = {
        "Input": {
            "oneOf": [
                {"type": "string"},
                {"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "integer", "minimum": 0}]}},
            ]
        },
        "Embed": {
            "type": "object",
            "required": ["inputs"],
            "properties": {
                "inputs": ref("Input"),
                "truncate": {"type": "boolean", "default": False, "nullable": True, "example": "false"},
            },
        },
        "Rerank": {
            "type": "object",
            "required": ["query", "texts"],
            "properties": {
                "query": {"type": "string", "example": "What is Deep Learning?"},
                "texts": {"type": "array", "items": {"type": "string"}, "example": ["Deep Learning is ..."]},
                "raw_scores": {"type": "boolean", "default": "false", "example": "false"},
                "truncation_direction": {"allOf": [ref("Direction")], "default": "right"},
            },
        },
        "Direction": {"type": "string", "enum": ["Left", "Right"]},
    }
    health = {"get": {"responses": {"200": {"description": "Everything is working fine"}}}}
    paths = {"/embed": post(ref("Embed")), "/rerank": post(ref("Rerank")), "/health": health}

    def embed(_: Request, body: Any) -> bool:
        return bool(body["inputs"]) and body.get("truncate") in (None, True, False)

    def rerank(_: Request, body: Any) -> bool:
        return (
            bool(body["texts"])
            and body.get("raw_scores", False) in (True, False)
            and body.get("truncation_direction", "Right") in ("Left", "Right")
        )

    return served(
        {**spec("TEI", paths, schemas), "openapi": "3.0.3"},
        {"POST /embed": embed, "POST /rerank": rerank, "GET /health": lambda *_: True},
    )


def torchserve() -> FastAPI:
    """TorchServe: any bytes under a model's name, and a ping."""
    name = {"in": "path", "name": "model_name", "required": True, "schema": {"type": "string", "default": "resnet"}}
    paths = {
        "/ping": {"get": {"operationId": "ping", "responses": OK}},
        "/predictions/{model_name}": {
            "post": {
                "operationId": "predictions",
                "parameters": [name],
                "requestBody": {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}},
                "responses": OK,
            }
        },
    }
    known: Check = lambda request, body: request.path_params["model_name"] == "resnet" and bool(body)  # noqa: E731
    return served(
        {**spec("TorchServe", paths), "openapi": "3.0.1"},
        {"GET /ping": lambda *_: True, "POST /predictions/{model_name}": known},
    )


def springdoc() -> FastAPI:
    """Springdoc: a page as one object in the query, int64, answers of any kind, the document at /v3/api-docs."""
    schemas = {
        "Pageable": {
            "type": "object",
            "properties": {
                "page": {"type": "integer", "format": "int32", "minimum": 0},
                "size": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 50},
                "sort": {"type": "array", "items": {"type": "string", "enum": ["id,asc", "id,desc"]}},
            },
        },
        "Loan": {
            "type": "object",
            "required": ["amount", "due"],
            "properties": {
                "amount": {"type": "number", "exclusiveMinimum": True, "minimum": 0},
                "due": {"type": "string", "format": "date"},
                "customerId": {"type": "integer", "format": "int64", "minimum": 1},
                "status": {"type": "string", "enum": ["NEW", "OLD"]},
            },
        },
    }
    anything = {"200": {"description": "OK", "content": {"*/*": {"schema": {"type": "object"}}}}}
    page = {"name": "pageable", "in": "query", "required": True, "schema": ref("Pageable")}
    paths = {
        "/api/loans": {"get": {"parameters": [page], "responses": anything}},
        "/api/loans/score": post(ref("Loan"), operationId="score"),
    }

    def listed(request: Request, _: Any) -> bool:
        query = request.query_params
        return "pageable" not in query and int(query.get("page", 0)) >= 0 and 1 <= int(query.get("size", 20)) <= 50

    def score(_: Request, body: Any) -> bool:
        datetime.date.fromisoformat(body["due"])
        return body["amount"] > 0 and body.get("status", "NEW") in ("NEW", "OLD") and body.get("customerId", 1) < 2**63

    return served(
        {**spec("Spring", paths, schemas), "openapi": "3.0.1"},
        {"GET /api/loans": listed, "POST /api/loans/score": score},
        at="/v3/api-docs",
    )


def aspnet() -> FastAPI:
    """Swashbuckle: three JSON types, a version in the path, whole numbers as enum, /swagger/v1/swagger.json."""
    schemas = {
        "Kind": {"type": "integer", "format": "int32", "enum": [0, 1, 2]},
        "Input": {
            "type": "object",
            "required": ["id", "kind"],
            "additionalProperties": False,
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "kind": ref("Kind"),
                "note": {"type": "string", "nullable": True, "maxLength": 10},
                "scores": {"type": "array", "nullable": True, "items": {"type": "number", "format": "double"}},
            },
        },
    }
    kinds = ("application/json", "text/json", "application/*+json")
    version = {"name": "version", "in": "path", "required": True, "schema": {"type": "string", "default": "1"}}
    operation = {
        "parameters": [version],
        "requestBody": {"content": {kind: {"schema": ref("Input")} for kind in kinds}},
        "responses": OK,
    }

    def check(request: Request, body: Any) -> bool:
        return (
            request.path_params["version"] == "1"
            and re.fullmatch(r"[0-9a-f-]{36}", body["id"]) is not None
            and body["kind"] in (0, 1, 2)
            and len(body.get("note") or "") <= 10
            and set(body) <= {"id", "kind", "note", "scores"}
        )

    return served(
        {**spec("ASP.NET", {"/api/v{version}/Predict": {"post": operation}}, schemas), "openapi": "3.0.1"},
        {"POST /api/v{version}/Predict": check},
        at="/swagger/v1/swagger.json",
    )


def ray_serve() -> FastAPI:
    """Ray Serve: an application below a prefix that the server's URL names, a bare text as JSON."""
    made = spec("Ray", {"/": post({"type": "string", "minLength": 1})}, servers=[{"url": "/summarizer"}])
    return served(made, {"POST /summarizer/": lambda _, body: isinstance(body, str) and bool(body)})


def connexion() -> FastAPI:
    """Hand-written Connexion: a base path, lists with commas in the query, a header, a text with a pattern."""
    parameters = [
        {
            "name": "fields",
            "in": "query",
            "required": True,
            "style": "form",
            "explode": False,
            "schema": {"type": "array", "minItems": 1, "items": {"type": "string", "enum": ["score", "reason"]}},
        },
        {"name": "X-Trace", "in": "header", "required": True, "schema": {"type": "string", "pattern": "^[a-f0-9]{8}$"}},
    ]
    body = {
        "type": "object",
        "required": ["iban"],
        "properties": {
            "iban": {"type": "string", "pattern": r"^DE\d{20}$"},
            "at": {"type": "string", "format": "time"},
        },
    }
    made = spec("Connexion", {"/score": post(body, parameters=parameters, operationId="api.score")})
    made["servers"] = [{"url": "/v1.0"}]

    def check(request: Request, given: Any) -> bool:
        return (
            set(request.query_params["fields"].split(",")) <= {"score", "reason"}
            and re.fullmatch("[a-f0-9]{8}", request.headers["x-trace"]) is not None
            and re.fullmatch(r"DE\d{20}", given["iban"]) is not None
        )

    return served({**made, "openapi": "3.0.2"}, {"POST /v1.0/score": check})


def litestar() -> FastAPI:
    """Litestar: the document at /schema/openapi.json, names with dots, null as a separate type."""
    schemas = {
        "app.domain.Customer": {
            "type": "object",
            "required": ["age", "region"],
            "properties": {
                "age": {"type": "integer", "exclusiveMinimum": 17, "maximum": 120},
                "region": {"type": "string", "enum": ["north", "south"]},
                "score": {"oneOf": [{"type": "number", "multipleOf": 0.5}, {"type": "null"}]},
                "email": {"oneOf": [{"type": "string", "format": "email"}, {"type": "null"}]},
            },
        }
    }

    def check(_: Request, body: Any) -> bool:
        score = body.get("score")
        return (
            18 <= body["age"] <= 120
            and body["region"] in ("north", "south")
            and (score is None or score * 2 == int(score * 2))
            and "@" in (body.get("email") or "@")
        )

    operation = post(ref("app.domain.Customer"), operationId="ScorePredictScore")
    return served(
        spec("Litestar", {"/predict": operation}, schemas), {"POST /predict": check}, at="/schema/openapi.json"
    )


MODEL_SERVERS = {
    each.__name__: each
    for each in (
        mlflow,
        tf_serving,
        vertex,
        openai,
        embeddings,
        torchserve,
        springdoc,
        aspnet,
        ray_serve,
        connexion,
        litestar,
    )
}
