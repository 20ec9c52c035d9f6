"""More services, in the styles of other frameworks and of authors in a hurry."""

import base64
import datetime
import uuid
from typing import Annotated, Any, Literal

from fastapi import Cookie, Depends, FastAPI, File, Form, Header, HTTPException, Request, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBasic, HTTPBasicCredentials, HTTPBearer
from pydantic import BaseModel, Field, RootModel, field_validator, model_validator


def batch() -> FastAPI:
    """One route takes a list as its whole body, and another route takes plain text."""
    app = FastAPI(title="Batch")

    class Row(BaseModel):
        age: int = Field(ge=18, le=100)
        income: float = Field(gt=0)
        married: bool
        since: datetime.date
        seen: datetime.datetime
        id: uuid.UUID

    @app.post("/batch_predict")
    def batch_predict(rows: Annotated[list[Row], Field(min_length=1, max_length=10)]) -> list[float]:
        return [0.5 for _ in rows]

    class Words(RootModel[list[str]]):
        pass

    @app.post("/tokenize")
    def tokenize(words: Words) -> list[int]:
        return [len(each) for each in words.root]

    return app


def bento() -> FastAPI:
    """BentoML: document at /docs.json, verbs as paths, a picture in a form, health checks."""
    app = FastAPI(title="summarization", openapi_url="/docs.json")

    @app.get("/livez")
    def livez() -> PlainTextResponse:
        return PlainTextResponse("\n")

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        return PlainTextResponse("requests_total 1")

    class Summarize(BaseModel):
        text: str = Field(default="Breaking News: in an astonishing turn of events, a cat …", title="Text")

    @app.post("/summarize")
    def summarize(body: Summarize) -> PlainTextResponse:
        return PlainTextResponse("short")

    @app.post("/remove_background")
    def remove_background(image: Annotated[UploadFile, File()]) -> Response:
        data = image.file.read()
        if not data.startswith((b"\x89PNG", b"\xff\xd8")):
            raise HTTPException(400, "no picture")
        return Response(data, media_type="image/png")

    return app


DRF = {
    "openapi": "3.0.3",
    "info": {"title": "Django", "version": "0.0.0"},
    "paths": {
        "/api/customers/": {
            "get": {
                "operationId": "customers_list",
                "parameters": [{"name": "page", "required": False, "in": "query", "schema": {"type": "integer"}}],
                "security": [{"tokenAuth": []}, {}],
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Page"}}}}
                },
            },
            "post": {
                "operationId": "customers_create",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Customer"}}}},
                "responses": {"201": {"description": ""}},
            },
        },
        "/api/customers/{id}/": {
            "get": {
                "operationId": "customers_retrieve",
                "parameters": [
                    {"in": "path", "name": "id", "schema": {"type": "string", "format": "uuid"}, "required": True}
                ],
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Customer"}}}}
                },
            },
            "put": {"operationId": "customers_update", "responses": {"200": {"description": ""}}},
        },
        "/api/churn/": {
            "post": {
                "operationId": "churn_create",
                "description": "Predict churn.",
                "tags": ["churn"],
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Churn"}},
                        "application/x-www-form-urlencoded": {"schema": {"$ref": "#/components/schemas/Churn"}},
                        "multipart/form-data": {"schema": {"$ref": "#/components/schemas/Churn"}},
                    },
                    "required": True,
                },
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"type": "object", "additionalProperties": {}}}}}
                },
            }
        },
    },
    "components": {
        "schemas": {
            "Page": {
                "type": "object",
                "properties": {
                    "count": {"type": "integer"},
                    "results": {"type": "array", "items": {"$ref": "#/components/schemas/Customer"}},
                },
            },
            "Customer": {
                "type": "object",
                "required": ["id", "name"],
                "properties": {
                    "id": {"type": "string", "format": "uuid", "readOnly": True},
                    "name": {"type": "string", "maxLength": 50},
                },
            },
            "PlanEnum": {"enum": ["basic", "pro"], "type": "string", "description": "* `basic` - Basic\n* `pro` - Pro"},
            "Churn": {
                "type": "object",
                "required": ["plan", "months", "monthly_charge"],
                "properties": {
                    "id": {"type": "integer", "readOnly": True},
                    "plan": {"allOf": [{"$ref": "#/components/schemas/PlanEnum"}], "description": "the plan"},
                    "months": {"type": "integer", "maximum": 2147483647, "minimum": 0},
                    "monthly_charge": {
                        "type": "string",
                        "format": "decimal",
                        "pattern": "^-?\\d{0,6}(?:\\.\\d{0,2})?$",
                    },
                    "region": {"nullable": True, "oneOf": [{"$ref": "#/components/schemas/PlanEnum"}]},
                    "comment": {"type": "string", "nullable": True, "maxLength": 20},
                },
            },
        },
        "securitySchemes": {
            "tokenAuth": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "Token-based"}
        },
    },
}


def django() -> FastAPI:
    """Django REST framework with drf-spectacular: read-only fields, pages of results, decimals as text."""
    app = FastAPI(openapi_url=None)
    known = {str(uuid.UUID(int=n + 1)): f"customer {n}" for n in range(3)}

    @app.get("/api/schema/")
    def schema() -> JSONResponse:
        return JSONResponse(DRF, media_type="application/vnd.oai.openapi+json")

    @app.get("/api/customers/")
    def customers(page: int = 1) -> dict[str, Any]:
        return {"count": 3, "next": None, "results": [{"id": key, "name": name} for key, name in known.items()]}

    @app.get("/api/customers/{key}/")
    def customer(key: str) -> dict[str, str]:
        if key not in known:
            raise HTTPException(404, "Not found.")
        return {"id": key, "name": known[key]}

    @app.post("/api/churn/")
    def churn(body: dict[str, Any]) -> dict[str, float]:
        try:
            assert "id" not in body
            assert body["plan"] in ("basic", "pro")
            assert 0 <= body["months"] < 2**31
            assert float(body["monthly_charge"]) < 1e6
            assert body.get("region") in (None, "basic", "pro")
            assert len(body.get("comment") or "") <= 20
        except (AssertionError, KeyError, ValueError) as error:
            raise HTTPException(400, repr(error)) from None
        return {"churn": 0.2}

    return app


def bearer() -> FastAPI:
    """A bearer token for everything."""
    app = FastAPI(title="Bearer")
    scheme = HTTPBearer()

    @app.get("/models")
    def models(token: Annotated[HTTPAuthorizationCredentials, Depends(scheme)]) -> dict[str, Any]:
        if token.credentials != "sesame":
            raise HTTPException(401, "token")
        return {"object": "list", "data": [{"id": "gpt-tiny", "object": "model"}]}

    class Message(BaseModel):
        role: Literal["user", "system"]
        content: str

    class Chat(BaseModel):
        model: str = "gpt-tiny"
        messages: list[Message] = Field(min_length=1)
        temperature: float | None = Field(None, ge=0, le=2)
        stream: bool = False
        stop: str | list[str] | None = None

    @app.post("/v1/chat/completions")
    def chat(body: Chat, token: Annotated[HTTPAuthorizationCredentials, Depends(scheme)]) -> dict[str, Any]:
        if token.credentials != "sesame" or body.model != "gpt-tiny":
            raise HTTPException(401 if token.credentials != "sesame" else 404, "token or model")
        return {"choices": [{"message": {"content": "hi"}}]}

    return app


def basic() -> FastAPI:
    """Basic authentication with a required header and a required cookie."""
    app = FastAPI(title="Basic")
    scheme = HTTPBasic()

    class Text(BaseModel):
        query: str = Field(min_length=3, max_length=200, examples=["loan terms", "interest"])

    @app.post("/search")
    def search(
        body: Text,
        login: Annotated[HTTPBasicCredentials, Depends(scheme)],
        x_request_id: Annotated[uuid.UUID, Header()],
        tenant: Annotated[str, Cookie(pattern="^[a-z]{3,8}$")],
    ) -> list[str]:
        if (login.username, login.password) != ("ada", "sesame"):
            raise HTTPException(401, "who?")
        return ["a"]

    return app


def picture_as_text() -> FastAPI:
    """A picture as base64 in JSON, which the service really decodes."""
    app = FastAPI(title="Base64")

    class Picture(BaseModel):
        image_base64: str
        threshold: float = 0.5

    @app.post("/detect")
    def detect(body: Picture) -> dict[str, list[float]]:
        if (
            not base64.b64decode(body.image_base64, validate=True).startswith(b"\x89PNG")
            or not 0 <= body.threshold <= 1
        ):
            raise HTTPException(400, "no picture")
        return {"boxes": []}

    return app


def rules_beyond_the_document() -> FastAPI:
    """Validators that the document does not mention: sums, orders of dates, known names."""
    app = FastAPI(title="Rules")

    class Loan(BaseModel):
        start: datetime.date
        end: datetime.date
        shares: list[float] = Field(min_length=2, max_length=2)
        purpose: str

        @field_validator("purpose")
        @classmethod
        def known(cls, value: str) -> str:
            if len(value) > 5:
                raise ValueError("unknown purpose")
            return value

        @model_validator(mode="after")
        def ordered(self) -> "Loan":
            if self.end < self.start:
                raise ValueError("end before start")
            return self

    @app.post("/price")
    def price(loan: Loan) -> float:
        return 1.0

    return app


def matrix() -> FastAPI:
    """A matrix whose width only the model knows. The error does not say which width is expected."""
    app = FastAPI(title="Matrix")

    class Instances(BaseModel):
        instances: list[list[float]]

    @app.post("/v1/models/iris:predict")
    def predict(body: Instances) -> JSONResponse:
        if any(len(row) != 4 for row in body.instances):
            return JSONResponse({"error": "bad input"}, 400)
        return JSONResponse({"predictions": [1] * len(body.instances)})

    return app


def form() -> FastAPI:
    """Form fields instead of JSON."""
    app = FastAPI(title="Form")

    @app.post("/translate")
    def translate(text: Annotated[str, Form(min_length=1)], to: Annotated[Literal["de", "fr"], Form()]) -> str:
        return text

    return app


HAND = {
    "openapi": "3.1.0",
    "info": {"title": "By hand"},
    "servers": [{"url": "/api/{version}", "variables": {"version": {"default": "v2"}}}],
    "paths": {
        "/rank": {
            "parameters": [{"$ref": "#/components/parameters/Tenant"}],
            "post": {
                "requestBody": {"$ref": "#/components/requestBodies/Rank"},
                "responses": {"200": {"$ref": "#/components/responses/Ranked"}},
            },
        },
        "/audio": {
            "post": {
                "summary": "Transcribe a recording",
                "requestBody": {
                    "required": True,
                    "content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}},
                },
                "responses": {"200": {"description": "text"}},
            }
        },
        "/shapes": {
            "post": {
                "summary": "Classify a shape",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "oneOf": [
                                    {"$ref": "#/components/schemas/Circle"},
                                    {"$ref": "#/components/schemas/Square"},
                                ],
                                "discriminator": {"propertyName": "shape"},
                            }
                        }
                    },
                },
                "responses": {"200": {"description": "ok"}},
            }
        },
    },
    "components": {
        "parameters": {
            "Tenant": {
                "name": "X-Tenant",
                "in": "header",
                "required": True,
                "schema": {"type": "string", "enum": ["a", "b"]},
            }
        },
        "requestBodies": {
            "Rank": {
                "required": True,
                "content": {
                    "application/json; charset=utf-8": {
                        "schema": {"$ref": "#/components/schemas/Rank"},
                        "examples": {"one": {"value": {"query": "shoes", "documents": ["a", "b"], "k": 1}}},
                    }
                },
            }
        },
        "responses": {
            "Ranked": {
                "description": "ranks",
                "content": {
                    "application/json": {
                        "schema": {"type": "object", "required": ["ranks"], "properties": {"ranks": {"type": "array"}}}
                    }
                },
            }
        },
        "schemas": {
            "Rank": {
                "type": "object",
                "required": ["query", "documents"],
                "properties": {
                    "query": {"type": "string"},
                    "documents": {"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": True},
                    "k": {"type": ["integer", "null"], "exclusiveMinimum": 0, "exclusiveMaximum": 3},
                },
            },
            "Circle": {
                "type": "object",
                "required": ["shape", "radius"],
                "properties": {"shape": {"type": "string"}, "radius": {"type": "number", "exclusiveMinimum": 0}},
            },
            "Square": {
                "type": "object",
                "required": ["shape", "side"],
                "properties": {"shape": {"type": "string"}, "side": {"type": "number", "minimum": 1}},
            },
        },
    },
}


def by_hand() -> FastAPI:
    """References everywhere, a server with a variable, an octet body, a discriminator without a mapping."""
    app = FastAPI(openapi_url=None)

    @app.get("/openapi.json")
    def document() -> dict[str, Any]:
        return HAND

    @app.post("/api/v2/rank")
    def rank(body: dict[str, Any], x_tenant: Annotated[Literal["a", "b"], Header()]) -> dict[str, Any]:
        if not body.get("query") or len(set(body["documents"])) < 2 or body.get("k") not in (None, 1, 2):
            raise HTTPException(400, "bad")
        return {"ranks": [1, 2]}

    @app.post("/api/v2/audio")
    async def audio(request: Request) -> PlainTextResponse:
        if not (await request.body()).startswith(b"RIFF"):
            raise HTTPException(415, "no WAV")
        return PlainTextResponse("hello")

    @app.post("/api/v2/shapes")
    def shapes(body: dict[str, Any]) -> dict[str, bool]:
        if not (
            (body.get("shape") == "Circle" and body["radius"] > 0)
            or (body.get("shape") == "Square" and body["side"] >= 1)
        ):
            raise HTTPException(422, "shape")
        return {"ok": True}

    return app


def hostile() -> FastAPI:
    """A document whose names would run as code if they were not escaped."""
    app = FastAPI(openapi_url=None)
    evil = '"""\n__import__("os").system("touch /tmp/lt-openapi-owned")\n"""'
    spec = {
        "openapi": "3.1.0",
        "info": {"title": evil, "version": "{name}"},
        "paths": {
            "/predict": {
                "post": {
                    "operationId": evil,
                    "summary": evil + "\\",
                    "requestBody": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/" + evil.replace("/", "~1")}}
                        }
                    },
                    "responses": {"200": {"description": evil}},
                }
            }
        },
        "components": {
            "schemas": {
                evil: {
                    "type": "object",
                    "required": [evil, "{name}"],
                    "properties": {
                        evil: {"type": "string", "default": evil},
                        "{name}": {"enum": ["{name}", evil, "'"]},
                        "class": {"type": "integer", "minimum": 1e308},
                    },
                }
            }
        },
    }

    @app.get("/openapi.json")
    def document() -> dict[str, Any]:
        return spec

    @app.post("/predict")
    def predict(body: dict[str, Any]) -> dict[str, Any]:
        if body.get(evil) != evil or body["{name}"] not in ("{name}", evil, "'"):
            raise HTTPException(422, "not as drawn")
        return {"ok": 1}

    return app


MORE = {
    each.__name__: each
    for each in (
        batch,
        bento,
        django,
        bearer,
        basic,
        picture_as_text,
        rules_beyond_the_document,
        matrix,
        form,
        by_hand,
        hostile,
    )
}
