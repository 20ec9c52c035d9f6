"""Keep one user's connections to one server."""

from __future__ import annotations

from dataclasses import dataclass, field

from .connection import Connection, Endpoint
from .transport import Transport


@dataclass(slots=True, eq=False)
class Pool:
    """The connections of one client to one server. The connection that was used last is used first again.

    Attributes:
        idle: connections that no request uses.
        opened: all connections that were made so far. Connections that are not idle are in use.
    """

    endpoint: Endpoint
    transport: Transport
    connect_timeout_s: float
    max_body_bytes: int
    idle: list[Connection] = field(default_factory=list)
    opened: int = 0

    def add(self) -> Connection:
        """Return a new connection, which opens when it is first used."""
        self.opened += 1
        return Connection(
            self.endpoint,
            self.transport,
            connect_timeout_s=self.connect_timeout_s,
            max_body_bytes=self.max_body_bytes,
        )

    def close(self) -> None:
        """Close the idle connections; they open again when they are used."""
        for connection in self.idle:
            connection.close()
