"""Convert an operation to the code of one request, and evaluate that code to try the request."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

from .files import kinds, sample_file
from .names import constant_name, function_name, identifier
from .operations import Body, Operation, Parameter, Security
from .payloads import Expressions, choice
from .schemas import merged, type_of

CREDENTIALS = {"header": "API_KEY", "query": "API_KEY", "cookie": "API_KEY", "bearer": "API_TOKEN"}
"""The environment variable for each kind of credential. Basic authentication uses API_USER and API_PASSWORD."""

MULTIPART = "from urllib3.filepost import encode_multipart_formdata"


@dataclass(frozen=True, slots=True)
class RequestCode:
    """One request as Python expressions that use `draw` and the names of the generated file.

    Attributes:
        operation: the operation that the request calls.
        before: statements that the expressions need, such as drawing a multipart body.
        params, headers, json, data: None if the request does not have this part.
    """

    operation: Operation
    before: tuple[str, ...]
    path: str
    params: str | None
    headers: str | None
    json: str | None
    data: str | None

    def evaluate(self, namespace: dict[str, Any], seed: int) -> dict[str, Any]:
        """Return `url` (a path), `params`, `headers`, `json` and `data`, generated from a seed."""
        scope = {**namespace, "draw": random.Random(seed)}
        for function in [each for each in scope.values() if hasattr(each, "__globals__")]:
            function.__globals__["draw"] = scope["draw"]
        for statement in self.before:
            exec(statement, scope)
        found = {name: getattr(self, name) for name in ("params", "headers", "json", "data")}
        made = {name: eval(code, scope) for name, code in found.items() if code is not None}
        return {"url": eval(self.path, scope), **made}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One choice for each thing that the document leaves open.

    The trial uses the first variant that the service accepts.

    Attributes:
        required_only: whether to leave out everything that the document does not require.
        file_kind: the kind of files whose type the document leaves open; None for the most likely kind.
        path_values: values of path parameters that have worked. Each item of the list contains the values for one whole
            request.
        bodies: bodies that have worked; None if they are drawn from the schema.
    """

    length: int | None = None
    required_only: bool = False
    file_kind: str | None = None
    path_values: tuple[tuple[Any, ...], ...] | None = None
    bodies: tuple[Any, ...] | None = None


def request_code(operation: Operation, write: Expressions, variant: Variant) -> RequestCode:
    """Return the code of one request of an operation."""
    name = function_name(operation)
    before: list[str] = []
    path = _path(operation, write, variant, before)
    query = [each for each in operation.parameters if each.place == "query" and _is_sent(each)]
    params = _pairs(query, write) if query else None
    headers = [
        (each.name, _as_text(_parameter(each, write)))
        for each in operation.parameters
        if each.place == "header" and _is_sent(each)
    ]
    cookies = [
        (each.name, _as_text(_parameter(each, write)))
        for each in operation.parameters
        if each.place == "cookie" and _is_sent(each)
    ]
    in_query: list[str] = []
    for credential in operation.security:
        _credential(credential, write, headers, cookies, in_query)
    if in_query:
        params = _joined(params, in_query)
    json = data = None
    if operation.body is not None:
        json, data = _body(operation.body, name, write, variant, before, headers)
    if cookies:
        headers.append(("Cookie", " + '; ' + ".join(f"{key + '='!r} + {value}" for key, value in cookies)))
    if any("row" in (code or "") for code in (*before, params, json, data)) and write.columns:
        before.insert(0, "row = next(data)")
    made = "{" + ", ".join(f"{key!r}: {value}" for key, value in headers) + "}" if headers else None
    return RequestCode(operation, tuple(before), path, params, made, json, data)


def _path(operation: Operation, write: Expressions, variant: Variant, before: list[str]) -> str:
    names = re.findall(r"\{([^{}]+)\}", operation.path)
    if not names:
        return repr(operation.path)
    local = {name: identifier(name) for name in names}
    if variant.path_values is not None:
        values = variant.path_values
        several = len(names) > 1
        shown = tuple(values) if several else tuple(each[0] for each in values)
        constant = write.module.constant(constant_name(function_name(operation), "VALUES"), repr(shown))
        targets = ", ".join(local[name] for name in names)
        before.append(f"{targets} = draw.choice({constant})")
    else:
        by_name = {each.name: each for each in operation.parameters if each.place == "path"}
        before += [f"{local[name]} = {_parameter(by_name[name], write)}" for name in names]
    write.module.imports.add("from urllib.parse import quote")
    parts = re.split(r"(\{[^{}]+\})", operation.path)
    if all(re.fullmatch(r"[\w/.~:@$&+,;=()!*-]*", part) for part in parts[::2]):
        shown_parts = (
            part if not part.startswith("{") else f"{{quote(str({local[part[1:-1]]}), safe='')}}" for part in parts
        )
        return 'f"' + "".join(shown_parts) + '"'
    return " + ".join(f"quote(str({local[p[1:-1]]}), safe='')" if p.startswith("{") else repr(p) for p in parts if p)


def _is_sent(parameter: Parameter) -> bool:
    return parameter.is_required or bool(parameter.examples)


def _parameter(parameter: Parameter, write: Expressions) -> str:
    if parameter.examples:
        return choice([each for each in parameter.examples if each is not None])
    return write.value(parameter.schema, parameter.name, 1)


def _pairs(parameters: list[Parameter], write: Expressions) -> str:
    """Return the query as a dict, or as pairs if an array is sent as several parameters with one name."""
    made = [(each, _parameter(each, write), type_of(merged(each.schema, write.resolve))) for each in parameters]
    if not any(kind == "array" and each.explode for each, _, kind in made):
        return "{" + ", ".join(f"{each.name!r}: {_query_value(value, kind)}" for each, value, kind in made) + "}"
    parts = [
        f"*(({each.name!r}, item) for item in {value})"
        if kind == "array" and each.explode
        else f"({each.name!r}, {_query_value(value, kind)})"
        for each, value, kind in made
    ]
    return "[" + ", ".join(parts) + "]"


def _joined(params: str | None, more: list[str]) -> str:
    """Return query parameters with additional dict items, such as `'key': API_KEY`."""
    if params is None:
        return "{" + ", ".join(more) + "}"
    if params.startswith("["):
        return f"{params} + list({{{', '.join(more)}}}.items())"
    return params[:-1] + ", " + ", ".join(more) + "}"


def _query_value(value: str, kind: str | None) -> str:
    if kind == "array":
        return f"','.join(map(str, {value}))"
    if kind == "boolean":
        return f"str({value}).lower()"
    return value


def _as_text(value: str) -> str:
    return value if value[:1] in "'\"" else f"str({value})"


def _credential(
    credential: Security,
    write: Expressions,
    headers: list[tuple[str, str]],
    cookies: list[tuple[str, str]],
    query: list[str],
) -> None:
    write.module.imports.add("import os")
    if credential.kind == "basic":
        write.module.imports.add("import base64")
        write.module.constant("API_LOGIN", "f\"{os.environ.get('API_USER', '')}:{os.environ.get('API_PASSWORD', '')}\"")
        headers.append(("Authorization", '"Basic " + base64.b64encode(API_LOGIN.encode()).decode()'))
        return
    variable = CREDENTIALS.get(credential.kind, "API_KEY")
    write.module.constant(variable, f'os.environ.get("{variable}", "")')
    if credential.kind == "bearer":
        headers.append(("Authorization", f'"Bearer " + {variable}'))
    elif credential.kind == "query":
        query.append(f"{credential.name!r}: {variable}")
    elif credential.kind == "cookie":
        cookies.append((credential.name, variable))
    else:
        headers.append((credential.name, variable))


def _body(
    body: Body, name: str, write: Expressions, variant: Variant, before: list[str], headers: list[tuple[str, str]]
) -> tuple[str | None, str | None]:
    """Return the JSON or the data expression of a body, and add the code that it needs."""
    title = name
    if body.is_json:
        if variant.bodies is not None:
            from .payloads import pretty

            return (
                f"draw.choice({write.module.constant(constant_name(title, 'BODIES'), pretty(list(variant.bodies)))})",
                None,
            )
        return write.body(body.schema, body.examples, title), None
    if body.media_type == "application/x-www-form-urlencoded":
        write.module.imports.add("from urllib.parse import urlencode")
        headers.append(("Content-Type", repr(body.media_type)))
        return None, f"urlencode({write.body(body.schema, body.examples, title)}, doseq=True)"
    if body.media_type == "multipart/form-data":
        write.module.imports.add(MULTIPART)
        before.append(f"body, content_type = encode_multipart_formdata({_parts(body, title, write, variant)})")
        headers.append(("Content-Type", "content_type"))
        return None, "body"
    headers.append(("Content-Type", repr(body.media_type)))
    if body.media_type.startswith("text/"):
        return None, f"{write.body(body.schema or {'type': 'string'}, body.examples, 'text')}.encode()"
    _, content, _ = sample_file(title, body.media_type, kind=variant.file_kind)
    return None, write.module.constant(constant_name(title, "FILE"), repr(content))


def _parts(body: Body, name: str, write: Expressions, variant: Variant) -> str:
    """Return the parts of a multipart body as a list of pairs for urllib3's `encode_multipart_formdata`."""
    found = merged(body.schema, write.resolve)
    required = set(found.get("required", []))
    parts = []
    for key, schema in (found.get("properties") or {}).items():
        each = merged(schema, write.resolve)
        if variant.required_only and key not in required:
            continue
        inner = merged(each.get("items"), write.resolve)
        if is_file(each):
            parts.append(f"({key!r}, {_file_part(key, each, body, write, variant)})")
        elif type_of(each) == "array" and is_file(inner):
            parts.append(f"({key!r}, {_file_part(key, inner, body, write, variant)})")
        elif key in required or type_of(each) not in ("object", "array"):
            parts.append(f"({key!r}, {_part_value(each, key, write)})")
    return "[" + ", ".join(parts) + "]"


def _part_value(schema: dict[str, Any], key: str, write: Expressions) -> str:
    value, kind = write.value(schema, key, 1), type_of(schema)
    if kind in ("object", "array"):
        write.module.imports.add("import json")
        return f"json.dumps({value})"
    return f"str({value}).lower()" if kind == "boolean" else _as_text(value)


def is_file(schema: dict[str, Any]) -> bool:
    """Whether a part of a multipart body is a file."""
    return type_of(schema) in ("string", None) and (
        schema.get("format") == "binary" or ("contentMediaType" in schema and "contentEncoding" not in schema)
    )


def _file_part(key: str, schema: dict[str, Any], body: Body, write: Expressions, variant: Variant) -> str:
    content_type_wanted = body.part_types.get(key, str(schema.get("contentMediaType", "")))
    file_name, content, content_type = sample_file(key, content_type_wanted, kind=variant.file_kind)
    constant = write.module.constant(constant_name(file_name.replace(".", "_")), repr(content))
    return f"({file_name!r}, {constant}, {content_type!r})"


def variants(operation: Operation, write: Expressions) -> list[Variant]:
    """Return the variants of a request to try, beginning with the simplest."""
    found = [Variant()]
    body = operation.body
    if body is None:
        return found
    if body.media_type == "multipart/form-data" or not (
        body.is_json or body.media_type.startswith(("text/", "application/x-www"))
    ):
        found += [Variant(file_kind=kind) for kind in kinds(body.media_type, body.media_type)[:5]]
        return found
    found.append(Variant(required_only=True))
    if not body.examples and _has_open_array(body.schema, write):
        found += [
            Variant(length=length)
            for length in (1, 2, 4, 5, 6, 7, 8, 10, 13, 30, 9, 11, 12, 14, 16, 18, 20, 24, 28, 32, 64, 100, 128, 784)
        ]
    return found


def _has_open_array(schema: Any, write: Expressions, depth: int = 0) -> bool:
    found = merged(schema, write.resolve)
    if depth > 6:
        return False
    if type_of(found) == "array":
        return ("minItems" not in found and "maxItems" not in found) or _has_open_array(
            found.get("items"), write, depth + 1
        )
    parts = [*(found.get("properties") or {}).values(), *found.get("anyOf", []), *found.get("oneOf", [])]
    return any(_has_open_array(each, write, depth + 1) for each in parts)
