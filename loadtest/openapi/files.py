"""Create small valid files that a service can open: an image, a table, a sound, a text."""

from __future__ import annotations

import io
import json
import re
import struct
import wave
import zlib

File = tuple[str, bytes, str]
"""Name, content and content type of a file."""


def sample_file(name: str, media_type: str = "", *, kind: str | None = None) -> File:
    """Return a file for a field called `name`.

    The type of the file is the type that the document requires, or the type that the name suggests.
    """
    kind = kind or _kind(name, media_type)
    return FILES[kind]


def kinds(name: str, media_type: str = "") -> list[str]:
    """Return the kinds of file to try, the most likely first."""
    first = _kind(name, media_type)
    return [first, *(each for each in FILES if each != first)]


def _kind(name: str, media_type: str) -> str:
    text = f"{name} {media_type}".lower()
    for pattern, kind in (
        (r"image|img|photo|picture|png|jpe?g|scan|mask", "png"),
        (r"audio|wav|sound|speech|voice|mp3", "wav"),
        (r"csv|table|sheet|dataset|data_?file|rows", "csv"),
        (r"json", "json"),
    ):
        if re.search(pattern, text):
            return kind
    return "txt"


def _png(side: int = 32) -> bytes:
    """Return a square RGB image with a gradient."""
    rows = b"".join(b"\0" + b"".join(bytes((8 * x % 256, 8 * y % 256, 128)) for x in range(side)) for y in range(side))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def _wav() -> bytes:
    """Return a twentieth of a second of silence, 8 kHz mono."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(b"\x80" * 400)
    return file.getvalue()


FILES: dict[str, File] = {
    "txt": ("sample.txt", b"The delivery was quick and the quality is better than expected.\n", "text/plain"),
    "png": ("sample.png", _png(), "image/png"),
    "csv": ("sample.csv", b"a,b,c\n1,2,3\n4,5,6\n", "text/csv"),
    "json": ("sample.json", json.dumps({"a": 1}).encode(), "application/json"),
    "wav": ("sample.wav", _wav(), "audio/wav"),
}
"""Sample files by kind. Each file has only a few hundred bytes, so that a generated scenario stays readable."""
