"""Ten services with OpenAPI documents in common styles. Each validates its requests strictly."""

import enum
import re
from typing import Annotated, Any, Literal

import yaml
from fastapi import Depends, FastAPI, File, Form, HTTPException, Path, Query, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, Field

API_KEY = "sesame"


def plain() -> FastAPI:
    """A FastAPI service in the style of a tutorial."""
    app = FastAPI(title="Iris")

    class Flower(BaseModel):
        sepal_length: float = Field(gt=0, lt=10)
        sepal_width: float = Field(gt=0, lt=10)
        petal_length: float
        petal_width: float

    class Prediction(BaseModel):
        species: str
        probability: float

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/predict")
    def predict(flower: Flower) -> Prediction:
        return Prediction(species="setosa", probability=0.9)

    return app


def nested() -> FastAPI:
    """Nested models, lists of models, optional and recursive fields, unions."""
    app = FastAPI(title="Credit")

    class Address(BaseModel):
        street: str
        zip_code: str = Field(min_length=5, max_length=5)
        country: Literal["DE", "FR", "US"]

    class Card(BaseModel):
        kind: Literal["card"]
        number: str = Field(pattern=r"^\d{16}$")

    class Transfer(BaseModel):
        kind: Literal["transfer"]
        iban: str = Field(pattern=r"^[A-Z]{2}\d{20}$")

    class Item(BaseModel):
        sku: str
        amount: int = Field(ge=1, le=99)
        parts: "list[Item] | None" = None

    class Order(BaseModel):
        customer: Address
        items: list[Item] = Field(min_length=1, max_length=4)
        payment: Card | Transfer = Field(discriminator="kind")
        note: str | None = None
        scores: dict[str, float] = {}
        matrix: list[list[float]] = Field(default=[[0.0]])
        pair: tuple[int, str]

    @app.post("/score")
    def score(order: Order) -> dict[str, float]:
        return {"risk": 0.1}

    return app


def enums_and_patterns() -> FastAPI:
    """Enumerations, patterns, formats, bounds and steps in body and query."""
    app = FastAPI(title="Pricing")

    class Colour(enum.StrEnum):
        red = "red"
        blue = "blue"

    class Car(BaseModel):
        colour: Colour
        plate: str = Field(pattern=r"^[A-Z]{1,3}-[A-Z]{1,2} \d{1,4}$")
        vin: str = Field(min_length=17, max_length=17, pattern=r"^[A-HJ-NPR-Z0-9]+$")
        first_registration: str = Field(json_schema_extra={"format": "date"}, pattern=r"^\d{4}-\d{2}-\d{2}$")
        mileage: int = Field(ge=0, le=400_000, multiple_of=10)
        doors: Literal[2, 3, 5]
        owner_email: str = Field(json_schema_extra={"format": "email"}, pattern=r"^[^@]+@[^@]+\.\w+$")
        discount: float = Field(gt=0, lt=1)

    @app.post("/estimate")
    def estimate(
        car: Car,
        currency: Annotated[str, Query(pattern="^[A-Z]{3}$")],
        margin: Annotated[float, Query(ge=0.05, le=0.3)],
    ) -> dict[str, float]:
        return {"price": 1000.0}

    return app


def upload() -> FastAPI:
    """A picture and a field as a form."""
    app = FastAPI(title="Picture")

    @app.post("/classify")
    def classify(image: Annotated[UploadFile, File()], top_k: Annotated[int, Form(ge=1, le=5)]) -> dict[str, Any]:
        if not image.file.read().startswith(b"\x89PNG"):
            raise HTTPException(415, "not a PNG")
        return {"labels": ["cat"][:top_k]}

    return app


def api_key() -> FastAPI:
    """Everything except the health check needs an API key."""
    app = FastAPI(title="Secured")
    scheme = APIKeyHeader(name="X-Secret-Key")

    def check(key: Annotated[str, Depends(scheme)]) -> None:
        if key != API_KEY:
            raise HTTPException(403, "wrong key")

    class Text(BaseModel):
        text: str = Field(min_length=10)

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    @app.post("/sentiment", dependencies=[Depends(check)])
    def sentiment(body: Text) -> dict[str, float]:
        return {"positive": 0.7}

    return app


def path_parameters() -> FastAPI:
    """Ids that exist, ids that do not, and writes that a load test must not send."""
    app = FastAPI(title="Shop")
    known = {17: "lamp", 23: "chair", 99: "table"}
    app.state.writes = writes = []

    @app.get("/items")
    def items() -> list[dict[str, Any]]:
        return [{"id": key, "name": name} for key, name in known.items()]

    @app.get("/items/{item_id}")
    def item(item_id: Annotated[int, Path(ge=1)]) -> dict[str, Any]:
        if item_id not in known:
            raise HTTPException(404, "no such item")
        return {"id": item_id, "name": known[item_id]}

    @app.get("/items/{item_id}/similar")
    def similar(item_id: int, limit: int = 3) -> list[int]:
        if item_id not in known:
            raise HTTPException(404, "no such item")
        return [key for key in known if key != item_id][:limit]

    @app.delete("/items/{item_id}")
    def delete(item_id: int) -> None:
        writes.append(item_id)

    @app.post("/items", status_code=201)
    def create(name: str) -> dict[str, str]:
        writes.append(name)
        return {"name": name}

    @app.get("/writes")
    def written() -> int:
        return len(writes)

    return app


HAND_WRITTEN = """
openapi: 3.0.3
info: {title: Hand-written, version: '1'}
servers: [{url: https://api.example.com/v1}]
paths:
  /v1/embed:
    post:
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Texts'}
      responses:
        200:
          description: vectors
          content: {application/json: {schema: {$ref: '#/components/schemas/Vectors'}}}
components:
  schemas:
    Vectors: {type: object, required: [vectors], properties: {vectors: {type: array}}}
    Texts:
      allOf:
        - type: object
          required: [texts]
          properties:
            texts: {type: array, minItems: 1, maxItems: 4, items: {type: string, minLength: 3}}
        - type: object
          required: [model, since]
          properties:
            model: {type: string, enum: [small, large]}
            since: {type: string, format: date, example: 2024-01-31}
            weight: {type: number, minimum: 0, exclusiveMinimum: true, maximum: 1, nullable: true}
"""


def hand_written_yaml() -> FastAPI:
    """An OpenAPI 3.0 document in YAML that names another server."""
    app = FastAPI(openapi_url=None)

    @app.get("/openapi.yaml")
    def document() -> PlainTextResponse:
        return PlainTextResponse(HAND_WRITTEN.replace("https://api.example.com/v1", "https://api.example.com"))

    @app.post("/v1/embed")
    def embed(body: dict[str, Any]) -> JSONResponse:
        texts, since = body.get("texts"), str(body.get("since"))
        if not texts or not all(len(each) >= 3 for each in texts) or body.get("model") not in ("small", "large"):
            raise HTTPException(400, "texts or model")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", since) or not (body.get("weight") is None or 0 < body["weight"] <= 1):
            raise HTTPException(400, "since or weight")
        return JSONResponse({"vectors": [[0.1]] * len(texts)})

    return app


def kserve() -> FastAPI:
    """The Open Inference Protocol with FastAPI's generic document: a tensor's shape, type and data must agree."""
    app = FastAPI(title="KServe")

    class Tensor(BaseModel):
        name: str
        shape: list[int]
        datatype: str
        data: list[Any]

    class Request(BaseModel):
        id: str | None = None
        inputs: list[Tensor]

    @app.get("/v2")
    def server() -> dict[str, Any]:
        return {"name": "mlserver", "version": "1", "extensions": []}

    @app.get("/v2/models")
    def models() -> dict[str, list[str]]:
        return {"models": ["income"]}

    @app.get("/v2/models/{model_name}")
    def metadata(model_name: str) -> dict[str, Any]:
        if model_name != "income":
            raise HTTPException(404, "no such model")
        tensor = {"name": "input-0", "datatype": "FP32", "shape": [-1, 12]}
        return {"name": model_name, "versions": ["1"], "platform": "sklearn", "inputs": [tensor], "outputs": []}

    @app.post("/v2/models/{model_name}/infer")
    def infer(model_name: str, request: Request) -> dict[str, Any]:
        (tensor,) = request.inputs
        if model_name != "income" or tensor.name != "input-0" or tensor.datatype != "FP32":
            raise HTTPException(400, "model, name or datatype")
        if tensor.shape[1:] != [12] or len(tensor.data) != tensor.shape[0] * 12:
            raise HTTPException(400, "shape")
        return {"model_name": model_name, "outputs": [{"name": "out", "data": [1]}]}

    return app


def no_examples() -> FastAPI:
    """A vector of features whose length only the model knows."""
    app = FastAPI(title="Vector")

    class Features(BaseModel):
        features: list[float]

    @app.post("/invocations")
    def invocations(body: Features) -> dict[str, float]:
        if len(body.features) != 13:
            raise HTTPException(
                500, f"X has {len(body.features)} features, but LogisticRegression is expecting 13 features as input"
            )
        return {"y": 1.0}

    return app


def only_gets() -> FastAPI:
    """Lookups with query parameters."""
    app = FastAPI(title="Lookup")

    @app.get("/distance")
    def distance(
        lat: Annotated[float, Query(ge=-90, le=90)],
        lon: Annotated[float, Query(ge=-180, le=180)],
        unit: Literal["km", "mi"],
    ) -> dict[str, float]:
        return {"distance": 1.5}

    @app.get("/tags")
    def tags(of: Annotated[list[str], Query(min_length=1)]) -> list[str]:
        return of

    return app


SERVICES = {
    each.__name__: each
    for each in (
        plain,
        nested,
        enums_and_patterns,
        upload,
        api_key,
        path_parameters,
        hand_written_yaml,
        kserve,
        no_examples,
        only_gets,
    )
}
HAND_WRITTEN_DOCUMENT = yaml.safe_load(HAND_WRITTEN)
