"""Read a service's OpenAPI document, from the service or from a file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from ..core.errors import TargetError, UsageError
from . import kserve
from .wire import Answer, Wire

PLACES = (
    "openapi.json",  # used by FastAPI, flask-smorest and KServe; Litestar has the document under /schema
    "openapi.yaml",
    "docs.json",  # BentoML
    "swagger.json",  # flask-restx (OpenAPI 2.0, which is rejected below with a message) and many others
    "api/openapi.json",
    "api/schema/?format=json",  # used by Django REST with drf-spectacular
    "api/schema/",
    "schema/openapi.json",
    "schema/",
    "v1/openapi.json",
    "api/v1/openapi.json",
    "v3/api-docs",  # springdoc
    "api-docs",
    "openapi",
    "openapi.yml",
    "api/swagger.json",
    "apispec_1.json",  # flasgger
    "swagger/v1/swagger.json",  # ASP.NET
)
"""Paths of the document below the service's URL in common frameworks, the most common first."""

PAGES = ("docs", "", "redoc", "swagger", "api/docs", "api/docs/", "swagger-ui.html")
"""Pages that contain the document's address in a script or a link."""

MAX_BYTES = 32 * 1024 * 1024
_LINK = re.compile(r"""["']([^"'\s<>]*(?:openapi|swagger|api-docs|apispec|schema)[^"'\s<>]*)["']""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed OpenAPI document.

    Attributes:
        spec: the document, with unresolved references.
        source: the URL or path from which the document was read.
        base: the URL to which the paths of operations are appended, without a trailing slash; None if neither the file
            nor the user names a server.
    """

    spec: dict[str, Any]
    source: str
    base: str | None

    @property
    def file_name(self) -> str:
        """The service's name as a valid Python module name."""
        info = self.spec.get("info")
        title = str(info.get("title", "")) if isinstance(info, dict) else ""
        return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")[:40] or "service"

    @property
    def title(self) -> str:
        """The service's name and version, as the document states them."""
        info = self.spec.get("info")
        info = info if isinstance(info, dict) else {}
        return " ".join(str(info[key]) for key in ("title", "version") if info.get(key)) or "a service"


def read_document(source: str, *, target: str | None, wire: Wire) -> Document:
    """Return the document from a service's URL, a document's URL, or a file.

    Args:
        source: `http://127.0.0.1:8000`, `http://127.0.0.1:8000/openapi.json` or `openapi.yaml`.
        target: the URL of the service, if it differs from the URL of the document. The document's `servers` never
            replace it.
        wire: sends the requests to the service.

    Raises:
        UsageError: the source is neither a URL nor a file, or contains no OpenAPI 3 document.
        TargetError: the service does not answer, or offers no document.
    """
    if not re.match(r"https?://", source):
        path = Path(source)
        if not path.is_file():
            raise UsageError(
                f"`{source}`: neither a URL (http://…) nor a file. Give the service's URL or an OpenAPI file."
            )
        spec = parse(path.read_bytes()[:MAX_BYTES], source)
        return Document(spec, source, _base(spec, None, target))
    found = _ask(source, wire)
    spec, where = found
    return Document(spec, where, _base(spec, where, target or (source if where != source else None)))


def parse(text: bytes, source: str) -> dict[str, Any]:
    """Return the document from JSON or YAML text.

    Raises:
        UsageError: the text is neither JSON nor YAML, or not OpenAPI 3.
    """
    spec = _loaded(text)
    if isinstance(spec, dict) and str(spec.get("swagger", "")).startswith("2"):
        raise UsageError(
            f"{source} is a Swagger 2.0 document: convert it to OpenAPI 3 first, for example with "
            "`npx swagger2openapi FILE`, and pass the result."
        )
    if not _is_openapi(spec):
        raise UsageError(f"{source} contains no OpenAPI 3 document: such a document has `openapi: 3.x` and `paths`.")
    assert isinstance(spec, dict)
    return spec


def _loaded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    import yaml

    class JsonLikeLoader(yaml.SafeLoader):
        """A YAML loader that leaves dates as text, because JSON has no dates."""

    JsonLikeLoader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        return yaml.load(text.decode("utf-8", "replace"), Loader=JsonLikeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None


def _is_openapi(spec: Any) -> bool:
    return (
        isinstance(spec, dict) and str(spec.get("openapi", "")).startswith("3") and isinstance(spec.get("paths"), dict)
    )


def _ask(source: str, wire: Wire) -> tuple[dict[str, Any], str]:
    """Return the document found at `source` or below it, and its URL."""
    first = wire.get(source)
    if first.error is not None:
        raise TargetError(f"`{source}`: no answer ({first.error}). Is the service running?")
    spec = _loaded(first.body) if _may_be_document(first) else None
    if _is_openapi(spec) or (isinstance(spec, dict) and "swagger" in spec):
        return parse(first.body, source), source
    root = source.rstrip("/") + "/"
    tried = [urljoin(root, place) for place in PLACES]
    for url in tried:
        if (spec := _document_at(url, wire)) is not None:
            return spec, url
    for page in PAGES:
        answer = wire.get(urljoin(root, page))
        if answer.status != 200:
            continue
        for link in dict.fromkeys(_LINK.findall(answer.body[:500_000].decode("utf-8", "replace"))):
            url = urljoin(urljoin(root, page), link)
            if urlsplit(url).netloc == urlsplit(source).netloc and (spec := _document_at(url, wire)) is not None:
                return spec, url
    if (spec := kserve.document(source, wire)) is not None:
        return spec, source.rstrip("/") + "/v2"
    raise TargetError(
        f"`{source}` answers, but offers no OpenAPI document (tried /{PLACES[0]} and {len(PLACES) - 1} other usual "
        f"paths). Pass the URL or the file of the document to `lt init`."
    )


def _may_be_document(answer: Answer) -> bool:
    return (answer.status == 200 and b"openapi" in answer.body[:MAX_BYTES]) or b"swagger" in answer.body[:2000]


def _document_at(url: str, wire: Wire) -> dict[str, Any] | None:
    answer = wire.get(url)
    if answer.status != 200 or not answer.body:
        return None
    spec = _loaded(answer.body)
    return spec if _is_openapi(spec) else None


def _base(spec: dict[str, Any], where: str | None, target: str | None) -> str | None:
    """Return the URL to which paths are appended: the named host, with the path of the document's first server.

    A document often names another server (production, a port behind a proxy), so the host that the user gave is always
    used, with the path of the document's server.
    """
    server = _server_of(spec)
    if target is not None:
        parts = urlsplit(target)
        given = parts.path.rstrip("/")
        return f"{parts.scheme}://{parts.netloc}{given or urlsplit(server).path.rstrip('/')}"
    if where is None:
        return server.rstrip("/") if re.match(r"https?://", server) else None
    parts = urlsplit(where)
    return f"{parts.scheme}://{parts.netloc}{urlsplit(urljoin(where, server) if server else '').path.rstrip('/')}"


def _server_of(spec: dict[str, Any]) -> str:
    servers = spec.get("servers")
    first = servers[0] if isinstance(servers, list) and servers and isinstance(servers[0], dict) else {}
    url = str(first.get("url", ""))
    variables = first.get("variables")
    for name, variable in (variables if isinstance(variables, dict) else {}).items():
        if isinstance(variable, dict):
            url = url.replace("{" + str(name) + "}", str(variable.get("default", "")))
    return url
