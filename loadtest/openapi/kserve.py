"""Generate inference requests for the Open Inference Protocol (KServe v2, Triton, MLServer) from a model's metadata.

Source: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from .names import identifier
from .operations import Operation
from .payloads import Module
from .requests import RequestCode
from .wire import Wire

INFER = re.compile(r"(.*)/v2/models/([^/]+)(?:/versions/([^/]+))?/infer$")
_FLOATS, _WHOLE = ("FP16", "FP32", "FP64", "BF16"), re.compile(r"U?INT(8|16|32|64)$")


def request(
    operation: Operation, base: str, wire: Wire, seen: dict[str, list[Any]]
) -> Callable[[Module], RequestCode] | None:
    """Return a function that writes the code of an inference request; None for other operations or unknown inputs."""
    match = INFER.fullmatch(operation.path)
    if match is None or operation.method != "POST":
        return None
    for name in _names(match[2], operation, base + match[1], wire, seen):
        metadata = wire.get(f"{base}{match[1]}/v2/models/{name}").json
        inputs = metadata.get("inputs") if isinstance(metadata, dict) else None
        if not isinstance(inputs, list) or not inputs:
            continue
        versions = metadata.get("versions") if isinstance(metadata, dict) else None
        version = f"/versions/{versions[0]}" if match[3] and isinstance(versions, list) and versions else ""
        path = f"{match[1]}/v2/models/{name}{version}/infer"
        return functools.partial(_code, operation, path, name, inputs)
    return None


def _code(operation: Operation, path: str, model: str, inputs: list[Any], module: Module) -> RequestCode:
    values = ",\n            ".join(_input(each) for each in inputs if isinstance(each, dict))
    source = (
        '():\n    """Draw an inference request with the inputs that the model\'s metadata names."""\n'
        f"    return {{\n        'inputs': [\n            {values},\n        ],\n    }}"
    )
    function = module.function(identifier(f"{model}_inputs"), source)
    return RequestCode(operation, (), repr(path), None, None, f"{function}()", None)


def document(base: str, wire: Wire) -> dict[str, Any] | None:
    """Return a document for a server that uses the protocol but has no document; None if there is none at `base`."""
    server = wire.get(base.rstrip("/") + "/v2").json
    names = _listed(base.rstrip("/"), wire)
    if not isinstance(server, dict) or not names:
        return None
    paths: dict[str, Any] = {"/v2/health/ready": {"get": {"operationId": "ready", "responses": {}}}}
    for name in names:
        paths[f"/v2/models/{name}/infer"] = {
            "post": {
                "operationId": f"infer_{name}",
                "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
                "responses": {},
            }
        }
    return {"openapi": "3.1.0", "info": {"title": str(server.get("name", "inference server"))}, "paths": paths}


def _names(part: str, operation: Operation, root: str, wire: Wire, seen: dict[str, list[Any]]) -> list[str]:
    if not part.startswith("{"):
        return [part]
    parameter = next((each for each in operation.parameters if each.name == part[1:-1]), None)
    offered = [*parameter.examples, *parameter.schema.get("enum", [])] if parameter else []
    if parameter and "example" in parameter.schema:
        offered.append(parameter.schema["example"])
    known = [*offered, *_listed(root, wire), *seen.get("model_name", []), *seen.get("name", []), *seen.get("", [])]
    return list(dict.fromkeys(str(each) for each in known if re.fullmatch(r"[\w.:-]+", str(each))))[:12]


def _listed(root: str, wire: Wire) -> list[str]:
    """Return the models that a server lists, by trying the usual methods."""
    index = wire.send("POST", root + "/v2/repository/index", json={}).json
    listed = index if isinstance(index, list) else []
    for path in ("/v2/models", "/v1/models"):
        found = wire.get(root + path).json
        if isinstance(found, dict):
            found = next(
                (value for key, value in found.items() if key in ("models", "data") and isinstance(value, list)), []
            )
        listed = [*listed, *(found if isinstance(found, list) else [])]
    names = [each.get("name") or each.get("id") if isinstance(each, dict) else each for each in listed]
    return list(dict.fromkeys(str(name) for name in names if name and re.fullmatch(r"[\w.:-]+", str(name))))


def _input(tensor: dict[str, Any]) -> str:
    """Return one input tensor: a batch of size one, in which every dimension of open size has size 1."""
    kind = str(tensor.get("datatype", "FP32")).upper()
    raw = tensor.get("shape")
    shape = [
        max(1, int(size)) if isinstance(size, int | float) else 1 for size in (raw if isinstance(raw, list) else [1])
    ]
    count = 1
    for size in shape:
        count *= size
    if kind == "BOOL":
        item = "draw.random() < 0.5"
    elif kind == "BYTES":
        item = "draw.choice(('The delivery was quick.', 'It stopped working.'))"
    elif _WHOLE.match(kind):
        item = "draw.randint(0, 100)"
    else:
        item = "round(draw.uniform(0, 10), 3)" if kind in _FLOATS else "0"
    return (
        f"{{'name': {str(tensor.get('name', 'input-0'))!r}, 'shape': {shape!r}, 'datatype': {kind!r}, "
        f"'data': [{item} for _ in range({count})]}}"
    )
