"""Let only workers that record requests join Locust's master. Other processes get no users."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from locust.rpc import Message
from locust.runners import MasterRunner

from ..recording.outcomes import text_of
from .admission import AdmissionError, Greeting, check_greeting, proves
from .messages import HELLO, REFUSED, SCENARIO, SECRET_VARIABLE, UNLOADABLE

log = logging.getLogger(__name__)

GREET_S = 10.0
"""How long a connected process may take to send the handshake, which a recording worker sends next."""

NEVER_GREETED = "it did not send lt's handshake: a plain `locust --worker` records nothing"

MAX_WAITING = 1_000

BEFORE_JOINING = frozenset({"locustfile", SCENARIO, UNLOADABLE})
"""Messages that a process sends before it connects as a worker, because it needs the scenario first."""


@dataclass(slots=True)
class _Waiting:
    ready: Message
    since_s: float


class Gate:
    """Check every message before `MasterRunner.handle_message` gets it.

    A worker connects (`client_ready`), gets its index, and sends HELLO with its name and the proof that it knows the
    join secret. Locust receives the worker's `client_ready` only after that. A plain `locust --worker` never sends
    HELLO, so it gets no users and is rejected after GREET_S. No message can end the master's loop.

    Attributes:
        admitted: Locust's client id → greeting.
        refused: client id of a refused process → reason.
    """

    def __init__(
        self,
        runner: MasterRunner,
        *,
        secret: str,
        on_greeting: Callable[[str, Greeting], None],
        on_refusal: Callable[[str, str, object], None],
    ) -> None:
        self.runner = runner
        self.admitted: dict[str, Greeting] = {}
        self.refused: dict[str, str] = {}
        self._secret = secret
        self._on_greeting = on_greeting
        self._on_refusal = on_refusal
        self._waiting: dict[str, _Waiting] = {}
        self._handle: Callable[[str, Message], None] = runner.handle_message

    def startup(self) -> None:
        """Install the gate."""
        setattr(self.runner, "handle_message", self.handle_message)  # noqa: B010 - replaced only on this one object

    def handle_message(self, client_id: str, msg: Message) -> None:
        """Pass a message on to Locust if its sender is allowed to send it."""
        try:
            self._check(client_id, msg)
        except AdmissionError as refused:
            self._on_refusal(client_id, refused.name, refused.value)
        except (
            Exception
        ) as error:  # an error in Locust's own code, because a single message of a worker must not end the run
            log.exception("A message of %s could not be handled", client_id)
            self._on_refusal(client_id, f"message {text_of(msg.type)[:50]}: {type(error).__name__}", error)

    def _check(self, client_id: str, msg: Message) -> None:
        if not isinstance(msg.type, str):
            raise AdmissionError("message without a type", msg.type)
        if msg.node_id != client_id:
            raise AdmissionError("message in another worker's name", msg.node_id)
        if msg.type == HELLO:
            self._greeted(client_id, msg)
        elif client_id in self.admitted:
            self._handle(client_id, msg)
        elif msg.type in BEFORE_JOINING:
            self._before_joining(client_id, msg)
        elif msg.type == "client_ready" and client_id not in self.refused:
            self._waits(client_id, msg)

    def _before_joining(self, client_id: str, msg: Message) -> None:
        """Answer a process that requests the scenario or cannot load it, if it knows the join secret.

        Locust's own request for the locustfile cannot contain a proof, so the request is not answered if there is a
        secret.
        """
        if not self._secret or proves(msg.data, client_id=client_id, secret=self._secret):
            self._handle(client_id, msg)
            return
        if msg.type == SCENARIO:
            error = f"the master requires its join secret: set {SECRET_VARIABLE} to the same text on this machine"
            server: Any = self.runner.server
            server.send_to_client(Message(SCENARIO, {"error": error}, client_id))
        raise AdmissionError(f"message {msg.type} without the join secret", lost=False)

    def _waits(self, client_id: str, msg: Message) -> None:
        """Answer a connecting worker, so that it sends the handshake. Locust does not know the worker yet."""
        if client_id not in self._waiting and len(self._waiting) >= MAX_WAITING:
            raise AdmissionError("too many workers connect")
        self._waiting[client_id] = _Waiting(msg, time.monotonic())
        self.runner.send_message("ack", {"index": self.runner.get_worker_index(client_id)}, client_id)

    def _greeted(self, client_id: str, msg: Message) -> None:
        waiting = self._waiting.pop(client_id, None)
        try:
            greeting = check_greeting(msg.data, client_id=client_id, secret=self._secret)
            taken = [other for other, known in self.admitted.items() if known.worker == greeting.worker]
            if taken and taken != [client_id]:
                raise AdmissionError("a worker of this name has joined before", greeting.worker, lost=False)
        except AdmissionError as refused:
            self._send_away(client_id, refused.name)
            raise
        self.admitted[client_id] = greeting
        self._on_greeting(client_id, greeting)
        if waiting is not None:
            self._handle(client_id, waiting.ready)

    def look(self, *, patience_s: float = GREET_S) -> None:
        """Refuse processes that connected but did not send the handshake in time."""
        late_s = time.monotonic() - patience_s
        for client_id, waiting in list(self._waiting.items()):
            if waiting.since_s <= late_s:
                del self._waiting[client_id]
                self._send_away(client_id, NEVER_GREETED)
                self._on_refusal(client_id, NEVER_GREETED, client_id)

    def _send_away(self, client_id: str, why: str) -> None:
        self.refused[client_id] = why
        log.error("The worker %s was refused: %s.", client_id, why)
        server: Any = self.runner.server
        for message in (Message(REFUSED, why, client_id), Message("quit", None, client_id)):
            server.send_to_client(message)
