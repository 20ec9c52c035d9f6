"""Give every user's client a bearer token, and a new one before it ends, without the token ever being written."""

from __future__ import annotations

import functools
import json
import logging
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import gevent
import requests
from gevent.event import Event
from locust import User
from locust.env import Environment

from recording.errors import TargetError

log = logging.getLogger(__name__)

SOCKET_VARIABLE = "LT_TOKEN_SOCKET"
"""Names the Unix socket on which the process that started the run serves the token (see `docs/distributed.md`)."""

REFRESH_BEFORE_S = 300.0
RETRY_S = 10.0


class Authorizer:
    """Asks for the token and sets it in the clients of all users, present and to come."""

    def __init__(self, environment: Environment, path: str) -> None:
        self.environment = environment
        self.path = path
        self.bearer = ""
        self.expires_s = 0.0
        self._first = Event()
        self._users: WeakSet[User] = WeakSet()

    def startup(self) -> None:
        """See to it that users carry the token, get the first one, and start the renewing greenlet.

        Asking lets other greenlets run, and the master's order to start users may be among them: the classes are
        changed first, and users that are made meanwhile wait for the token.

        Raises:
            TargetError: no token could be had.
        """
        for user_class in self.environment.user_classes:
            user_class.__init__ = self._dressing(user_class.__init__)  # type: ignore[method-assign]  # on the class
        self._ask()
        self._first.set()
        gevent.spawn(self.main_loop)

    def main_loop(self) -> None:
        """Renew the token for ever; a failure is logged and tried again while the old one lasts."""
        while True:
            gevent.sleep(max(RETRY_S, self.expires_s - REFRESH_BEFORE_S - time.time()))
            try:
                self._ask()
            except TargetError as error:
                log.error("%s", error)
                continue
            for user in list(self._users):
                self._dress(user)

    def _ask(self) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
                server.settimeout(60)
                server.connect(self.path)
                answer = json.loads(b"".join(iter(lambda: server.recv(65536), b"")))
        except (OSError, ValueError) as error:
            raise TargetError(
                f"No token came from the process that started the run ({error}): is it still there?"
            ) from error
        if "error" in answer:
            raise TargetError(str(answer["error"]))
        self.bearer, self.expires_s = f"Bearer {answer['token']}", float(answer["expires_s"])

    def _dressing(self, original: Any) -> Any:
        @functools.wraps(original)
        def initialise(user: User, *words: Any, **options: Any) -> None:
            self._first.wait()
            original(user, *words, **options)
            self._users.add(user)
            self._dress(user)

        return initialise

    def _dress(self, user: User) -> None:
        """Set the token in the user's client: requests' by its hook for one host, others' among their headers."""
        client = getattr(user, "client", None)
        if isinstance(client, requests.Session):
            client.auth = _BearerFor(urlsplit(user.host or "").netloc, self.bearer)
            return
        inner = getattr(client, "client", None)  # of Locust's FastHttpSession
        headers = getattr(inner, "default_headers", None) if inner is not None else getattr(client, "headers", None)
        if isinstance(headers, MutableMapping):
            headers["Authorization"] = self.bearer
        else:
            log.warning("%s has no client that takes a token; its requests go without.", type(user).__name__)


class _BearerFor(requests.auth.AuthBase):
    """Adds the token to requests for one host and to no other."""

    def __init__(self, netloc: str, bearer: str) -> None:
        self.netloc = netloc
        self.bearer = bearer

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return the request with the token, when it is for the host."""
        if urlsplit(request.url or "").netloc == self.netloc:
            request.headers["Authorization"] = self.bearer
        return request


def authorize(environment: Environment) -> None:
    """Start an authorizer where the environment names a token's socket; ends the process when no token can be had."""
    path = os.environ.get(SOCKET_VARIABLE)
    if path is None:
        return
    try:
        Authorizer(environment, path).startup()
    except TargetError as error:
        log.error("%s", error)
        raise SystemExit(4) from error
