"""Define the socket from which the Locust processes get the ID token of a service.

The server is in `platforms/cloudrun/tokens.py`, and the client is in `recorder/tokens.py`. The protocol: a client
connects, reads to the end, and gets one JSON object:

    {"token": "eyJ…", "expires_s": 1786960800.0}     Unix time at which the token expires
    {"error": "a sentence"}
"""

from __future__ import annotations

VARIABLE = "LT_TOKEN_SOCKET"
"""The environment variable with the path of the Unix socket. The path is not secret, because only the user can read the
folder."""


def of_side(variable: str, mark: str) -> str:
    """Return the name of the variable for one of two targets (`a`, `b`); each target has its own variable."""
    return f"{variable}_{mark.upper()}" if mark else variable
