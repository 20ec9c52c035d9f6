"""Compare answers under load with the answers to the same requests before the load."""

from __future__ import annotations

import base64
import json
import time
import zlib
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, Protocol

from ..core.answers import AnswerCheck, WrongAnswerError, differences
from ..core.redaction import redact

MAX_EXAMPLES = 5
"""Number of wrong answers that a worker keeps in full."""

MAX_EXAMPLE_CHARS = 2_000

MAX_HEADS = 10_000
"""Number of heads whose digest a process remembers."""


@dataclass(slots=True)
class CheckedEndpoint:
    """An endpoint that has reference answers.

    Attributes:
        references: how many requests to the endpoint have a reference answer.
        left_out: why some of the sent requests have no reference answer, as a sentence; "" if all have one.
    """

    method: str
    name: str
    references: int = 0
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """The answer to one request before the load.

    `endpoint` and `check` are indexes into `Reference.endpoints` and `Reference.checks`.
    """

    status: int
    content: bytes
    endpoint: int
    check: int


@dataclass(slots=True)
class Reference:
    """The answers before the load, indexed by the digest of the request's head and by the request's body.

    A head consists of method, URL and headers, including cookies. Requests with different headers count as different
    requests. Only the digest of a head is kept and sent, because a head may contain credentials.
    """

    endpoints: list[CheckedEndpoint] = field(default_factory=list)
    checks: list[AnswerCheck] = field(default_factory=list)
    answers: dict[str, dict[bytes, Expected]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.answers.values()))

    def encode(self) -> bytes:
        """Return the reference as bytes, for a file or a message."""
        entries = [
            [head, _packed(body), answer.status, _packed(answer.content), answer.endpoint, answer.check]
            for head, bodies in self.answers.items()
            for body, answer in bodies.items()
        ]
        told = {
            "endpoints": [asdict(endpoint) for endpoint in self.endpoints],
            "checks": [asdict(check) for check in self.checks],
            "entries": entries,
        }
        return zlib.compress(json.dumps(told).encode())

    @classmethod
    def decode(cls, data: bytes) -> Reference:
        """Decode the output of `encode`."""
        told = json.loads(zlib.decompress(data))
        made = cls(
            [CheckedEndpoint(**item) for item in told["endpoints"]], [AnswerCheck(**item) for item in told["checks"]]
        )
        for head, body, status, content, endpoint, check in told["entries"]:
            answer = Expected(status, base64.b64decode(content), endpoint, check)
            made.answers.setdefault(head, {})[base64.b64decode(body)] = answer
        return made


def _packed(content: bytes) -> str:
    return base64.b64encode(content).decode()


def head_digest(head: bytes, bearer: bytes) -> str:
    """Return the digest of a head without `bearer`, the token that `lt` adds and renews."""
    return sha256(head.replace(bearer, b"") if bearer else head).hexdigest()


class AnswerWatch(Protocol):
    """The interface for checking every successful answer of this process's users."""

    def look(self, head: bytes, body: bytes, status: int, content: bytes | None, source: Any) -> Exception | None:
        """Return why the answer is wrong; None if it is not wrong.

        Args:
            head: method, URL and headers, in the client's own form.
            body: the body of the request.
            status: the status of the answer.
            content: the decoded body of the answer.
            source: the client's response, or the event of Locust's own client.
        """
        ...


@dataclass(slots=True)
class WrongAnswer:
    """One differing answer. All texts that it keeps have a limited length and contain no secrets."""

    method: str
    name: str
    at_s: float
    differs: str
    request: str
    expected: str
    got: str


class AnswerChecker:
    """Compare each answer for whose request there is a reference answer.

    The comparison takes 0.3 µs if nothing differs.

    Attributes:
        checked: number of answers compared so far, by endpoint of the reference.
        examples: the first differing answers.
    """

    def __init__(self, reference: Reference, environment: object) -> None:
        self.checked = [0] * len(reference.endpoints)
        self.examples: list[WrongAnswer] = []
        self._environment = environment
        self._reference = reference
        self._bodies: dict[bytes, dict[bytes, Expected]] = {}

    def look(self, head: bytes, body: bytes, status: int, content: bytes | None, source: Any) -> Exception | None:
        """Return why the answer is wrong; None if the answer is as expected or there is no reference answer."""
        del source
        try:
            expected = self._bodies[head].get(body)
        except KeyError:
            expected = self._of_head(head).get(body)
        if expected is None:
            return None
        self.checked[expected.endpoint] += 1
        if content == expected.content and status == expected.status:
            return None
        return self._judge(expected, body, status, content or b"")

    def _of_head(self, head: bytes) -> dict[bytes, Expected]:
        if len(self._bodies) >= MAX_HEADS:
            self._bodies.clear()
        found = self._bodies[head] = self._reference.answers.get(head_digest(head, bearer_of(self._environment)), {})
        return found

    def _judge(self, expected: Expected, body: bytes, status: int, content: bytes) -> Exception | None:
        if status != expected.status:
            fields, told = ["the status"], f"status: {status} instead of {expected.status}"
        else:
            found = differences(expected.content, content, self._reference.checks[expected.check])
            if not found:
                return None
            fields = [each.field for each in found]
            told = "; ".join(
                f"{_masked(each.field, each.got)} instead of {_masked(each.field, each.expected, lead=False)}"
                for each in found
            )
        if len(self.examples) < MAX_EXAMPLES:
            endpoint = self._reference.endpoints[expected.endpoint]
            bodies = (shown(each) for each in (body, expected.content, content))
            self.examples.append(WrongAnswer(endpoint.method, endpoint.name, time.time(), told, *bodies))
        return WrongAnswerError(f"answered differently under load: {', '.join(fields)}")


def _masked(field: str, value: str, *, lead: bool = True) -> str:
    """Return a field's value; if the field's name says that it is a secret, leave out the value."""
    text = redact(f"{field}: {value}")
    return text if lead else text.removeprefix(f"{field}: ")


def shown(content: bytes) -> str:
    """Return a body in the form in which it may be kept: text of limited length, without secrets."""
    text = redact(content[: 4 * MAX_EXAMPLE_CHARS].decode("utf-8", "replace"))
    text = "".join(char if char.isprintable() or char == " " else " " for char in text)
    return text if len(text) <= MAX_EXAMPLE_CHARS else text[: MAX_EXAMPLE_CHARS - 1] + "…"


_ATTRIBUTE = "lt_answers"

BEARER_ATTRIBUTE = "lt_bearer"
"""The name of an attribute of Locust's environment. The attribute contains the value of the Authorization header that
`lt` adds, as bytes."""


def attach(environment: object, watch: AnswerWatch | None) -> None:
    """Set the `watch` for the answers of users created from now on; None means that answers are not checked."""
    setattr(environment, _ATTRIBUTE, watch)


def answers_of(environment: object) -> AnswerWatch | None:
    """Return the watch for answers; None if they are not checked."""
    watch: AnswerWatch | None = getattr(environment, _ATTRIBUTE, None)
    return watch


def bearer_of(environment: object) -> bytes:
    """Return the value of the Authorization header that this program itself adds; b"" if it adds none."""
    bearer: bytes = getattr(environment, BEARER_ATTRIBUTE, b"")
    return bearer
