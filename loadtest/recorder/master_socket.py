"""Have the master's socket take ZeroMQ's handshake from workers, and any bytes in a message without ending."""

from __future__ import annotations

import functools
from typing import Any

import zmq
from locust.exception import RPCReceiveError
from locust.rpc.zmqrpc import BaseSocket, Server

ZAP_DOMAIN = b"lt"
"""With any text here libzmq refuses ZMTP 1.0, which begins with no handshake at all (`zmtp_engine.cpp`).

The bytes of an HTTP request are a peer's name and messages in it, so that a web page could greet as a worker. Workers
speak ZMTP 3, which no browser can be made to begin with; without a handler for the domain they are let in as before.
"""


def guard_master_socket() -> None:
    """Change Locust's server before it is made, and however often it is made anew."""
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
        except (ValueError, TypeError, LookupError, RecursionError, AttributeError) as error:  # msgpack's, Message's
            raise RPCReceiveError("a message that cannot be read", addr=None) from error

    setattr(init, "lt_guards", True)  # noqa: B010 - a mark of ours
    setattr(BaseSocket, "__init__", init)  # noqa: B010 - mypy: a method is assigned
    setattr(Server, "recv_from_client", recv_from_client)  # noqa: B010
