"""List the operations of an OpenAPI document, with references resolved as far as a request needs them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

METHODS = ("get", "head", "post", "put", "patch", "delete")
BODY_TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
    "application/octet-stream",
)
"""Content types of bodies that a scenario can send, in order of preference. Other types with a JSON suffix count as
JSON."""

Schema = dict[str, Any]

PREDICTS = re.compile(
    r"predict|infer|score|scoring|classif|regress|embed|generat|complet|query|search|invoc|invoke|detect|rank|recommend"
    r"|transform|encode|similar|translat|summar|evaluat|estimat|forecast|analy[sz]e|analysis|tag|label|extract|segment"
    r"|transcrib|ocr|chat|answer|ask|explain|calculat|comput|validat|check|lookup|match|price|quote|sentiment|vector"
    r"|moderat|tokeniz|cluster|anomal|risk|decid|decision|render|convert|echo|batch",
    re.IGNORECASE,
)
"""Words that mark a POST as a query, which changes nothing."""

CHANGES = re.compile(
    r"creat|add(?!r)|insert|regist|upload|train|retrain|fit\b|delet|remov|updat|reset|purchase|order|pay(?!load)|send"
    r"|publish|import|reload|restart|shutdown|load\b|unload|store|save|subscrib|sign.?up|log.?out|feedback|webhook"
    r"|callback|cancel|approve|assign|clear|purge|deploy|submit|enqueue|start|stop",
    re.IGNORECASE,
)
"""Words that mark a POST as creating or changing something."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation.

    Attributes:
        place: path, query, header or cookie.
        examples: values that the document offers, best first.
        explode: whether an array in a query is sent as one pair per item, and not as one pair with commas.
    """

    name: str
    place: str
    is_required: bool
    schema: Schema
    examples: tuple[Any, ...]
    explode: bool


@dataclass(frozen=True, slots=True)
class Body:
    """The body of an operation, in the content type that the scenario sends.

    Attributes:
        examples: whole bodies that the document offers.
        part_types: the content types of the parts of a multipart body, as far as the document names them.
    """

    media_type: str
    schema: Schema
    is_required: bool
    examples: tuple[Any, ...]
    part_types: dict[str, str]

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON."""
        return _is_json(self.media_type)


@dataclass(frozen=True, slots=True)
class Security:
    """One credential of an operation.

    Attributes:
        kind: header, query, cookie, bearer or basic.
        name: the name of the header, query parameter or cookie.
        scheme: the credential's name in the document.
    """

    kind: str
    name: str
    scheme: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One request that a document describes.

    Attributes:
        method: in capitals.
        path: the template, such as `/items/{item_id}`.
        title: one line from the document about this operation.
        operation_id: the document's name for the operation; "" if there is none.
        answer: the schema of a good JSON answer; None if the document contains none.
        unsupported: why no request can be made, as a clause; None if a request can be made.
        changes: why the operation may change data of the service, as a clause; None if it looks harmless.
        in_doubt: whether `changes` is only a guess.
    """

    method: str
    path: str
    title: str
    operation_id: str
    parameters: tuple[Parameter, ...]
    body: Body | None
    security: tuple[Security, ...]
    answer: Schema | None
    unsupported: str | None
    changes: str | None
    in_doubt: bool

    @property
    def name(self) -> str:
        """The operation's name in messages: `POST /predict`."""
        return f"{self.method} {self.path}"


class Resolver:
    """Resolve the local references of one document."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec

    def __call__(self, node: Any) -> dict[str, Any]:
        """Return the object that `node` refers to, through any chain of references; {} if the object is missing."""
        for _ in range(32):
            if not isinstance(node, dict):
                return {}
            reference = node.get("$ref")
            if not isinstance(reference, str):
                return node
            beside = {key: value for key, value in node.items() if key != "$ref"}
            node = {**self._at(reference), **beside}
        return {}

    def _at(self, reference: str) -> dict[str, Any]:
        found: Any = self._spec
        if not reference.startswith("#/"):
            return {}
        for part in reference[2:].replace("~1", "\0").split("/"):
            if isinstance(found, list) and part.isdigit() and int(part) < len(found):
                found = found[int(part)]
            elif isinstance(found, dict):
                found = found.get(part.replace("\0", "/").replace("~0", "~"))
            else:
                return {}
        return found if isinstance(found, dict) else {}


def operations(spec: dict[str, Any]) -> list[Operation]:
    """Return every operation of a document, in order."""
    resolve = Resolver(spec)
    found = []
    for path, raw in spec["paths"].items():
        item = resolve(raw)
        for method in METHODS:
            if isinstance(item.get(method), dict) and str(path).startswith("/"):
                found.append(_operation(method, str(path), item, resolve, spec))
    return found


def _operation(method: str, path: str, item: dict[str, Any], resolve: Resolver, spec: dict[str, Any]) -> Operation:
    raw = item[method]
    parameters = _parameters([*_list(item.get("parameters")), *_list(raw.get("parameters"))], path, resolve)
    body, unsupported = _body(resolve(raw.get("requestBody")), resolve)
    security, lacking = _security(raw.get("security", spec.get("security")), spec, resolve)
    changes, in_doubt = _changes(method, path, raw, spec["paths"])
    return Operation(
        method=method.upper(),
        path=path,
        title=_line(raw.get("summary") or raw.get("description") or ""),
        operation_id=str(raw.get("operationId") or ""),
        parameters=parameters,
        body=body,
        security=security,
        answer=_answer(raw.get("responses"), resolve),
        unsupported=unsupported or lacking,
        changes=changes,
        in_doubt=in_doubt,
    )


def _parameters(raw: list[Any], path: str, resolve: Resolver) -> tuple[Parameter, ...]:
    found: dict[tuple[str, str], Parameter] = {}
    for each in map(resolve, raw):
        place, name = str(each.get("in", "")), str(each.get("name", ""))
        if place not in ("path", "query", "header", "cookie") or not name:
            continue
        if place == "header" and name.lower() in ("accept", "content-type", "authorization"):
            continue  # OpenAPI 3 describes these headers in other places, and ignores them as parameters
        content = each.get("content")
        schema = each.get("schema")
        if schema is None and isinstance(content, dict) and content:
            schema = resolve(next(iter(content.values()))).get("schema")
        found[place, name] = Parameter(
            name=name,
            place=place,
            is_required=place == "path" or bool(each.get("required")),
            schema=schema if isinstance(schema, dict) else {},
            examples=_examples(each, resolve),
            explode=bool(each.get("explode", each.get("style", "form") == "form")),
        )
    for name in re.findall(r"\{([^{}]+)\}", path):
        found.setdefault(("path", name), Parameter(name, "path", True, {"type": "string"}, (), False))
    return tuple(found.values())


def _body(raw: dict[str, Any], resolve: Resolver) -> tuple[Body | None, str | None]:
    content = raw.get("content")
    if not isinstance(content, dict) or not content:
        return None, None
    types = {str(key).partition(";")[0].strip().lower(): resolve(value) for key, value in content.items()}
    chosen = next((each for each in BODY_TYPES if each in types), None)
    chosen = chosen or next((each for each in types if _is_json(each) or each == "*/*"), None)
    if chosen is None and (binary := [each for each in types if re.match(r"(image|audio|video|text)/", each)]):
        chosen = binary[0]
    if chosen is None:
        if not raw.get("required"):
            return None, None
        return None, f"its body is {', '.join(types)}, which `lt init` does not support"
    media = types[chosen]
    encoding = media.get("encoding")
    part_types = {
        str(name): str(part["contentType"]).partition(",")[0].strip()
        for name, part in (encoding if isinstance(encoding, dict) else {}).items()
        if isinstance(part, dict) and part.get("contentType")
    }
    schema = media.get("schema")
    body = Body(
        media_type="application/json" if chosen == "*/*" else chosen,
        schema=schema if isinstance(schema, dict) else {},
        is_required=bool(raw.get("required")),
        examples=_examples(media, resolve),
        part_types=part_types,
    )
    return body, None


def _security(raw: Any, spec: dict[str, Any], resolve: Resolver) -> tuple[tuple[Security, ...], str | None]:
    """Return the credentials of the first alternative that `lt` can send, or the reason why `lt` can send none."""
    alternatives = _list(raw)
    if not alternatives or {} in alternatives:
        return (), None
    schemes = resolve(resolve(spec.get("components")).get("securitySchemes"))
    for alternative in alternatives:
        if not isinstance(alternative, dict):
            continue
        found = [_credential(str(name), resolve(schemes.get(name))) for name in alternative]
        if all(found):
            return tuple(each for each in found if each is not None), None
    return (), "it needs a credential that cannot be sent in a header, such as a client certificate"


def _credential(name: str, scheme: dict[str, Any]) -> Security | None:
    kind = str(scheme.get("type", "")).lower()
    if kind == "apikey":
        return Security(str(scheme.get("in", "header")), str(scheme.get("name", "X-API-Key")), name)
    if kind == "http" and str(scheme.get("scheme", "")).lower() == "basic":
        return Security("basic", "Authorization", name)
    if kind in ("http", "oauth2", "openidconnect"):
        return Security("bearer", "Authorization", name)
    return None


def _answer(raw: Any, resolve: Resolver) -> Schema | None:
    responses = raw if isinstance(raw, dict) else {}
    good = sorted(str(status) for status in responses if str(status).startswith("2"))
    for status in good:
        content = resolve(responses.get(status, responses.get(int(status) if status.isdigit() else status))).get(
            "content"
        )
        for media_type, media in (content if isinstance(content, dict) else {}).items():
            schema = resolve(media).get("schema")
            if _is_json(str(media_type)) and isinstance(schema, dict):
                return schema
    return None


def _changes(method: str, path: str, raw: dict[str, Any], paths: dict[str, Any]) -> tuple[str | None, bool]:
    """Return why an operation may change something, and whether this reason is only a guess."""
    if method != "post":
        return (None if method in ("get", "head") else f"{method.upper()} changes existing data"), False
    last = path.rstrip("/").rpartition("/")[2]
    # in Django's documents the id of every POST ends in _create
    operation_id = re.sub(r"_create$", "", str(raw.get("operationId", "")))
    text = " ".join(
        str(part) for part in (last, operation_id, raw.get("summary", ""), _line(raw.get("description", "")))
    )
    by_path, by_text = PREDICTS.search(last), PREDICTS.search(text)
    if by_path or re.search(r"/v2/models/[^/]+(/versions/[^/]+)?/infer$", path):
        return None, False
    siblings = [
        other
        for other, item in paths.items()
        if isinstance(item, dict) and str(other).startswith(path.rstrip("/") + "/{")
    ]
    statuses = (
        {str(status) for status in (raw.get("responses") or {})} if isinstance(raw.get("responses"), dict) else set()
    )
    if siblings or (statuses & {"201", "202", "204"} and "200" not in statuses):
        return "this POST looks as if it creates something", False
    change = CHANGES.search(text)
    if change and not (by_text and by_text.start() < change.start()):
        return f"this POST looks as if it changes something (“{change.group()}…”)", False
    return (None, False) if by_text else (None, True)


def _examples(node: dict[str, Any], resolve: Resolver) -> tuple[Any, ...]:
    found = [node["example"]] if "example" in node else []
    examples = node.get("examples")
    if isinstance(examples, dict):
        found += [each["value"] for each in map(resolve, examples.values()) if "value" in each]
    elif isinstance(examples, list):
        found += examples
    return tuple(found)


def _is_json(media_type: str) -> bool:
    kind = media_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _line(text: Any) -> str:
    """Return the first line of a text from the document, printable and without quotes that would end a docstring."""
    line = str(text).strip().split("\n")[0]
    return "".join(c for c in line if c.isprintable()).replace('"""', "'''").replace("\\", "/")[:100].strip()
