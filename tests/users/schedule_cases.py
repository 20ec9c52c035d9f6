"""Open-loop arrivals: due times, lateness, and arrivals dropped because too many requests were in flight."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

import gevent
import pytest
from gevent.event import Event
from locust import task
from locust.env import Environment

from loadtest.recording.buffer import RowBuffer, attach
from loadtest.users.open_loop import DUE, OpenLoopUser, take_lateness_us


@pytest.fixture
def environment() -> Iterator[Environment]:
    made = Environment(user_classes=[])
    made.create_local_runner()
    attach(made, RowBuffer("worker"))
    yield made
    made.runner.quit()


class Even(OpenLoopUser):
    arrivals_per_s = 2.0

    @task
    def arrive(self) -> None: ...


class Poisson(Even):
    poisson = True


def gaps_of(user: OpenLoopUser, count: int) -> list[float]:
    """Return the times between a user's arrivals, from the schedule itself."""
    user._due_s = time.perf_counter()
    dues = [user._due_s]
    for _ in range(count):
        user.wait_time()
        dues.append(user._due_s)
    return [after - before for before, after in pairwise(dues)]


def test_even_arrivals_are_one_gap_apart_however_late_the_user_is(environment: Environment) -> None:
    """2 arrivals/s are due 0.5 s apart. The schedule continues from the due time, not from the current time."""
    assert gaps_of(Even(environment), 50) == pytest.approx([0.5] * 50)


def test_even_users_together_form_an_evenly_spread_grid(environment: Environment) -> None:
    """For any n, the largest gap between the phases of n users is at most 2.7 times the mean gap."""
    users = [Even(environment) for _ in range(40)]
    for count in (2, 3, 5, 10, 40):
        phases = sorted(user._phase for user in users[:count])
        gaps = [after - before for before, after in zip(phases, [*phases[1:], phases[0] + 1], strict=True)]
        assert max(gaps) < 2.7 / count


def test_poisson_gaps_have_the_mean_and_variance_of_exponential_ones(environment: Environment) -> None:
    """For a rate λ = 2/s, the mean is 1/λ = 0.5 s and the variance 1/λ² = 0.25; 20,000 seeded gaps are within 5 % of
    both.
    """
    gaps = gaps_of(Poisson(environment), 20_000)
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.5, rel=0.05)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(0.25, rel=0.05)


def test_users_draw_streams_of_their_own_and_the_same_ones_each_time() -> None:
    """Two users with the same seed have different times.

    The same user in another run with that seed has the same times.
    """
    runs = []
    for _ in range(2):
        made = Environment(user_classes=[])
        runs.append([gaps_of(Poisson(made), 5) for _ in range(2)])
    assert runs[0][0] == pytest.approx(runs[1][0])
    assert runs[0][0] != pytest.approx(runs[0][1])


def test_an_arrival_that_is_overdue_waits_for_nothing(environment: Environment) -> None:
    """A user that is 10 s late makes up for it, one arrival after the other."""
    user = Even(environment)
    user._due_s = time.perf_counter() - 10
    assert [user.wait_time() for _ in range(19)] == [0.0] * 19


def test_arrivals_dropped_by_the_bound_are_counted(environment: Environment) -> None:
    """Two requests may be in flight. Of five arrivals without answers, three are dropped, and no arrival waits."""
    answer = Event()

    class Bounded(OpenLoopUser):
        max_in_flight = 2

        @task
        def arrive(self) -> None:
            answer.wait()

    user = Bounded(environment)
    user._due_s = time.perf_counter()
    for _ in range(5):
        user.tasks[0](user)
    buffer = environment.lt_row_buffer
    assert (len(user._arrivals), buffer.refused) == (2, 3)
    answer.set()
    user._arrivals.join()
    user.tasks[0](user)
    assert buffer.refused == 3
    user._arrivals.join()


def test_lateness_is_taken_once_per_arrival_and_never_below_zero() -> None:
    """The first request of an arrival has a scheduled time.

    The second request, and requests outside an arrival, have none.
    """
    taken: list[int] = []

    def arrival() -> None:
        taken.extend(take_lateness_us(sent_s) for sent_s in (100.25, 100.5))

    late, early = gevent.Greenlet(arrival), gevent.Greenlet(arrival)
    setattr(late, DUE, 100.0)
    setattr(early, DUE, 100.3)
    for greenlet in (late, early):
        greenlet.start()
        greenlet.join()
    assert taken == [250_000, -1, 0, -1]
    assert take_lateness_us(100.0) == -1


def test_a_task_that_raises_ends_its_own_arrival_alone(environment: Environment) -> None:
    """The error is reported to Locust, and the user continues."""
    told: list[BaseException] = []
    environment.events.user_error.add_listener(lambda exception, **_: told.append(exception))

    class Broken(OpenLoopUser):
        @task
        def arrive(self) -> None:
            raise ZeroDivisionError

    user = Broken(environment)
    user._due_s = time.perf_counter()
    user.tasks[0](user)
    user._arrivals.join()
    assert isinstance(told[0], ZeroDivisionError)


def test_a_task_set_is_refused(environment: Environment) -> None:
    """The steps of a task set depend on answers, so they have no schedule."""
    from locust import SequentialTaskSet

    class Steps(OpenLoopUser):
        @task
        class InOrder(SequentialTaskSet):
            pass

    with pytest.raises(TypeError, match="an open-loop user's tasks must be functions"):
        Steps(environment)


def test_an_arrival_may_end_its_task_or_its_user_as_any_task_of_locust(environment: Environment) -> None:
    """RescheduleTask and interrupt() skip the rest of the task and are not errors. StopUser ends the user."""
    from locust.exception import InterruptTaskSet, RescheduleTask, StopUser

    errors: list[object] = []
    environment.events.user_error.add_listener(lambda exception, **_: errors.append(exception))
    raised: list[type[Exception]] = []

    class Leaving(OpenLoopUser):
        arrivals_per_s = 200.0

        @task
        def leave(self) -> None:
            raised.append([RescheduleTask, InterruptTaskSet, StopUser][min(len(raised), 2)])
            raise raised[-1]

    gevent.spawn(Leaving(environment).run).get(timeout=20)
    assert raised[:3] == [RescheduleTask, InterruptTaskSet, StopUser]
    assert errors == []
