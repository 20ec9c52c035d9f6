"""Say how workers of other machines join a run, and with which secret."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping

from ..core.addresses import is_loopback
from ..core.errors import UsageError
from ..recorder.messages import SECRET_VARIABLE

FEWEST_CHARS = 16
"""Of a secret: 16 hexadecimal digits are 64 bits, and the proof that a worker sends can be tried against guesses."""

ANY_ADDRESS = ("0.0.0.0", "::")


def join_secret(bind: str, environment: Mapping[str, str]) -> str:
    """Return what a worker has to know to join: what the environment gives, else a new one where others can connect.

    Empty on loopback without one: every program of this machine may join then.

    Raises:
        UsageError: the environment's is too short.
    """
    given = environment.get(SECRET_VARIABLE)
    if given is None:
        return "" if is_loopback(host_in_url(bind)) else secrets.token_hex(16)
    if len(given) < FEWEST_CHARS:
        raise UsageError(
            f"`{SECRET_VARIABLE}` has {len(given)} characters: give at least {FEWEST_CHARS}, or unset it to have "
            "one generated."
        )
    return given


def invitation(*, missing: int, bind: str, port: int, secret: str, environment: Mapping[str, str]) -> str:
    """Return the sentence that says how the other workers join.

    Args:
        missing: how many are waited for.
        bind: the address that the master listens on.
        port: of it.
        secret: from `join_secret`; one of the environment is known where it was set, and is not shown.
        environment: of this process.
    """
    host = "THIS_MACHINE" if bind in ANY_ADDRESS else host_in_url(bind)
    value = f'"${SECRET_VARIABLE}"' if SECRET_VARIABLE in environment else shlex.quote(secret)
    knows = f"{SECRET_VARIABLE}={value} " if secret else ""
    return f"waiting for {missing} worker(s); on the other machines: {knows}python lt.py worker --master {host}:{port}"


def host_in_url(host: str) -> str:
    """Return a host as an address with a port takes it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
