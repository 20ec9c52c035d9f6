"""Keep the cookies of one user, with the standard library's rules."""

from __future__ import annotations

from email.message import Message
from http.cookiejar import CookieJar
from urllib.request import Request

from ..http.response_parser import fields_of


class _Answer:
    """A response in the form that CookieJar expects."""

    def __init__(self, raw_head: bytes) -> None:
        self._message = Message()
        for name, value in fields_of(raw_head):
            if name in (b"set-cookie", b"set-cookie2"):
                self._message.add_header(name.decode(), value.decode("latin-1"))

    def info(self) -> Message:
        return self._message


def keep_cookies(jar: CookieJar, url: str, raw_head: bytes) -> None:
    """Put the cookies that a response to `url` sets into the jar."""
    jar.extract_cookies(_Answer(raw_head), Request(url))  # type: ignore[arg-type] # CookieJar only calls info()


def cookie_header(jar: CookieJar, url: str) -> bytes:
    """Return the encoded Cookie header for a request to `url`; b"" if no cookie matches."""
    request = Request(url)
    jar.add_cookie_header(request)
    value = request.get_header("Cookie")
    return b"" if value is None else f"Cookie: {value}\r\n".encode("latin-1")
