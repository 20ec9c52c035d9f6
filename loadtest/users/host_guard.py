"""Make Locust's own clients send requests only to the host that was named.

Redirects to another host are not followed unless the user class allows it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

from .redirects import REDIRECTS, RedirectError
from .refusals import SEE
from .sites import DEFAULT_PORTS, key_of, plain_key

ALLOW = "allow_other_hosts"
"""The attribute of a user class that allows redirects to any host."""

_guarded = False


def leaves(url: str, location: str, host: str) -> bool:
    """Return whether a redirect from `url` to `location` leaves both the server of `url` and the server of `host`.

    A different port, or HTTP instead of HTTPS, counts as another server. A redirect from HTTP to HTTPS with the same
    name and default ports does not count as another server.
    """
    if "\\" in location:  # URL parsers disagree about the host of such a URL
        return True
    target = urlsplit(urljoin(url, location))
    if target.scheme not in DEFAULT_PORTS or not target.hostname:
        return False  # the client itself rejects it
    key = key_of(target)
    here = {key_of(urlsplit(url)), key_of(urlsplit(host))}
    return key not in here and plain_key(key) not in here


def _sentence(status: int, location: str, host: str) -> str:
    target = urlsplit(location)
    origin = f"{target.scheme}://{target.netloc.rpartition('@')[2]}"
    return (
        f"HTTP {status}: the redirect to {origin} is not followed, because it is not this user's host ({host}): "
        f"set `{ALLOW} = True` in the user class to let load and data go there. {SEE}."
    )


def guard_stock_clients() -> None:
    """Make HttpUser and FastHttpUser treat a redirect to another host as a failed answer, with a message that says why.

    Call this once per process. A user class with `allow_other_hosts = True` is not affected.
    """
    global _guarded  # noqa: PLW0603 - all users of the process share the classes of the clients
    if not _guarded:
        _guarded = True
        _guard_http_session()
        _guard_fast_http_session()


def _guard_http_session() -> None:
    from locust.clients import HttpSession
    from requests.exceptions import RequestException

    class NotFollowedError(RedirectError, RequestException):
        """A failed request, in the class that HttpUser expects."""

    target_of, send = HttpSession.get_redirect_target, HttpSession._send_request_safe_mode

    def get_redirect_target(self: Any, resp: Any) -> str | None:
        location: str | None = target_of(self, resp)
        host = self.base_url or resp.url
        if location and not getattr(self.user, ALLOW, False) and leaves(resp.url, location, host):
            resp.lt_not_followed = _sentence(resp.status_code, urljoin(resp.url, location), host)
            return None
        return location

    def send_request(self: Any, method: Any, url: Any, **kwargs: Any) -> Any:
        response = send(self, method, url, **kwargs)
        refused = getattr(response, "lt_not_followed", None)
        if refused is not None and kwargs.get("allow_redirects", True):
            response.error = NotFollowedError(refused)  # type: ignore[attr-defined] # Locust adds this attribute
        return response

    HttpSession.get_redirect_target = get_redirect_target  # type: ignore[method-assign]
    HttpSession._send_request_safe_mode = send_request  # type: ignore[method-assign]


def _guard_fast_http_session() -> None:
    from geventhttpclient.useragent import ConnectionError as FastFailure
    from locust.contrib.fasthttp import FastHttpSession, LocustUserAgent

    class NotFollowedError(RedirectError, FastFailure):
        """A failed request, in the class that FastHttpUser expects."""

        def __str__(self) -> str:
            return str(self.args[0])

    begin, ask, verify = FastHttpSession.__init__, LocustUserAgent._urlopen, LocustUserAgent._verify_status

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.client.lt_host = None if getattr(self.user, ALLOW, False) else self.base_url
        self.client.lt_refused = None

    def urlopen(self: Any, request: Any) -> Any:
        response = ask(self, request)
        host, status = getattr(self, "lt_host", None), response.status_code
        if host and status in self.redirect_response_codes and status in REDIRECTS:
            location = response.headers.get("location")
            if isinstance(location, str) and leaves(request.url, location, host):
                self.lt_refused = _sentence(status, urljoin(request.url, location), host)
        return response

    def verify_status(self: Any, status_code: int, url: Any = None) -> None:
        # it was set above, and no other code has run since then
        refused, self.lt_refused = (
            getattr(self, "lt_refused", None),
            None,
        )
        if refused is not None:
            raise NotFollowedError(refused)
        verify(self, status_code, url)

    FastHttpSession.__init__ = init  # type: ignore[method-assign]
    LocustUserAgent._urlopen = urlopen  # type: ignore[method-assign]
    LocustUserAgent._verify_status = verify_status  # type: ignore[method-assign]
