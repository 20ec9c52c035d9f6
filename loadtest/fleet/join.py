"""Explain to the user how workers on other machines join a run, and with which secret."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping

from ..core.addresses import is_loopback
from ..core.errors import UsageError
from ..recorder.messages import SECRET_VARIABLE

FEWEST_CHARS = 16
"""Length of the shortest allowed secret: 16 hexadecimal digits are 64 bits. A shorter secret could be guessed from the
proof that a worker sends."""

ANY_ADDRESS = ("0.0.0.0", "::")


def join_secret(bind: str, environment: Mapping[str, str]) -> str:
    """Return the join secret: from the environment, or a new secret if there is none and others can connect.

    On loopback the secret is empty, unless the environment sets one. If the secret is empty, every program on this
    machine may join.

    Raises:
        UsageError: the secret from the environment is too short.
    """
    given = environment.get(SECRET_VARIABLE)
    if given is None:
        return "" if is_loopback(host_in_url(bind)) else secrets.token_hex(16)
    if len(given) < FEWEST_CHARS:
        raise UsageError(
            f"`{SECRET_VARIABLE}` has {len(given)} characters: set at least {FEWEST_CHARS}, or unset the variable so "
            f"that a secret is generated."
        )
    return given


def invitation(*, missing: int, bind: str, port: int, secret: str, environment: Mapping[str, str]) -> str:
    """Return the sentence that says how the other workers join.

    Args:
        missing: the number of workers that have not joined yet.
        bind: the address that the master listens on.
        port: the port that the master listens on.
        secret: the result of `join_secret`. A secret from the environment is not shown, because the user knows it.
        environment: the environment of this process.
    """
    host = "THIS_MACHINE" if bind in ANY_ADDRESS else host_in_url(bind)
    value = f'"${SECRET_VARIABLE}"' if SECRET_VARIABLE in environment else shlex.quote(secret)
    knows = f"{SECRET_VARIABLE}={value} " if secret else ""
    return f"waiting for {missing} worker(s); on the other machines: {knows}python lt.py worker --master {host}:{port}"


def host_in_url(host: str) -> str:
    """Return a host in the form that is used before a port: IPv6 addresses are put in brackets."""
    return f"[{host}]" if ":" in host else host
