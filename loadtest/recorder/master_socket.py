"""Make the master's socket accept only ZeroMQ's handshake from workers, and ignore messages with invalid bytes."""

from __future__ import annotations

import functools
from typing import Any

import zmq
from locust.exception import RPCReceiveError
from locust.rpc.zmqrpc import BaseSocket, Server

ZAP_DOMAIN = b"lt"
"""If this is not empty, libzmq rejects ZMTP 1.0, which has no handshake (`zmtp_engine.cpp`).

With ZMTP 1.0, an HTTP request would be read as a peer's name and messages, so a web page could act as a worker. Workers
use ZMTP 3, which no browser can be made to send. No ZAP handler is registered that could reject workers, so workers are
still accepted.
"""


def guard_master_socket() -> None:
    """Change Locust's server class before a server is created, so that the change applies to every server."""
    make, receive = BaseSocket.__init__, Server.recv_from_client
    if getattr(make, "lt_guards", False):
        return

    @functools.wraps(make)
    def init(self: Any, sock_type: int, *words: Any) -> None:
        make(self, sock_type, *words)
        if sock_type == zmq.ROUTER:
            self.socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)

    @functools.wraps(receive)
    def recv_from_client(server: Any) -> Any:
        try:
            return receive(server)
        except (
            ValueError,
            TypeError,
            LookupError,
            RecursionError,
            AttributeError,
        ) as error:  # msgpack's and Message's
            raise RPCReceiveError("a message that cannot be read", addr=None) from error

    setattr(init, "lt_guards", True)  # noqa: B010 - a mark of ours
    setattr(BaseSocket, "__init__", init)  # noqa: B010 - mypy: a method is assigned
    setattr(Server, "recv_from_client", recv_from_client)  # noqa: B010
