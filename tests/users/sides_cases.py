"""Users of a run against two targets have sides, and twins send the same requests in random order."""

from __future__ import annotations

import random
from itertools import islice
from types import SimpleNamespace

import gevent

from loadtest.users.sides import NewestFirst, Pair, Sides, even_times, poisson_times, twin_arrivals

HOSTS = ("http://a", "http://b")


def sides(worker: int = 0, seed: str = "1") -> Sides:
    return Sides(HOSTS, worker=worker, seed=seed)


def test_of_every_two_users_of_a_class_one_is_on_each_side() -> None:
    place = sides()
    for name in ("Reader", "Writer"):
        twins = [place.join(name) for _ in range(20)]
        for first, second in zip(twins[::2], twins[1::2], strict=True):
            assert {first.side, second.side} == {1, 2}
            assert first.pair is second.pair


def test_which_side_comes_first_is_left_to_chance_and_unpaired_users_of_two_workers_cancel_out() -> None:
    """Over 40 pairs both orders occur. The first users of workers 0 and 1 are on opposite sides."""
    here, there = sides(0), sides(1)
    firsts = []
    for _ in range(40):
        mine, other = here.join("Reader"), there.join("Reader")
        assert mine.side != other.side
        firsts.append(mine.side)
        here.join("Reader"), there.join("Reader")
    assert 8 <= firsts.count(1) <= 32  # heads in 40 coin tosses; 1 in 10,000 seeds is outside


def test_places_that_users_leave_are_taken_again_lowest_first() -> None:
    place = sides()
    twins = [place.join("Reader") for _ in range(6)]
    for gone in (twins[4], twins[1]):
        place.leave("Reader", gone)
    again = [place.join("Reader") for _ in range(2)]
    assert [(user.number, user.side) for user in again] == [(1, twins[1].side), (4, twins[4].side)]
    assert again[0].pair is twins[0].pair


def test_the_nth_draw_of_a_twin_is_that_of_the_other_whoever_comes_first() -> None:
    pair, source, numbers = Pair("key"), object(), iter(range(100))
    drawn: dict[int, list[int]] = {1: [], 2: []}
    for side in (1, 1, 2, 1, 2, 2, 2, 2, 1, 1):
        drawn[side].append(pair.draw(source, side, lambda: next(numbers)))
    assert drawn == {1: [0, 1, 2, 3, 4], 2: [0, 1, 2, 3, 4]}
    assert next(numbers) == 5, "each value is taken from the source once"


def test_a_twin_whose_other_has_ended_draws_on_without_growing() -> None:
    pair, source, numbers = Pair("key"), object(), iter(range(20_000))
    assert [pair.draw(source, 1, lambda: next(numbers)) for _ in range(15_000)] == list(range(15_000))
    assert len(pair.tapes[source][1]) == 10_000


def test_twins_take_the_two_moments_of_each_block_in_turns_left_to_chance() -> None:
    place = sides()
    twins = [place.join("Reader") for _ in range(2)]
    for kind in ("even", "poisson"):
        pair = twins[0].pair
        pair.begun_s = None
        times = [list(islice(_times(kind, pair.key), 400)) for _ in twins]
        got = [
            list(islice(twin_arrivals(twin, iter(each), 100.0), 400)) for twin, each in zip(twins, times, strict=True)
        ]
        firsts = 0
        for (block, mine_s), (other_block, other_s), moments in zip(*got, times[0], strict=True):
            assert block == other_block
            assert (
                sorted((mine_s - 100.0, other_s - 100.0)) == [round(at, 12) for at in moments]
                or abs(sum(moments) - (mine_s + other_s - 200.0)) < 1e-6
            )
            firsts += mine_s < other_s
        assert 150 <= firsts <= 250


def _times(kind: str, key: str):  # type: ignore[no-untyped-def] # an iterator of pairs
    return even_times(1.0, (0.2, 0.7)) if kind == "even" else poisson_times(1.0, key)


def test_a_twin_that_comes_later_takes_the_blocks_from_then_on() -> None:
    place = sides()
    first, second = place.join("Reader"), place.join("Reader")
    early = list(islice(twin_arrivals(first, even_times(1.0, (0.0, 0.5)), 10.0), 8))
    late = list(islice(twin_arrivals(second, even_times(1.0, (0.0, 0.5)), 13.2), 4))
    assert early[0][0] == 0
    assert late[0][0] in (3, 4)
    for block, due_s in late:
        other_s = dict(early)[block]
        assert {due_s - 10 - block, other_s - 10 - block} == {0.0, 0.5}


def test_a_poisson_pair_comes_at_twice_the_rate_of_one_user() -> None:
    moments = [at for both in islice(poisson_times(2.0, "key"), 2_000) for at in both]
    assert moments == sorted(moments)
    assert abs(moments[-1] - 4_000) < 4 * 63  # 4,000 arrivals at 1/s: ± 63 s


def test_twins_draw_the_same_in_a_block_and_something_else_in_the_next() -> None:
    place = sides()
    drawn = []
    for twin in (place.join("Reader"), place.join("Reader")):
        of_twin = []
        for block in range(3):
            twin.seed(block)
            of_twin.append((random.random(), random.choice("abcdef")))
        drawn.append(of_twin)
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3


def test_users_that_are_stopped_are_stopped_in_pairs() -> None:
    """Of ten users, Locust stops the first four that it finds: two of each side, in any order of its set."""
    place, running = sides(), NewestFirst()
    twins = [place.join("Reader") for _ in range(10)]
    for twin in twins:
        running.spawn(lambda user: gevent.sleep(60), SimpleNamespace(lt_twin=twin))
    stopped = [greenlet.args[0].lt_twin for greenlet in islice(running, 4)]
    assert sorted(twin.number for twin in stopped) == [6, 7, 8, 9]
    assert sorted(twin.side for twin in stopped) == [1, 1, 2, 2]
    running.kill()
