"""Split the users of a run against two targets into pairs of twins, which send the same requests in random order.

The host of a run against two targets consists of both URLs with a space between them. Locust sends the text of the host
to every worker. The users of a class form pairs of twins. Each user keeps its side until it ends, so its login, its
data in `self` and the ids that it got from the service belong to one target. Twins have the same seeds (for tasks and
payloads). If twins have a schedule, they share its points: for every block of two points, a random draw decides which
twin takes which point.
"""

from __future__ import annotations

import functools
import heapq
import os
import random
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import gevent
from gevent.pool import Group

if TYPE_CHECKING:  # importing locust patches the whole process
    from locust.env import Environment

SEPARATOR = " "
"""The separator between the two URLs of a run's host. No URL contains a space."""

MAX_AHEAD = 10_000
"""The maximum number of payloads by which one twin may be ahead of the other, which may have ended. Older payloads are
dropped."""

_ENVIRONMENT_ATTRIBUTE, _TWIN = "lt_sides", "lt_twin"

Value = TypeVar("Value")


def joined(first: str, second: str) -> str:
    """Return the host of a run against two targets."""
    return f"{first}{SEPARATOR}{second}"


@dataclass(slots=True)
class Pair:
    """The state that two twins share.

    Attributes:
        key: the seed of everything that both twins draw.
        begun_s: when the first of the twins began its schedule (`time.perf_counter()`).
        common: values that both twins use, by name.
        tapes: for each source of payloads, the values that only one of the twins has drawn so far: (side that drew
            them, values).
    """

    key: str
    begun_s: float | None = None
    common: dict[object, Any] = field(default_factory=dict)
    tapes: dict[object, tuple[int, deque[Any]]] = field(default_factory=dict)

    def draw(self, source: object, side: int, new: Callable[[], Value]) -> Value:
        """Return a side's next value from a source. The n-th value of one twin is also the n-th value of the other."""
        ahead, values = self.tapes.get(source, (side, deque()))
        if ahead != side and values:
            found: Value = values.popleft()
            return found
        value = new()
        # the other twin may have drawn a value while `new` waited
        ahead, values = self.tapes.get(source, (side, deque()))
        if ahead != side and not values:
            ahead = side
        if ahead == side:
            values.append(value)
            if len(values) > MAX_AHEAD:
                values.popleft()
            self.tapes[source] = side, values
        return value


@dataclass(slots=True)
class Twin:
    """A user's place in a run against two targets.

    Attributes:
        side: index into SIDES.
        number: the number of the user's place among the users of the same class in this process.
        pair: the state that the user shares with its twin.
        block: the number from which `seed` derives the random values: how many tasks the user has begun, or in an open
            loop the number of the block of two arrivals.
        choosing: whether the next task is being chosen; nested choices then continue with the same random state.
    """

    side: int
    number: int
    pair: Pair
    block: int = 0
    choosing: bool = False

    def seed(self, block: int) -> None:
        """Set `random` and NumPy's global generator to the twin's seed for this block.

        The seed applies until the next wait.
        """
        number = zlib.crc32(f"{self.pair.key}/{block}".encode())
        random.seed(number)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(number)

    def is_first(self, block: int) -> bool:
        """Whether this side takes the first of the two points of a block. Exactly one of two twins does."""
        return (zlib.crc32(f"{self.pair.key}/order/{block}".encode()) & 1) == self.side - 1


class Sides:
    """Assign this process's users to the two sides. The class only does bookkeeping.

    Within a class, users are paired in the order in which Locust creates them. Of every two users, one is on each side,
    and a random draw decides which side comes first. The places of users that end are reused, lowest first. Workers
    with odd numbers use the opposite order of workers with even numbers, so that users without a twin are on both sides
    equally often.

    Args:
        hosts: the hosts of both sides.
        worker: the index of this worker.
        seed: the seed of the order and of the twins' draws.
    """

    def __init__(self, hosts: tuple[str, str], *, worker: int, seed: str) -> None:
        self.hosts = hosts
        self._worker = worker
        self._seed = seed
        self._free: dict[str, list[int]] = {}
        self._used: dict[str, int] = {}
        self._pairs: dict[tuple[str, int], Pair] = {}

    def join(self, user_class: str) -> Twin:
        """Return the place of a new user."""
        free = self._free.setdefault(user_class, [])
        if free:
            number = heapq.heappop(free)
        else:
            number = self._used.get(user_class, 0)
            self._used[user_class] = number + 1
        at, member = divmod(number, 2)
        pair = self._pairs.setdefault((user_class, at), Pair(f"{self._seed}/{self._worker}/{user_class}/{at}"))
        drawn = zlib.crc32(f"{self._seed}/{user_class}/{at}/side".encode()) + self._worker + member
        return Twin(side=1 + drawn % 2, number=number, pair=pair)

    def leave(self, user_class: str, twin: Twin) -> None:
        """Free a place."""
        heapq.heappush(self._free.setdefault(user_class, []), twin.number)


def sides_of(environment: Environment) -> Sides | None:
    """Return the assignment of this process's users; None in a run with one target."""
    found: Sides | None = getattr(environment, _ENVIRONMENT_ATTRIBUTE, None)
    host = environment.host or ""
    if found is None and SEPARATOR in host:
        first, _, second = host.partition(SEPARATOR)
        worker = max(0, getattr(environment.runner, "worker_index", 0))
        found = Sides((first, second), worker=worker, seed=os.environ.get("LT_SEED", "1"))
        setattr(environment, _ENVIRONMENT_ATTRIBUTE, found)
        _seed_choices()
        running = getattr(environment.runner, "user_greenlets", None)
        if type(running) is Group:
            running.__class__ = NewestFirst
    return found


def twin_of(user: Any) -> Twin | None:
    """Return the user's place in a run against two targets; None in a run with one target."""
    twin: Twin | None = getattr(user, _TWIN, None)
    return twin


def side_of(user: Any) -> int:
    """Return which of two targets a user calls, as an index into SIDES; 0 in a run with one target."""
    twin = twin_of(user)
    return 0 if twin is None else twin.side


def current_twin() -> Twin | None:
    """Return the place of the user whose code is running now, in its own greenlet or in a greenlet that it spawned."""
    known = getattr(gevent.getcurrent(), "spawn_tree_locals", None)
    twin: Twin | None = known.get(_TWIN) if known else None
    return twin


def current_side() -> int:
    """Return the side of the user whose code is running now; 0 in a run with one target, or outside of users."""
    twin = current_twin()
    return 0 if twin is None else twin.side


def shared_by_twins(user: Any, name: object, new: Callable[[], Value]) -> Value:
    """Return a value that a user and its twin share. The twin that needs the value first creates it.

    If there is no twin, return a new value.
    """
    twin = twin_of(user)
    if twin is None:
        return new()
    if name not in twin.pair.common:
        twin.pair.common[name] = new()
    found: Value = twin.pair.common[name]
    return found


def twin_arrivals(twin: Twin, times: Iterator[tuple[float, float]], now_s: float) -> Iterator[tuple[int, float]]:
    """Yield a twin's arrivals from now on, as (block, time). Each twin gets one of the two times of a block.

    Args:
        twin: the twin whose arrivals are returned.
        times: the two times of every block, in s since the pair began; both twins pass the same times.
        now_s: the current `time.perf_counter()`. If the other twin has not begun the schedule of the pair, it begins
            now.
    """
    pair = twin.pair
    if pair.begun_s is None:
        pair.begun_s = now_s
    for block, (first_s, second_s) in enumerate(times):
        due_s = pair.begun_s + (first_s if twin.is_first(block) else second_s)
        if due_s >= now_s:
            yield block, due_s


def even_times(interval_s: float, phases: tuple[float, float]) -> Iterator[tuple[float, float]]:
    """Yield the two times of every block, from two grids with these phases (0…1) and a point every `interval_s`."""
    first, second = sorted(phases)
    block = 0
    while True:
        yield (block + first) * interval_s, (block + second) * interval_s
        block += 1


def poisson_times(interval_s: float, key: str) -> Iterator[tuple[float, float]]:
    """Yield the two times of every block, from a Poisson process with a mean of two arrivals in `interval_s`."""
    draw, at_s = random.Random(f"{key}/arrivals"), 0.0
    while True:
        first_s = at_s + draw.expovariate(2 / interval_s)
        at_s = first_s + draw.expovariate(2 / interval_s)
        yield first_s, at_s


class NewestFirst(Group):
    """Locust's running users, the newest first.

    Locust stops users from the front of this list, so they end in pairs.
    """

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(self.greenlets, key=_number, reverse=True))


def _number(greenlet: Any) -> int:
    twin = twin_of(greenlet.args[0]) if greenlet.args else None
    return -1 if twin is None else twin.number


_splitting = False


def split_users() -> None:
    """Assign sides to the users of this process in a run with two targets.

    Call this once, before any user is created.
    """
    global _splitting  # noqa: PLW0603 - Locust's classes belong to the whole process
    if _splitting:
        return
    _splitting = True
    from locust import User

    begin, run = User.__init__, User.run

    @functools.wraps(begin)
    def initialise(user: Any, environment: Environment) -> None:
        begin(user, environment)
        sides = sides_of(environment)
        if sides is not None:
            twin = sides.join(type(user).__qualname__)
            user.lt_twin = twin
            user.host = sides.hosts[twin.side - 1]

    @functools.wraps(run)
    def run_on_side(user: Any) -> None:
        twin = twin_of(user)
        if twin is None:
            run(user)
            return
        greenlet: Any = gevent.getcurrent()
        greenlet.spawn_tree_locals = {**(greenlet.spawn_tree_locals or {}), _TWIN: twin}
        try:
            run(user)
        finally:
            sides = sides_of(user.environment)
            if sides is not None:
                sides.leave(type(user).__qualname__, twin)

    setattr(User, "__init__", initialise)  # noqa: B010 - mypy: a method is assigned
    setattr(User, "run", run_on_side)  # noqa: B010 - a method is assigned; it is final, so no scenario overrides it


def _seed_choices() -> None:
    """Make twins choose the same task, and draw the same random values until the first wait."""
    from locust import TaskSet

    waiting: list[Any] = [TaskSet]
    while waiting:
        tasks = waiting.pop()
        waiting += tasks.__subclasses__()
        if "get_next_task" in vars(tasks):
            tasks.get_next_task = _seeded(tasks.get_next_task)


def _seeded(choose: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(choose)
    def get_next_task(tasks: Any) -> Any:
        twin = twin_of(tasks.user)
        if twin is None or twin.choosing:
            return choose(tasks)
        if not getattr(tasks.user, "open_loop", False):
            twin.block += 1
        twin.choosing = True
        try:
            twin.seed(twin.block)
            return choose(tasks)
        finally:
            twin.choosing = False

    return get_next_task
