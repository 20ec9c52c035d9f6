"""Renew an ID token for a private service in time, and pass it to the Locust processes without writing it anywhere.

The parent process, which gevent never patches, keeps the only lasting copy, in memory. The parent serves the token on a
Unix socket in a folder that only this user may enter. The socket's path is not secret; the Locust processes get it in
an environment variable. `core/token_socket.py` defines that variable and the protocol.

A process requests a token at its start, and again REFRESH_BEFORE_S before `expires_s`. The token is never on a command
line, in the environment or on disk, because other programs can read command lines and environments, and a file would
remain after a kill -9.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from ...core import token_socket
from ...core.errors import CloudError
from ...core.temp_folders import temporary_folder

REFRESH_BEFORE_S = 600.0
"""A token is valid for an hour. A new token is requested ten minutes before the old token expires, so that even a slow
refresh is in time."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token and the Unix time at which it expires.

    `repr` leaves out the text of the token, so logs and tracebacks do not contain it.
    """

    text: str = field(repr=False)
    expires_s: float


class IdTokens:
    """The ID token for one audience. If the token is requested shortly before it expires, it is refreshed.

    Threads may share this object.

    Args:
        audience: the service's URL.
        fetch: gets a new token for an audience.
        now: returns the Unix time.
    """

    def __init__(
        self, audience: str, *, fetch: Callable[[str], str] | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._audience = audience
        self._fetch = fetch or fetch_id_token
        self._now = now
        self._lock = threading.Lock()
        self._token: Token | None = None

    def token(self) -> Token:
        """Return the current token, or a new token if the current token expires within REFRESH_BEFORE_S.

        If a refresh fails while the current token is still valid, the current token is returned, and the next call
        tries again.

        Raises:
            CloudError: there is no token, and none could be fetched.
        """
        with self._lock:
            now_s = self._now()
            if self._token is not None and self._token.expires_s - now_s >= REFRESH_BEFORE_S:
                return self._token
            try:
                text = self._fetch(self._audience)
                self._token = Token(text, expiry_s(text))
            except CloudError:
                if self._token is None or self._token.expires_s <= now_s:
                    raise
            return self._token


class TokenServer:
    """A server for tokens on a Unix socket, which runs while its context is entered.

    The Locust processes need `environment`.
    """

    def __init__(self, tokens: IdTokens) -> None:
        self._tokens = tokens
        self._folder = Path()
        self._stack = ExitStack()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._serve, name="lt-tokens", daemon=True)

    @property
    def path(self) -> Path:
        """The path of the socket."""
        return self._folder / "tokens.sock"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of a process that may request tokens."""
        return {token_socket.VARIABLE: str(self.path)}

    def __enter__(self) -> TokenServer:
        """Get the first token, so that a missing login is reported before the run, and then listen.

        Raises:
            CloudError: no token is available.
        """
        self._tokens.token()
        self._folder = self._stack.enter_context(temporary_folder("token"))
        self._socket.bind(str(self.path))
        self._socket.listen(64)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=5)
        self._stack.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # __exit__ has closed the socket
                return
            with connection:
                try:
                    connection.sendall(self._answer())
                except OSError:  # the client has closed the connection
                    continue

    def _answer(self) -> bytes:
        try:
            token = self._tokens.token()
        except CloudError as error:
            return json.dumps({"error": str(error)}).encode()
        return json.dumps({"token": token.text, "expires_s": token.expires_s}).encode()


def fetch_id_token(audience: str) -> str:
    """Return a new ID token from the service account or the metadata server, else for the user of gcloud.

    Raises:
        CloudError: no token is available; the message says how to get one.
    """
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request
    from google.oauth2 import id_token

    try:
        return str(id_token.fetch_id_token(Request(), audience))
    except GoogleAuthError as error:
        why = str(error)
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        raise CloudError(
            f"{audience} is private and no ID token is available: neither a service account ({why}) nor gcloud "
            f"is available. "
            "Install gcloud and run `gcloud auth login`, or point GOOGLE_APPLICATION_CREDENTIALS to a service account.",
            cure="gcloud auth login",
        )
    try:
        done = subprocess.run(
            [gcloud, "auth", "print-identity-token"], capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        raise CloudError(
            "`gcloud auth print-identity-token` did not end within 60 s: run it by hand to see why.",
            cure="gcloud auth print-identity-token",
        ) from None
    if done.returncode != 0 or not done.stdout.strip():
        raise CloudError(
            f"{audience} is private and gcloud gave no ID token: run `gcloud auth login`. "
            f"({done.stderr.strip()[-300:]})",
            cure="gcloud auth login",
        )
    return done.stdout.strip()


def expiry_s(token: str) -> float:
    """Return the Unix time at which a JWT expires (its `exp`).

    The signature is not checked, because the service checks it.

    Raises:
        CloudError: the text is not a JWT with an `exp`. The message does not contain the text.
    """
    try:
        payload = token.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (IndexError, ValueError, KeyError, TypeError):
        raise CloudError("Invalid ID token: no readable `exp` claim. Log in again.", cure="gcloud auth login") from None
