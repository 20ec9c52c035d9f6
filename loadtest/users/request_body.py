"""Encode the body of a request: JSON, form, text, bytes, or files."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import urlencode

import orjson

from .refusals import SEE

NO_BODY, JSON, FORM, TEXT, BYTES = range(5)
"""Kinds of body; KIND_TYPES contains the Content-Type of each kind."""

KIND_TYPES = (
    "",
    "application/json",
    "application/x-www-form-urlencoded; charset=utf-8",
    "text/plain; charset=utf-8",
    "application/octet-stream",
)

Data = str | bytes | bytearray | memoryview | Mapping[str, Any] | Iterator[bytes] | Any | None
"""The types that `data=` may have. For any other type, a TypeError is raised."""


def encode_json(value: Any) -> bytes:
    """Return `value` as JSON with the same content as `json.dumps(value)`, including NaN and infinities.

    orjson takes a tenth of the time. But orjson writes NaN as null, so if its output contains a null, the standard
    library encodes the value again.

    Raises:
        TypeError: neither encoder can encode the value.
    """
    try:
        body = orjson.dumps(value)
    except TypeError:  # for example integers of more than 64 bits, keys that are not text, half a surrogate pair
        return json_module.dumps(value).encode()
    if b"null" in body:
        return json_module.dumps(value, default=_only_orjson_can).encode()
    return body


def _only_orjson_can(value: Any) -> Any:
    """Return orjson's encoding of a date, UUID or dataclass that the standard library cannot encode.

    Raises:
        TypeError: orjson's encoding contains a null, which may stand for a NaN.
    """
    text = orjson.dumps(value)
    if b"null" in text:
        raise TypeError(f"{type(value).__name__} that contains None or NaN cannot be encoded as JSON: pass a dict")
    return orjson.loads(text)


def encode_data(data: Data) -> tuple[bytes, int]:
    """Return the body's bytes and its kind. The bytes are the same as those that FastHttpUser sends.

    Raises:
        TypeError: the data is neither text, bytes, a mapping, a file nor an iterator of bytes.
    """
    if not data:
        return b"", NO_BODY
    if isinstance(data, Mapping):
        return urlencode(data).encode(), FORM
    if isinstance(data, str):
        return data.encode(), TEXT
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data), BYTES
    if hasattr(data, "read"):
        read = data.read()
        return (read.encode() if isinstance(read, str) else bytes(read)), BYTES
    if isinstance(data, Iterator):
        return b"".join(part.encode() if isinstance(part, str) else part for part in data), BYTES
    raise TypeError(
        f"data= is {type(data).__name__}: must be text, bytes, a mapping (sent as a form), a file or an iterator of "
        f"bytes; for JSON use json=. {SEE}."
    )


def encode_files(files: Mapping[str, Any] | Iterable[tuple[str, Any]], data: Data) -> tuple[bytes, str]:
    """Return a multipart body (RFC 7578) and its Content-Type.

    Args:
        files: field → content, an open file, or (file name, content[, type[, headers]]).
        data: further fields, as a mapping or pairs; a field's value may be a list.

    Raises:
        ValueError: `data` is text or bytes, or a file's tuple has another length.
    """
    from urllib3 import encode_multipart_formdata
    from urllib3.fields import RequestField

    if isinstance(data, str | bytes):
        raise ValueError("data= with files= must be a mapping, not text or bytes")
    fields = []
    pairs: Any = data.items() if isinstance(data, Mapping) else data or ()
    for name, value in pairs:
        values = [value] if isinstance(value, str | bytes) or not isinstance(value, Iterable) else value
        for part in values:
            if part is not None:
                fields.append(RequestField(name, part if isinstance(part, bytes) else str(part)))
                fields[-1].make_multipart()
    for name, value in files.items() if isinstance(files, Mapping) else files:
        if (field := _file_field(name, value)) is not None:
            fields.append(field)
    body, content_type = encode_multipart_formdata(fields)
    return body, content_type


def _file_field(name: str, value: Any) -> Any:
    from urllib3.fields import RequestField

    content_type, headers = None, None
    if isinstance(value, tuple | list):
        if not 2 <= len(value) <= 4:
            raise ValueError(
                f"files=: {name!r} must be (file name, content[, type[, headers]]), not {len(value)} values"
            )
        file_name, content, content_type, headers = (*value, None, None)[:4]
    else:
        given = getattr(value, "name", None)
        file_name = PurePath(given).name if isinstance(given, str) and not given.startswith("<") else name
        content = value
    if content is None:
        return None
    field = RequestField(name, content.read() if hasattr(content, "read") else content, file_name, headers)
    field.make_multipart(content_type=content_type)
    return field
