"""Collect the answers to a scenario's requests, one at a time, before the load.

This module runs in a separate process.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..core.answers import AnswerCheck, differences
from ..recorder.load_error import format_load_error
from ..users.answers import CheckedEndpoint, Expected, Reference, attach, bearer_of, head_digest
from .alone import prepare, run_one
from .describe import RefusedError

MOST_PER_ENDPOINT = 1_000
"""Largest number of requests per endpoint that get a reference answer. The bundled scenarios choose from a pool of this
size."""

MOST_ENDPOINTS = 200

LEARN_S = 15.0
"""How long the scenario's requests are sent, one at a time. After that, each request is sent a second time."""

REPEAT_S = 30.0

APART_S = 1.1
"""Shortest time between the two answers to a request. The time is longer than a second, so that a field with a time in
seconds differs between the two answers."""

STALE = 500
"""If this many requests in a row contain no new request, the user is assumed to send no others."""

MAX_ITEM_BYTES, MAX_BYTES = 256 * 1024, 16 * 1024 * 1024
"""Limits of the size of a request with its answer, and of their total size."""

UNSTABLE_RATIO = 0.05
"""If more than this share of an endpoint's answers differ between the two times, none of its answers are compared."""


@dataclass(slots=True)
class Taken:
    """One request with its answer.

    Attributes:
        repeat: sends the request again, and returns status and body, or raises an error if there is no answer.
        at_s: when the answer arrived (`time.monotonic()`).
    """

    head: str
    body: bytes
    status: int
    content: bytes
    endpoint: int
    check: int
    repeat: Callable[[], tuple[int, bytes | None]]
    at_s: float


@dataclass(slots=True)
class Seen:
    """The results of an endpoint's requests when they were sent alone."""

    endpoint: CheckedEndpoint
    sent: int = 0
    twice: int = 0
    unequal: int = 0
    too_large: int = 0
    fields: Counter[str] = field(default_factory=Counter)


class Learner:
    """Keep the first answers to distinct requests.

    The class is the `AnswerWatch` of a process whose users run one after the other.
    """

    def __init__(self, environment: Any) -> None:
        self.taken: dict[tuple[str, bytes], Taken] = {}
        self.checks: list[AnswerCheck] = []
        self.seen: dict[tuple[str, str], Seen] = {}
        self.stale = 0
        self._environment = environment
        self._bytes = 0

    def begin(self, check: AnswerCheck) -> None:
        """Continue with another user class, whose answers are compared by `check`."""
        self.checks.append(check)
        self.stale = 0

    def has_enough(self) -> bool:
        """Whether the current user sends no new requests, or the limits are reached."""
        full = self.seen and all(each.sent >= MOST_PER_ENDPOINT for each in self.seen.values())
        return bool(full) or self.stale >= STALE or self._bytes >= MAX_BYTES

    def look(self, head: bytes, body: bytes, status: int, content: bytes | None, source: Any) -> None:
        """Keep an answer if its request is new."""
        method, name, repeat = _origin(source)
        key = head_digest(head, bearer_of(self._environment)), body
        seen = self._seen(method, name)
        self.stale += 1
        if key in self.taken or seen is None or seen.sent >= MOST_PER_ENDPOINT or not self.checks:
            return
        self.stale = 0
        seen.sent += 1
        size = len(body) + len(content or b"")
        if size > MAX_ITEM_BYTES or self._bytes + size > MAX_BYTES:
            seen.too_large += 1
            return
        self._bytes += size
        endpoint = list(self.seen).index((method, name))
        now_s = time.monotonic()
        self.taken[key] = Taken(*key, status, content or b"", endpoint, len(self.checks) - 1, repeat, now_s)

    def hear(self, **event: Any) -> None:
        """Keep an answer of one of Locust's own clients, which report their answers through the request event."""
        from ..recorder.stock_answers import stock_answer

        answer = stock_answer(event)
        users = [greenlet.args[0] for greenlet in self._environment.runner.user_greenlets if greenlet.args]
        if answer is not None and users:
            self.look(*answer, (event, users[0].client))

    def _seen(self, method: str, name: str) -> Seen | None:
        if (method, name) not in self.seen:
            if len(self.seen) >= MOST_ENDPOINTS:
                return None
            self.seen[method, name] = Seen(CheckedEndpoint(method, name))
        return self.seen[method, name]

    def confirmed(self) -> Reference:
        """Send every request again, one at a time, and return the answers that were the same both times."""
        give_up_s = time.monotonic() + REPEAT_S
        seen = list(self.seen.values())
        waiting = list(self.taken.values())
        random.Random(1).shuffle(waiting)  # in this order, all endpoints are affected equally if the time is not enough
        sound: list[Taken] = []
        for taken in waiting:
            if time.monotonic() > give_up_s:
                break
            time.sleep(max(0.0, taken.at_s + APART_S - time.monotonic()))
            if self._is_stable(taken, seen[taken.endpoint]):
                sound.append(taken)
        made = Reference([each.endpoint for each in seen], self.checks)
        for taken in sound:
            of = seen[taken.endpoint]
            if of.unequal <= UNSTABLE_RATIO * of.twice:
                answer = Expected(taken.status, taken.content, taken.endpoint, taken.check)
                made.answers.setdefault(taken.head, {})[taken.body] = answer
                of.endpoint.references += 1
        for each in seen:
            each.endpoint.left_out = left_out(each)
        return made

    def _is_stable(self, taken: Taken, seen: Seen) -> bool:
        try:
            status, content = taken.repeat()
        except Exception:  # the client may raise any exception; the request then counts as not repeated
            return False
        seen.twice += 1
        if status != taken.status:
            seen.fields["the status"] += 1
        else:
            found = differences(taken.content, content or b"", self.checks[taken.check])
            if not found:
                return True
            seen.fields.update(each.field for each in found)
        seen.unequal += 1
        return False


def left_out(seen: Seen) -> str:
    """Return why requests of an endpoint have no reference answer, as a sentence; "" if all requests have one."""
    if seen.unequal:
        fields = [name for name, _ in seen.fields.most_common(3)]
        all_of_it = seen.unequal > UNSTABLE_RATIO * seen.twice
        many = f"{seen.unequal} of {seen.twice} answers differ even without load, in {', '.join(fields)}"
        way_out = " ".join(f"--ignore-field {name.removesuffix('[]').rpartition('.')[2]}" for name in fields)
        plain = all(not name.startswith("the ") for name in fields)
        return f"{'not compared: ' if all_of_it else ''}{many}{f': ignore them with {way_out}' if plain else ''}"
    if seen.too_large:
        return f"{seen.too_large} of {seen.sent} requests are too large to keep with their answers"
    missing = seen.sent - seen.endpoint.references
    return f"{missing} of {seen.sent} requests were not answered twice in time" if missing else ""


def _origin(source: Any) -> tuple[str, str, Callable[[], tuple[int, bytes | None]]]:
    """Return method and name as in the rows, and a function that sends the request again."""
    from ..core.templates import path_template
    from ..recorder.stock_answers import repeater
    from ..users.response import Response

    if isinstance(source, Response):
        request, client = source.request, source.client
        return request.method, client.row_name(request), partial(client.repeat, request)
    event, client = source
    name = str(event["name"])
    plain = name == event.get("url") or str(event.get("url", "")).endswith(name)
    return str(event["request_type"]), path_template(name) if plain else name, repeater(event, client)


def learn(path: Path, request: dict[str, Any], *, host: str | None, check: AnswerCheck, forced: bool) -> Reference:
    """Run one user of each class alone for a short time, and return those answers that are the same both times.

    Args:
        path: the path of the locustfile.
        request: the fields of `loadtest.fleet.scenario.Request`.
        host: the target's base URL. If `host` is None, every user class keeps its own host.
        check: how answers are compared, in addition to the class's own settings.
        forced: whether classes without `check_answers` are compared too.

    Raises:
        RefusedError: the scenario cannot be run with these options, or nothing can be compared.
    """
    environment = prepare(path, request, host=host)
    learner = Learner(environment)
    attach(environment, learner)
    environment.events.request.add_listener(learner.hear)
    classes = [(user, own) for user in environment.user_classes if (own := check_of(user, check, forced=forced))]
    give_up_s = time.monotonic() + LEARN_S
    for left, (user_class, own) in zip(range(len(classes), 0, -1), classes, strict=True):
        share_s = max(1.0, (give_up_s - time.monotonic()) / left)
        learner.begin(own)
        run_one(environment, user_class, wait=lambda: 0.0, enough=learner.has_enough, most_s=share_s)
    attach(environment, None)
    made = learner.confirmed()
    environment.events.test_stop.fire(environment=environment)
    if not len(made):
        raise RefusedError(_nothing(learner, environment))
    return made


def check_of(user_class: Any, check: AnswerCheck, *, forced: bool) -> AnswerCheck | None:
    """Return how the answers of a class are compared; None if they are not compared."""
    own = getattr(user_class, "check_answers", None)
    if own is False or (own is None and not forced):
        return None
    if not isinstance(own, AnswerCheck):
        return check
    return AnswerCheck((*own.ignore, *check.ignore), max(own.tolerance, check.tolerance))


def _nothing(learner: Learner, environment: Any) -> str:
    """Return why no answer can be compared."""
    why = "; ".join(
        f"{each.endpoint.method} {each.endpoint.name}: {each.endpoint.left_out}"
        for each in learner.seen.values()
        if each.endpoint.left_out
    )
    if why:
        return f"--check-answers: no answer can be compared. {why}."
    errors = [str(error.to_name()) for error in environment.stats.errors.values()][:1]
    failed = f": {environment.stats.total.num_failures} failed, such as {errors[0]}" if errors else ""
    return f"--check-answers: none of the scenario's requests got an answer when they were sent one at a time{failed}."


def main(arguments: list[str]) -> None:
    """Write the reference answers to a file, or the reason why there are none to stderr.

    Args:
        arguments: `-f FILE OUT ASKED`, where ASKED is JSON: request, host, ignore, tolerance, forced.
    """
    path, out, asked = Path(arguments[1]), Path(arguments[2]), json.loads(arguments[3])
    check = AnswerCheck(tuple(asked["ignore"]), asked["tolerance"])
    try:
        made = learn(path, asked["request"], host=asked["host"], check=check, forced=asked["forced"])
    except RefusedError as error:
        print(error, file=sys.stderr)
        sys.exit(4)
    except Exception as error:  # the locustfile may raise any exception
        print(format_load_error(error, path), file=sys.stderr)
        sys.exit(4)
    out.write_bytes(made.encode())
