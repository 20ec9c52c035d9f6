"""List what the fast client does not support, and say where to read about alternatives."""

from __future__ import annotations

SEE = "docs/users.md says what to use instead"

REQUEST_OPTIONS = {
    "stream": "responses are read whole before they are returned",
    "max_retries": "requests are not repeated; repeat them in your task if you need this",
    "debug_stream": "requests are not logged; listen to events.request, or use a proxy such as mitmproxy",
    "to_string": "the response is always an object; its text is `.text`",
    "verify": "certificates are verified unless the user class sets `insecure = True`",
    "cert": "set client certificates in an `ssl_context` of the user class",
    "proxies": "proxies are not used",
    "cookies": "set them in `self.client.cookiejar`, or pass a Cookie header",
    "hooks": "listen to events.request",
}
"""Options of a request that other clients have, and the reasons why this client rejects them."""

USER_ATTRIBUTES = {
    "max_retries": (0, REQUEST_OPTIONS["max_retries"]),
    "concurrency": (10, "the client opens as many connections as there are requests in flight"),
    "proxy_host": (None, "proxies are not used"),
    "proxy_port": (None, "proxies are not used"),
    "client_pool": (None, "every user has its own connections"),
}
"""Attributes of FastHttpUser that FastUser rejects unless they have Locust's default value: (default, why)."""

STREAMING = "responses are read whole, not as a stream: use `.content`, `.text`, `.json()` or `.iter_content()`"

ASK_FIRST = "pass catch_response=True and use the response in a with block to decide whether it counts as a success"


def refused_option(option: str) -> TypeError:
    """Return the error for an option of a request."""
    why = REQUEST_OPTIONS.get(option, "FastHttpUser or HttpUser may support it")
    return TypeError(f"{option}=: not supported by FastUser's client: {why}. {SEE}.")


def refused_attribute(owner: str, name: str) -> str:
    """Return the sentence for an attribute of a user class."""
    return f"{owner}.{name}: not supported by FastUser: {USER_ATTRIBUTES[name][1]}. {SEE}."
