"""Send requests one at a time to the service for which a scenario is generated."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

MAX_BODY = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request.

    Attributes:
        status: 0 if there was no answer.
        body: at most MAX_BODY bytes.
        error: why there was no answer, as a clause; None if there was an answer.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def json(self) -> Any:
        """The body of a successful answer as a JSON value; None if the body is not JSON."""
        try:
            return json.loads(self.body) if self.is_good else None
        except (ValueError, RecursionError):
            return None


class Wire(Protocol):
    """The interface for sending requests. The fake in the tests has the same two methods."""

    def get(self, url: str) -> Answer:
        """Return the answer to a GET."""

    def send(self, method: str, url: str, **arguments: Any) -> Answer:
        """Return the answer to a request. `arguments` are those of `requests.request`."""


class HttpWire:
    """Send requests with the library `requests`, without the environment's proxies, as the load does."""

    def __init__(self, *, timeout_s: float = 10.0, verify: bool = True) -> None:
        import requests

        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = verify
        self._timeout_s = timeout_s

    def get(self, url: str) -> Answer:
        """See Wire. Redirects on the same host are followed."""
        for _ in range(5):
            answer = self.send("GET", url)
            location = answer.headers.get("Location", "")
            if answer.status not in (301, 302, 303, 307, 308) or not location:
                return answer
            from urllib.parse import urljoin

            following = urljoin(url, location)
            if urlsplit(following).netloc != urlsplit(url).netloc:
                return answer
            url = following
        return answer

    def send(self, method: str, url: str, **arguments: Any) -> Answer:
        """See Wire. Redirects are not followed."""
        import requests

        try:
            with self._session.request(
                method, url, timeout=self._timeout_s, allow_redirects=False, stream=True, **arguments
            ) as response:
                body = b""
                for piece in response.iter_content(65_536):
                    body += piece
                    if len(body) > MAX_BODY:
                        break
                return Answer(response.status_code, body[:MAX_BODY], dict(response.headers))
        except (requests.RequestException, OSError, ValueError, UnicodeError) as error:
            return Answer(0, error=_clause(error))


def _clause(error: BaseException) -> str:
    """Return the innermost reason of a failed request, without the names of the exception classes."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None) or next(
            (each for each in getattr(reason, "args", ()) if isinstance(each, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            break
        reason = inner
    text = str(reason)
    text = re.sub(r"\[Errno -?\d+\] ", "", text.rpartition(": ")[2])
    return (getattr(reason, "strerror", None) or text or type(reason).__name__)[:200]
