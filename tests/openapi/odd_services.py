"""Services with documents that use rarer keywords of OpenAPI and JSON Schema.

Each service validates requests with its own document.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import jsonschema
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, Field

from tests.openapi.model_servers import OK, post, ref, served, spec


def valid(document: dict[str, Any], name: str, body: Any) -> bool:
    """Whether a body is valid according to the document's schema with that name, including formats."""
    schema = {**ref(name), "components": document["components"]}
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    return next(checker.iter_errors(body), None) is None


def by_document(document: dict[str, Any], bodies: dict[str, str], others: tuple[str, ...] = ()) -> FastAPI:
    """Return an app that answers 400 if a body does not match its schema.

    `bodies` maps each route to its schema's name.
    """

    def check(name: str) -> Callable[[Request, Any], bool]:
        return lambda _, body: valid(document, name, body)

    routes = {route: check(name) for route, name in bodies.items()}
    return served(document, {**routes, **{route: lambda _request, _body: True for route in others}})


def tuples_and_nulls() -> FastAPI:
    """OpenAPI 3.1: lists of types, tuples, constants, excluded values, maps with a pattern for their keys."""
    schemas = {
        "Reading": {
            "type": "object",
            "required": ["position", "unit", "schema_version", "label", "status", "tags", "window"],
            "additionalProperties": False,
            "properties": {
                "position": {
                    "type": "array",
                    "prefixItems": [
                        {"type": "number", "minimum": -90, "maximum": 90},
                        {"type": "number", "minimum": -180, "maximum": 180},
                        {"type": ["number", "null"]},
                    ],
                    "items": False,
                    "minItems": 3,
                },
                "unit": {"type": ["string", "null"], "enum": ["m", "ft", None]},
                "schema_version": {"const": 3},
                "label": {"type": "string", "not": {"enum": ["", "unknown", "value"]}, "minLength": 2},
                "status": {"type": "integer", "minimum": 1, "maximum": 4, "not": {"const": 3}},
                "tags": {"type": "object", "additionalProperties": {"type": ["string", "integer", "null"]}},
                "window": {
                    "type": "array",
                    "prefixItems": [{"type": "string", "format": "date-time"}],
                    "items": {"type": "integer", "exclusiveMinimum": 0},
                    "minItems": 2,
                    "maxItems": 4,
                },
                "note": {"type": ["null", "string"], "maxLength": 20},
            },
        }
    }
    document = spec("Readings", {"/readings/score": post(ref("Reading"))}, schemas)
    return by_document(document, {"POST /readings/score": "Reading"})


def unions() -> FastAPI:
    """A discriminator in an array, unions of unions, `allOf` with a base, `anyOf` of required fields."""
    schemas = {
        "Event": {
            "oneOf": [ref("Click"), ref("Buy"), ref("Note")],
            "discriminator": {
                "propertyName": "type",
                "mapping": {"click": "#/components/schemas/Click", "buy": "#/components/schemas/Buy"},
            },
        },
        "Base": {"type": "object", "required": ["type", "at"], "properties": {"at": {"type": "integer", "minimum": 0}}},
        "Click": {
            "allOf": [
                ref("Base"),
                {"required": ["x"], "properties": {"type": {"const": "click"}, "x": {"type": "number"}}},
            ]
        },
        "Buy": {
            "allOf": [
                ref("Base"),
                {
                    "required": ["price"],
                    "properties": {"type": {"enum": ["buy"]}, "price": {"anyOf": [ref("Money"), ref("Cents")]}},
                },
            ]
        },
        "Note": {
            "allOf": [
                ref("Base"),
                {"required": ["text"], "properties": {"type": {"const": "Note"}, "text": {"type": "string"}}},
            ]
        },
        "Money": {"type": "string", "pattern": r"^\d{1,4}\.\d{2} (EUR|USD)$"},
        "Cents": {"type": "integer", "multipleOf": 5, "minimum": 5, "maximum": 1000},
        "Batch": {
            "type": "object",
            "required": ["events"],
            "properties": {"events": {"type": "array", "minItems": 1, "items": ref("Event")}, "who": ref("Who")},
            "anyOf": [{"required": ["who"]}, {"required": ["anonymous"]}],
        },
        "Who": {
            "oneOf": [{"type": "string", "format": "uuid"}, {"type": "null"}, {"$ref": "#/components/schemas/Pair"}]
        },
        "Pair": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2, "uniqueItems": True},
    }
    document = spec("Events", {"/events/score": post(ref("Batch"))}, schemas)
    return by_document(document, {"POST /events/score": "Batch"})


def references() -> FastAPI:
    """Parameters, bodies and answers by reference, a server with variables, enumerated paths."""
    parameters = {
        "Model": {"name": "model", "in": "path", "required": True, "schema": ref("ModelName")},
        "Stage": {
            "name": "stage",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "enum": ["canary", "stable"]},
        },
        "Explain": {"name": "explain", "in": "query", "schema": {"type": "boolean"}},
        "Client": {
            "name": "X-Client",
            "in": "header",
            "required": True,
            "schema": {"type": "string", "pattern": "^[a-z]{3}-[0-9]{3}$"},
        },
    }
    document = {
        "openapi": "3.0.3",
        "info": {"title": "By reference", "version": "2"},
        "servers": [
            {
                "url": "https://{region}.example.com/{base}/v{version}",
                "variables": {
                    "region": {"default": "eu", "enum": ["eu", "us"]},
                    "base": {"default": "ml"},
                    "version": {"default": "2"},
                },
            }
        ],
        "paths": {
            "/models/{model}/{stage}": {
                "parameters": [{"$ref": "#/components/parameters/Model"}, {"$ref": "#/components/parameters/Stage"}],
                "post": {
                    "operationId": "predictWith",
                    "parameters": [
                        {"$ref": "#/components/parameters/Explain"},
                        {"$ref": "#/components/parameters/Client"},
                    ],
                    "requestBody": {"$ref": "#/components/requestBodies/Features"},
                    "responses": {"200": {"$ref": "#/components/responses/Scored"}},
                },
            }
        },
        "components": {
            "parameters": parameters,
            "requestBodies": {"Features": {"required": True, "content": {"application/json": {"schema": ref("Rows")}}}},
            "responses": {"Scored": OK["200"]},
            "schemas": {
                "ModelName": {"type": "string", "enum": ["churn", "fraud"]},
                "Rows": {"type": "array", "minItems": 1, "maxItems": 3, "items": ref("Row")},
                "Row": {
                    "type": "object",
                    "required": ["amount", "kind"],
                    "properties": {
                        "amount": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
                        "kind": {"type": "string", "nullable": True, "enum": ["a", "b", None]},
                    },
                },
            },
        },
    }

    def check(request: Request, body: Any) -> bool:
        return (
            request.path_params["model"] in ("churn", "fraud")
            and request.path_params["stage"] in ("canary", "stable")
            and request.query_params.get("explain", "true") in ("true", "false")
            and bool(re.fullmatch("[a-z]{3}-[0-9]{3}", request.headers["x-client"]))
            and 1 <= len(body) <= 3
            and all(row["amount"] > 0 and row["kind"] in ("a", "b", None) for row in body)
        )

    return served(document, {"POST /ml/v2/models/{model}/{stage}": check})


def forms_and_keys() -> FastAPI:
    """A form as the body, an API key in the query, another in a cookie."""
    document = spec(
        "Forms",
        {
            "/sentiment": post(ref("Form"), kind="application/x-www-form-urlencoded", security=[{"InQuery": []}]),
            "/session": {"get": {"responses": OK, "security": [{"InCookie": []}]}},
        },
        {
            "Form": {
                "type": "object",
                "required": ["text", "language", "threshold"],
                "properties": {
                    "text": {"type": "string", "maxLength": 200},
                    "language": {"type": "string", "enum": ["en", "de"]},
                    "threshold": {"type": "number", "minimum": 0, "maximum": 1},
                    "labels": {"type": "array", "items": {"type": "string", "enum": ["good", "bad"]}},
                    "detailed": {"type": "boolean"},
                },
            }
        },
    )
    document["components"]["securitySchemes"] = {
        "InQuery": {"type": "apiKey", "in": "query", "name": "api_key"},
        "InCookie": {"type": "apiKey", "in": "cookie", "name": "session"},
    }

    def form(request: Request, body: Any) -> bool:
        sent = parse_qs(body.decode(), strict_parsing=True)
        return (
            request.query_params["api_key"] == "sesame"
            and len(sent["text"][0]) <= 200
            and sent["language"][0] in ("en", "de")
            and 0 <= float(sent["threshold"][0]) <= 1
            and set(sent.get("labels", [])) <= {"good", "bad"}
            and sent.get("detailed", ["true"])[0] in ("true", "false")
        )

    return served(
        document,
        {"POST /sentiment": form, "GET /session": lambda request, _: request.cookies["session"] == "sesame"},
    )


def trees() -> FastAPI:
    """Schemas that contain themselves, read-only fields that must not be sent, maps of maps."""
    schemas = {
        "Node": {
            "type": "object",
            "required": ["id", "feature", "children", "created_at"],
            "additionalProperties": False,
            "properties": {
                "id": {"type": "integer", "readOnly": True},
                "created_at": {"type": "string", "format": "date-time", "readOnly": True},
                "feature": {"type": "string", "minLength": 1},
                "children": {"type": "array", "maxItems": 2, "items": ref("Node")},
                "parent": {"anyOf": [ref("Node"), {"type": "null"}]},
                "secret": {"type": "string", "writeOnly": True},
            },
        },
        "Forest": {
            "type": "object",
            "required": ["trees", "weights"],
            "properties": {
                "trees": {
                    "type": "object",
                    "additionalProperties": ref("Node"),
                    "minProperties": 1,
                    "propertyNames": {"pattern": "^[a-z_0-9]+$"},
                },
                "weights": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "additionalProperties": {"type": "number"}},
                },
                "next": ref("Forest"),
            },
        },
    }
    document = spec("Forest", {"/forest/score": post(ref("Forest"))}, schemas)
    writable = {**document, "components": {"schemas": {**schemas, "Node": _writable(schemas["Node"])}}}
    return served(document, {"POST /forest/score": lambda _, body: valid(writable, "Forest", body)})


def _writable(node: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without its read-only fields, which a request must not have (OpenAPI 3.0.3, readOnly)."""
    kept = {name: inner for name, inner in node["properties"].items() if not inner.get("readOnly")}
    return {**node, "properties": kept, "required": [name for name in node["required"] if name in kept]}


def expressions() -> FastAPI:
    """Patterns with look-ahead, named groups, classes of Unicode; sets; dates; bounds of every kind."""
    schemas = {
        "Login": {
            "type": "object",
            "required": ["password", "code", "name", "iban", "slots", "day", "share", "level", "points"],
            "properties": {
                "password": {"type": "string", "pattern": r"^(?=.*\d)(?=.*[a-z])(?=.*[A-Z]).{8,12}$"},
                "code": {"type": "string", "pattern": r"^(?<year>20\d{2})-(?<number>\d{3,5})$"},
                "name": {"type": "string", "pattern": r"^\p{L}[\p{L} '-]{1,30}$"},
                "iban": {"type": "string", "pattern": r"^(?!GB)[A-Z]{2}\d{4}$"},
                "slots": {
                    "type": "array",
                    "uniqueItems": True,
                    "minItems": 2,
                    "maxItems": 3,
                    "items": {"type": "integer", "minimum": 1, "maximum": 6},
                },
                "day": {"type": "string", "format": "date"},
                "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
                "level": {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
                "points": {
                    "type": "array",
                    "minItems": 2,
                    "maxItems": 2,
                    "items": {
                        "type": "object",
                        "required": ["x"],
                        "properties": {"x": {"type": "number", "multipleOf": 0.25, "minimum": 0, "maximum": 2}},
                    },
                },
            },
        }
    }
    document = spec("Expressions", {"/login/score": post(ref("Login"))}, schemas)
    patterns = {
        "password": r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z]).{8,12}",
        "code": r"20\d{2}-\d{3,5}",
        "name": r"[^\W\d_](?:[^\W\d_]|[ '-]){1,30}",
        "iban": r"(?!GB)[A-Z]{2}\d{4}",
    }
    plain = {name: {**inner} for name, inner in schemas["Login"]["properties"].items()}  # type: ignore[index]
    for name in patterns:
        plain[name].pop("pattern")  # the validator uses Python's `re`, which does not support all of these patterns
    held = {"components": {"schemas": {"Login": {**schemas["Login"], "properties": plain}}}}

    def check(_: Request, body: Any) -> bool:
        return valid(held, "Login", body) and all(re.fullmatch(known, body[name]) for name, known in patterns.items())

    return served(document, {"POST /login/score": check})


def triton() -> FastAPI:
    """Triton with the Open Inference Protocol's own document: several inputs, versions of models, statistics."""
    name = {"name": "MODEL_NAME", "in": "path", "required": True, "schema": {"type": "string"}}
    version = {"name": "MODEL_VERSION", "in": "path", "required": True, "schema": {"type": "string"}}
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string"},
            "parameters": ref("parameters"),
            "data": ref("tensor_data"),
        },
    }
    schemas = {
        "parameters": {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "number"}]}},
        "tensor_data": {"type": "array", "items": {}},
        "request_input": tensor,
        "request_output": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        "inference_request": {
            "type": "object",
            "required": ["inputs"],
            "properties": {
                "id": {"type": "string"},
                "parameters": ref("parameters"),
                "inputs": {"type": "array", "items": ref("request_input")},
                "outputs": {"type": "array", "items": ref("request_output")},
            },
        },
    }
    infer = post(ref("inference_request"), operationId="ModelInfer")
    get = {"get": {"responses": OK}}
    document = spec(
        "Open Inference Protocol",
        {
            "/v2/health/live": get,
            "/v2/health/ready": get,
            "/v2": get,
            "/v2/models/{MODEL_NAME}": {"get": {"parameters": [name], "responses": OK}},
            "/v2/models/{MODEL_NAME}/ready": {"get": {"parameters": [name], "responses": OK}},
            "/v2/models/{MODEL_NAME}/config": {"get": {"parameters": [name], "responses": OK}},
            "/v2/models/{MODEL_NAME}/infer": {**infer, "parameters": [name]},
            "/v2/models/{MODEL_NAME}/versions/{MODEL_VERSION}/infer": {**infer, "parameters": [name, version]},
            "/v2/repository/index": {"post": {"responses": OK}},
            "/v2/models/stats": get,
        },
        schemas,
    )
    inputs = {"image": ("FP32", [-1, 4]), "threshold": ("FP64", [1]), "labels": ("BYTES", [-1, 2])}
    app = FastAPI(openapi_url=None)
    model = {
        "name": "detector",
        "versions": ["1", "3"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": key, "datatype": kind, "shape": shape} for key, (kind, shape) in inputs.items()],
        "outputs": [{"name": "boxes", "datatype": "FP32", "shape": [-1, 4]}],
    }

    def known(model_name: str, model_version: str = "3") -> dict[str, Any]:
        if model_name != "detector" or model_version not in ("1", "3"):
            raise HTTPException(400, {"error": f"Request for unknown model: '{model_name}' is not found"})
        return model

    @app.get("/openapi.json")
    def openapi() -> dict[str, Any]:
        return document

    @app.get("/v2/health/live")
    @app.get("/v2/health/ready")
    def health() -> Response:
        return Response()

    @app.get("/v2")
    def server() -> dict[str, Any]:
        return {"name": "triton", "version": "2.60.0", "extensions": ["model_repository", "statistics"]}

    @app.get("/v2/models/stats")
    def stats() -> dict[str, Any]:
        return {"model_stats": [{"name": "detector", "version": "3"}]}

    @app.get("/v2/models/{name}")
    @app.get("/v2/models/{name}/config")
    def metadata(name: str) -> dict[str, Any]:
        return known(name)

    @app.get("/v2/models/{name}/ready")
    def ready(name: str) -> Response:
        known(name)
        return Response()

    @app.post("/v2/repository/index")
    def index() -> list[dict[str, str]]:
        return [{"name": "detector", "version": "3", "state": "READY"}]

    @app.post("/v2/models/{name}/infer")
    @app.post("/v2/models/{name}/versions/{version}/infer")
    def inference(name: str, body: dict[str, Any], version: str = "3") -> dict[str, Any]:
        known(name, version)
        sent = {item["name"]: item for item in body["inputs"]}
        if set(sent) != set(inputs):
            raise HTTPException(400, {"error": f"expected {len(inputs)} inputs but got {len(sent)} inputs"})
        for key, (kind, shape) in inputs.items():
            tensor = sent[key]
            size = 1
            for side in tensor["shape"]:
                size *= side
            sides = zip(shape, tensor["shape"], strict=True)
            if tensor["datatype"] != kind or any(want not in (-1, have) for want, have in sides):
                raise HTTPException(400, {"error": f"unexpected shape or datatype for input '{key}'"})
            flat = _flat(tensor["data"])
            if len(flat) != size or any(isinstance(each, str) != (kind == "BYTES") for each in flat):
                raise HTTPException(400, {"error": f"unexpected data for input '{key}'"})
        return {"model_name": name, "model_version": version, "outputs": []}

    return app


def _flat(data: Any) -> list[Any]:
    return [each for part in data for each in _flat(part)] if isinstance(data, list) else [data]


def litserve() -> FastAPI:
    """LitServe: FastAPI's own document with health, info and a typed predict; another route's body is any JSON."""
    app = FastAPI(title="FastAPI", version="0.1.0")

    class PredictRequest(BaseModel):
        prompt: str = Field(min_length=1, max_length=200)
        temperature: float = Field(0.7, ge=0, le=2)
        max_new_tokens: int = Field(16, ge=1, le=64)

    @app.get("/")
    def index() -> PlainTextResponse:
        return PlainTextResponse("litserve running")

    @app.get("/health")
    def health() -> PlainTextResponse:
        return PlainTextResponse("ok")

    @app.get("/info")
    def info() -> dict[str, Any]:
        return {"model": None, "server": {"devices": ["cpu"], "workers_per_device": 1, "timeout": 30, "stream": False}}

    @app.post("/predict")
    async def predict(request: PredictRequest) -> dict[str, str]:
        return {"output": request.prompt[: request.max_new_tokens]}

    @app.post("/embed")
    async def embed(request: Request) -> dict[str, Any]:
        body = await request.json()
        return {"output": [0.1, 0.2], "of": str(body)[:20]}

    return app


def smorest() -> Any:
    """flask-smorest with marshmallow's schemas: a blueprint, read-only fields, a nullable field."""
    pytest.importorskip("flask_smorest", reason="a development dependency: run `uv sync`")
    from flask import Flask
    from flask.views import MethodView
    from flask_smorest import Api, Blueprint
    from marshmallow import Schema, fields, validate

    app = Flask("pets")
    app.config.update(API_TITLE="Wines", API_VERSION="v1", OPENAPI_VERSION="3.0.2", OPENAPI_URL_PREFIX="/")
    app.config.update(OPENAPI_JSON_PATH="openapi.json", PROPAGATE_EXCEPTIONS=True)
    api = Api(app)

    class WineSchema(Schema):
        id = fields.Int(dump_only=True)
        colour = fields.String(required=True, validate=validate.OneOf(["red", "white"]))
        acidity = fields.Float(required=True, validate=validate.Range(min=2.9, max=4.0))
        name = fields.String(
            required=True, validate=[validate.Length(min=3, max=20), validate.Regexp(r"^[A-Z][a-z ]+$")]
        )
        bottled = fields.Date(required=True)
        tags = fields.List(fields.String(), load_default=[])
        origin = fields.Nested({"country": fields.String(required=True), "altitude": fields.Int(allow_none=True)})

    class ListSchema(Schema):
        colour = fields.String(validate=validate.OneOf(["red", "white"]))
        min_acidity = fields.Float()

    class ScoreSchema(Schema):
        quality = fields.Float(required=True)

    blueprint = Blueprint("wines", "wines", url_prefix="/wines", description="What wines are worth")

    @blueprint.route("/")
    class Wines(MethodView):  # type: ignore[misc] # Flask ships no types for this
        @blueprint.arguments(ListSchema, location="query")
        @blueprint.response(200, WineSchema(many=True))
        def get(self, chosen: dict[str, Any]) -> list[dict[str, Any]]:
            del chosen
            return []

    @blueprint.route("/score", methods=["POST"])
    @blueprint.arguments(WineSchema)
    @blueprint.response(200, ScoreSchema)
    def score(wine: dict[str, Any]) -> dict[str, float]:
        return {"quality": wine["acidity"]}

    api.register_blueprint(blueprint)
    return app


def apiflask() -> Any:
    """APIFlask: decorators for input and output, an API key in a header, an enumerated path."""
    pytest.importorskip("apiflask", reason="a development dependency: run `uv sync`")
    from apiflask import APIFlask, APIKeyHeaderAuth, Schema
    from apiflask.fields import Boolean, Email, Float, Integer, List, String
    from apiflask.validators import Length, OneOf, Range

    app = APIFlask("churn", title="Churn", version="1.0")
    auth = APIKeyHeaderAuth(param_name="X-API-Key")

    @auth.verify_token  # type: ignore[misc, untyped-decorator] # APIFlask's decorators are untyped
    def verify(token: str) -> dict[str, str] | None:
        return {"who": "tester"} if token == "sesame" else None

    class Customer(Schema):
        email = Email(required=True)
        months = Integer(required=True, validate=Range(min=0, max=120))
        plan = String(required=True, validate=OneOf(["free", "pro"]))
        usage = List(Float(validate=Range(min=0)), required=True, validate=Length(min=3, max=5))
        trial = Boolean(load_default=False)

    class Risk(Schema):
        risk = Float(required=True)

    @app.get("/health")
    @app.doc(tags=["meta"])
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/predict/<string:segment>")
    @app.input(Customer)
    @app.output(Risk)
    @app.auth_required(auth)
    def predict(segment: str, json_data: dict[str, Any]) -> dict[str, float]:
        del segment
        return {"risk": json_data["months"] / 120}

    return app


ODD: dict[str, Callable[[], Any]] = {
    each.__name__: each
    for each in (
        tuples_and_nulls,
        unions,
        references,
        forms_and_keys,
        trees,
        expressions,
        triton,
        litserve,
        smorest,
        apiflask,
    )
}
