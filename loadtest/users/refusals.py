"""List what the fast client does not support, and say where to read about alternatives."""

from __future__ import annotations

SEE = "docs/users.md says what to use instead"

REQUEST_OPTIONS = {
    "stream": "responses are read whole before they are returned",
    "max_retries": "requests are not repeated; the wait time of a task is the place for that",
    "debug_stream": "requests are not written out; listen to events.request, or use a proxy such as mitmproxy",
    "to_string": "the response is always an object; its text is `.text`",
    "verify": "certificates are verified unless the user class says `insecure = True`",
    "cert": "client certificates go into an `ssl_context` of the user class",
    "proxies": "proxies are not used",
    "cookies": "set them in `self.client.cookiejar`, or pass a Cookie header",
    "hooks": "listen to events.request",
}
"""Options of a request that other clients have, and the reasons why they are refused."""

USER_ATTRIBUTES = {
    "max_retries": (0, REQUEST_OPTIONS["max_retries"]),
    "concurrency": (10, "as many connections are opened as requests are under way at once"),
    "proxy_host": (None, "proxies are not used"),
    "proxy_port": (None, "proxies are not used"),
    "client_pool": (None, "every user has connections of its own"),
}
"""Attributes of FastHttpUser that FastUser refuses unless they have Locust's default: (default, why)."""

STREAMING = "responses are read whole, not as a stream: use `.content`, `.text`, `.json()` or `.iter_content()`"

ASK_FIRST = "pass catch_response=True and use the response in a with block to decide whether it counts as a success"


def refused_option(option: str) -> TypeError:
    """Return the error for an option of a request."""
    why = REQUEST_OPTIONS.get(option, "FastHttpUser or HttpUser may have it")
    return TypeError(f"{option}=: not supported by FastUser's client: {why}. {SEE}.")


def refused_attribute(owner: str, name: str) -> str:
    """Return the sentence for an attribute of a user class."""
    return f"{owner}.{name}: not supported by FastUser: {USER_ATTRIBUTES[name][1]}. {SEE}."
