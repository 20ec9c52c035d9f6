"""Ask the kernel whether the peer can have read the bytes that were sent."""

from __future__ import annotations

import socket
import struct
import sys

# struct tcp_info of <linux/tcp.h>: new fields are always added at the end
_BYTES_ACKED = struct.Struct("<Q"), 120  # since Linux 4.1
_SENT_AND_RETRANSMITTED = struct.Struct("<QQ"), 200  # since Linux 4.19
_LENGTH = 216


def nothing_was_read(connected: socket.socket, last_bytes: int) -> bool:
    """Return whether it is certain that the last `last_bytes` bytes sent on a broken connection never reached the peer.

    A closed socket answers data with a reset and acknowledges no byte, so no program can have read the data. The result
    is also False if the kernel gives no information (on other systems than Linux, or in a sandbox that imitates Linux).
    """
    if sys.platform != "linux":
        return False
    try:
        info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LENGTH)
    except OSError:
        return False
    if len(info) < _LENGTH:
        return False
    (acked,) = _BYTES_ACKED[0].unpack_from(info, _BYTES_ACKED[1])
    sent, retransmitted = _SENT_AND_RETRANSMITTED[0].unpack_from(info, _SENT_AND_RETRANSMITTED[1])
    before: int = sent - retransmitted - last_bytes
    # The kernel counts the SYN among the acknowledged bytes.
    return bool(sent and 0 <= acked - 1 <= before)
