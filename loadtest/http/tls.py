"""Convert the bytes of a TLS connection to plain bytes and back, without a socket."""

from __future__ import annotations

import functools
import ssl

_READ_BYTES = 16_384  # the maximum size of a record


@functools.cache
def client_context(*, insecure: bool = False) -> ssl.SSLContext:
    """Return the process's context for TLS clients.

    The context is created only once, because creating a context reads all trusted certificates and takes about 20 ms.

    Only HTTP/1.1 is offered to the server (ALPN). With `insecure`, certificates are not verified.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class TlsLayer:
    """The TLS state of one connection.

    Attributes:
        closed: whether the server has announced the end of its data.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self.closed = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def handshake(self, received: bytes) -> tuple[bytes, bool]:
        """Process bytes from the server (b"" at the start).

        Return the bytes to send, and whether the handshake is done.

        Raises:
            ssl.SSLError: the server's certificate is not trusted, or client and server have no TLS version or cipher in
                common.
        """
        self._incoming.write(received)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return self._outgoing.read(), False
        return self._outgoing.read(), True

    def encrypt(self, data: bytes) -> bytes:
        """Return `data` as TLS records, after the bytes that TLS itself has to send."""
        sent = self._object.write(data)
        while sent < len(data):  # a record holds at most 16 KiB
            sent += self._object.write(memoryview(data)[sent:])
        return self._outgoing.read()

    def decrypt(self, records: bytes) -> bytes:
        """Return the plain bytes that `records` completed; b"" while a record is incomplete, or after the end.

        Raises:
            ssl.SSLError: the records were tampered with, or the server sent an alert.
        """
        self._incoming.write(records)
        data = self._read()
        while self._incoming.pending or self._object.pending():
            more = self._read()
            if not more:
                break
            data += more
        return data

    def _read(self) -> bytes:
        try:
            data = self._object.read(_READ_BYTES)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLZeroReturnError:
            data = b""
        self.closed = not data
        return data
