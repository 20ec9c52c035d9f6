"""Set a bearer token in the client of every user, and renew it before it expires, without writing it to a file."""

from __future__ import annotations

import functools
import json
import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import gevent
import requests
from gevent.event import Event
from locust import User
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment

from ..core import token_socket
from ..core.errors import TargetError
from ..recording.frames import SIDES
from ..users import answers
from ..users.sides import side_of

log = logging.getLogger(__name__)

AUDIENCE_VARIABLE = "LT_TOKEN_AUDIENCE"
"""The variable that names the service for which a worker on Google's machines requests a token from its metadata
server."""

METADATA_HOST_VARIABLE, METADATA_HOST = "GCE_METADATA_HOST", "metadata.google.internal"
"""The same address as in Google's own libraries
(https://cloud.google.com/run/docs/container-contract#metadata-server)."""

ASK_AGAIN_S = 300.0
"""The metadata server renews a token some minutes before it expires. A worker requests a token again at this interval,
and so gets the new token."""

REFRESH_BEFORE_S = 300.0
RETRY_S = 10.0


Source = Callable[[], tuple[str, float]]
"""A function that returns a token and the Unix time at which it expires. The function raises TargetError if there is no
token."""


class Authorizer:
    """Request the token and set it in the clients of all current and future users that call one side.

    Args:
        environment: the environment of this process.
        source: returns the tokens.
        side: the side whose users get the tokens, as an index into SIDES; 0 in a run with one target. Users of the
            other side have a token for another audience, and never get this token.
    """

    def __init__(self, environment: Environment, source: Source, side: int = 0) -> None:
        self.environment = environment
        self.source = source
        self.side = side
        self.bearer = ""
        self.expires_s = 0.0
        self._first = Event()
        self._users: WeakSet[User] = WeakSet()

    def change_classes(self) -> None:
        """Make users that are created from now on wait for the token and send it.

        While a token is being requested, other greenlets run, and one of them may receive the master's message to start
        users. The classes are therefore changed before any token is requested.
        """
        for user_class in self.environment.user_classes:
            user_class.__init__ = self._dressing(user_class.__init__)  # type: ignore[method-assign] # set on the class

    def startup(self) -> None:
        """Get the first token, and start the greenlet that renews it.

        Raises:
            TargetError: no token was available.
        """
        self._ask()
        self._first.set()
        gevent.spawn(self.main_loop)

    def main_loop(self) -> None:
        """Renew the token forever. If this fails, log the failure and try again while the old token is valid."""
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
        token, self.expires_s = self.source()
        self.bearer = f"Bearer {token}"
        setattr(self.environment, answers.BEARER_ATTRIBUTE, self.bearer.encode())

    def _dressing(self, original: Any) -> Any:
        @functools.wraps(original)
        def initialise(user: User, *args: Any, **kwargs: Any) -> None:
            self._first.wait()
            original(user, *args, **kwargs)
            if side_of(user) == self.side:
                self._users.add(user)
                self._dress(user)

        return initialise

    def _dress(self, user: User) -> None:
        """Make the user's client send the token. Locust's own clients send the token only to the user's host."""
        client = getattr(user, "client", None)
        if isinstance(client, requests.Session):
            client.auth = _BearerFor(urlsplit(user.host or "").netloc, self.bearer)
            return
        if isinstance(client, FastHttpSession):
            self._dress_agent(client.client, urlsplit(user.host or "").netloc)
            return
        headers = getattr(client, "headers", None)  # this is our own client, which sends requests to no other host
        if isinstance(headers, MutableMapping):
            headers["Authorization"] = self.bearer
        else:
            log.warning(
                "%s has no client that supports a token; its requests are sent without a token.", type(user).__name__
            )

    def _dress_agent(self, agent: Any, netloc: str) -> None:
        """Make the agent send the current token only to the user's host."""
        original = agent.urlopen
        if getattr(original, "dressed", False):
            return

        @functools.wraps(original)
        def urlopen(url: str, method: str = "GET", headers: Any = None, **more: Any) -> Any:
            if urlsplit(url).netloc == netloc:
                headers = {"Authorization": self.bearer, **(headers or {})}
            return original(url, method=method, headers=headers, **more)

        urlopen.dressed = True  # type: ignore[attr-defined] # our own mark
        agent.urlopen = urlopen


class _BearerFor(requests.auth.AuthBase):
    """Add the token to requests for one host, and to no other requests."""

    def __init__(self, netloc: str, bearer: str) -> None:
        self.netloc = netloc
        self.bearer = bearer

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return the request; if it is for the user's host, with the token."""
        if urlsplit(request.url or "").netloc == self.netloc:
            request.headers["Authorization"] = self.bearer
        return request


def from_socket(path: str) -> tuple[str, float]:
    """Return the token and its expiry from the process that started the run.

    Raises:
        TargetError: the process has ended, or has no token.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.settimeout(60)
            server.connect(path)
            answer = json.loads(b"".join(iter(lambda: server.recv(65536), b"")))
    except (OSError, ValueError) as error:
        raise TargetError(
            f"No token came from the process that started the run ({error}): is it still running?"
        ) from error
    if "error" in answer:
        raise TargetError(str(answer["error"]))
    return str(answer["token"]), float(answer["expires_s"])


def from_metadata(audience: str) -> tuple[str, float]:
    """Return this machine's token from Google's metadata server, and the time at which to request a new token.

    Raises:
        TargetError: there is no such server, or no service account.
    """
    host = os.environ.get(METADATA_HOST_VARIABLE, METADATA_HOST)
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/identity"
    with requests.Session() as direct:
        direct.trust_env = False  # no proxy can reach this address
        try:
            answer = direct.get(url, params={"audience": audience}, headers={"Metadata-Flavor": "Google"}, timeout=10)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise TargetError(
                f"{AUDIENCE_VARIABLE}={audience}, but the metadata server gave no ID token ({error}): this works on "
                "Google's machines, with a service account that may call the service (roles/run.invoker)."
            ) from error
    return answer.text.strip(), time.time() + REFRESH_BEFORE_S + ASK_AGAIN_S


def authorize(environment: Environment) -> None:
    """Start an authorizer if the environment names a source of tokens.

    If the source returns no token, end the process.
    """
    authorizers = []
    for side, mark in enumerate(SIDES):
        path = os.environ.get(token_socket.of_side(token_socket.VARIABLE, mark))
        audience = os.environ.get(token_socket.of_side(AUDIENCE_VARIABLE, mark))
        if path or audience:
            source: Source = (
                functools.partial(from_socket, path) if path else functools.partial(from_metadata, str(audience))
            )
            authorizers.append(Authorizer(environment, source, side))
    for authorizer in authorizers:
        authorizer.change_classes()
    try:
        for authorizer in authorizers:
            authorizer.startup()
    except TargetError as error:
        log.error("%s", error)
        raise SystemExit(4) from error
