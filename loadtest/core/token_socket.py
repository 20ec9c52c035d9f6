"""Name the socket on which `lt` serves a service's ID token to the Locust processes.

The server is `platforms/cloudrun/tokens.py`, the client `recorder/tokens.py`. The protocol: connect, read to the end,
get one JSON object:

    {"token": "eyJ…", "expires_s": 1786960800.0}     Unix time at which the token expires
    {"error": "a sentence"}
"""

from __future__ import annotations

VARIABLE = "LT_TOKEN_SOCKET"
"""The environment variable with the path of the Unix socket. The path is no secret; the folder is readable by the user
only."""
