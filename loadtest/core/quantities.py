"""Parse and format CPU, memory and commands in the notation of Cloud Run, Kubernetes and shells."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

_BYTES = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}


def argv_of(text: str) -> tuple[str, ...]:
    """Return the arguments of a command line, split as a shell does.

    Raises:
        ValueError: a quotation is not closed, or there is no argument.
    """
    try:
        argv = tuple(shlex.split(text))
    except ValueError:
        raise ValueError(f"{text!r} has an unclosed quotation mark") from None
    if not argv:
        raise ValueError(f"{text!r} is empty")
    return argv


def with_variables(argv: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """Return the arguments with each `$NAME` or `${NAME}` replaced by the variable's value, if the variable is given.

    Commands are run without a shell, so this function replaces the variables: for example, `--port $PORT` passes the
    port to a service.
    """

    def value(found: re.Match[str]) -> str:
        return variables.get(found[1] or found[2], found[0])

    return [re.sub(r"\$(?:(\w+)|\{(\w+)\})", value, word) for word in argv]


def cpu_of(text: str) -> float:
    """Return vCPUs from `2`, `0.5` or `500m`.

    Raises:
        ValueError: the text is not such a quantity, or the quantity is not above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(m?)", text.strip())
    cpu = float(match[1]) / (1000 if match[2] else 1) if match else 0.0
    if cpu <= 0:
        raise ValueError(f"{text!r} is not a number of vCPUs above 0, such as 1, 0.5 or 500m")
    return cpu


def memory_bytes_of(text: str) -> int:
    """Return bytes from `512Mi`, `4Gi` or `1G`.

    Raises:
        ValueError: the text is not such a quantity, or the quantity is not above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|k|M|G|)", text.strip())
    memory_bytes = int(float(match[1]) * _BYTES[match[2]]) if match else 0
    if memory_bytes <= 0:
        raise ValueError(f"{text!r} is not an amount of memory above 0, such as 512Mi or 4Gi")
    return memory_bytes


def cpu_text(cpu: float) -> str:
    """Return vCPUs in the API's notation: `1`, `500m`, `27.5m`."""
    return f"{cpu:g}" if cpu == int(cpu) else f"{cpu * 1000:g}m"


def memory_text(memory_bytes: int) -> str:
    """Return bytes in the largest unit that needs no fraction: `4Gi`, `512Mi`, `1000`."""
    for unit in ("Gi", "Mi", "Ki"):
        if memory_bytes % _BYTES[unit] == 0:
            return f"{memory_bytes // _BYTES[unit]}{unit}"
    return str(memory_bytes)
