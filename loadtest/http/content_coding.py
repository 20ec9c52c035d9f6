"""Decode compressed response bodies (gzip, deflate, br), up to a maximum size."""

from __future__ import annotations

import zlib

from .response_parser import BodyTooLongError, ProtocolError


def decode_body(body: bytes, coding: str, *, limit_bytes: int) -> bytes:
    """Return the body without its content coding.

    If there are several codings, they are removed from the last to the first.

    Raises:
        ProtocolError: the coding is not supported, or the bytes are invalid.
        BodyTooLongError: the decoded body would be longer than `limit_bytes`.
    """
    for name in reversed([part.strip().lower() for part in coding.split(",")]):
        if name in ("", "identity"):
            continue
        try:
            body = _decode(body, name, limit_bytes)
        except zlib.error as error:
            raise ProtocolError(f"the header says Content-Encoding: {name}, but the body is not: {error}") from error
    return body


def _decode(body: bytes, name: str, limit_bytes: int) -> bytes:
    if name in ("gzip", "x-gzip"):
        return _inflate(body, 16 + zlib.MAX_WBITS, limit_bytes)
    if name == "deflate":
        try:
            return _inflate(body, zlib.MAX_WBITS, limit_bytes)
        except zlib.error:  # many servers omit the zlib wrapper that RFC 9110, 8.4.1.2, requires
            return _inflate(body, -zlib.MAX_WBITS, limit_bytes)
    if name == "br":
        return _unbrotli(body, limit_bytes)
    raise ProtocolError(f"content-encoding {name!r} is not supported: only gzip, deflate and br are supported")


def _inflate(body: bytes, window_bits: int, limit_bytes: int) -> bytes:
    """Return the decompressed bytes. A gzip body may consist of several members in sequence (RFC 1952, 2.2)."""
    decoded = b""
    while True:
        stream = zlib.decompressobj(window_bits)
        decoded += stream.decompress(body, limit_bytes - len(decoded) + 1)
        if len(decoded) > limit_bytes:
            raise BodyTooLongError(limit_bytes)
        if not stream.eof:
            raise zlib.error("it ends early")
        if not stream.unused_data or window_bits < 16:
            return decoded
        body = stream.unused_data


def _unbrotli(body: bytes, limit_bytes: int) -> bytes:
    import brotli  # type: ignore[import-untyped]  # geventhttpclient installs it; it has no types

    decoder = brotli.Decompressor()
    try:
        decoded = decoder.process(body, output_buffer_limit=limit_bytes + 1)
        while not decoder.is_finished() and not decoder.can_accept_more_data() and len(decoded) <= limit_bytes:
            decoded += decoder.process(b"", output_buffer_limit=limit_bytes + 1 - len(decoded))
    except brotli.error as error:
        raise ProtocolError(f"the header says Content-Encoding: br, but the body is not: {error}") from error
    if len(decoded) > limit_bytes:
        raise BodyTooLongError(limit_bytes)
    if not decoder.is_finished():
        raise ProtocolError("the header says Content-Encoding: br, but the body ends early")
    return bytes(decoded)
