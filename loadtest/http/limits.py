"""Distinguish failures of the load generator that are caused by a missing resource from failures of the service."""

from __future__ import annotations

import errno
import os

_CURES = {
    errno.EMFILE: "this process may open no more files: raise `ulimit -n`, or add workers",
    errno.ENFILE: "this machine may open no more files: raise fs.file-max, or add machines",
    errno.EADDRNOTAVAIL: "no local port is free for this address: widen net.ipv4.ip_local_port_range, keep "
    "connections open, or add machines",
    errno.ENOBUFS: "the kernel has no buffer space left: lower the number of users, or add machines",
    errno.ENOMEM: "this machine has no memory left: lower the number of users, or add machines",
}


class GeneratorLimitError(OSError):
    """A request was not sent, or its answer was not read to the end, because the load generator lacked a resource."""


def generator_limit(error: OSError) -> GeneratorLimitError | None:
    """Return an error with advice if `error` means that the load generator lacks a resource; else None."""
    number = error.errno
    cure = None if number is None else _CURES.get(number)
    if number is None or cure is None:
        return None
    return GeneratorLimitError(f"{os.strerror(number)}: {cure}")
