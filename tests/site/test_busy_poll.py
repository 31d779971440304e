"""Waiting for the next request without sleeping: when it is worth it, and that it ends."""

import asyncio
import os
import time
from collections.abc import Callable

import pytest
import uvloop

from bilocate.site import busy_poll
from bilocate.site.busy_poll import AWAY_SECONDS_MAX, REST_SECONDS, SMALL_BYTES_MAX, BusyPoll, Expectation

SECONDS = 0.0002
SOON, LATE = SECONDS / 2, SECONDS * 2
PAGE = 4096


class Arrivals:
    """One thing after the other comes, each so long after the one before."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.expectation = Expectation(seconds)
        self.now = 1000.0

    def wait_awake(self, after: float = SOON, count: int = 1, length: int = PAGE) -> float:
        """For how long the next one is awaited awake."""
        self.now += after
        return self.expectation.came(count, length, self.now) - self.now

    def lone(self, times: int) -> None:
        for _ in range(times):
            self.wait_awake()


def test_the_first_request_is_no_reason_to_stay_awake() -> None:
    assert Arrivals().wait_awake() == 0


def test_who_asks_one_by_one_is_awaited_awake() -> None:
    arrivals = Arrivals()
    arrivals.lone(1)
    assert arrivals.wait_awake() == pytest.approx(SECONDS)
    assert arrivals.wait_awake(length=SMALL_BYTES_MAX) == pytest.approx(SECONDS)


@pytest.mark.parametrize(
    ("after", "count", "length"),
    [
        pytest.param(LATE, 1, PAGE, id="late"),
        pytest.param(SOON, 2, PAGE, id="several at once"),
        pytest.param(SOON, 1, SMALL_BYTES_MAX + 1, id="large"),
    ],
)
def test_nobody_is_awaited_awake_where_it_was_not_worth_it(after: float, count: int, length: int) -> None:
    arrivals = Arrivals()
    arrivals.lone(100)
    waits = [arrivals.wait_awake(after, count, length) for _ in range(4)]
    assert waits[0] == pytest.approx(SECONDS), "a single exception is forgiven"
    assert waits[-1] == 0, "what came long ago still counts"


def test_a_host_that_pauses_after_every_write_costs_nothing() -> None:
    arrivals = Arrivals()
    arrivals.lone(100)
    for _ in range(8):
        arrivals.wait_awake(LATE)
        arrivals.wait_awake()  # the confirmation of its write
    assert arrivals.wait_awake(LATE) == 0


def test_polling_rests_where_cpus_are_short() -> None:
    arrivals = Arrivals()
    arrivals.lone(10)
    assert arrivals.expectation.gave_way(AWAY_SECONDS_MAX, arrivals.now)
    assert not arrivals.expectation.gave_way(2 * AWAY_SECONDS_MAX, arrivals.now)
    ends = arrivals.now + REST_SECONDS
    while arrivals.now < ends - 2 * SOON:
        assert arrivals.wait_awake() == 0
    arrivals.lone(3)
    assert arrivals.wait_awake() > 0, "it rests for ever"


def test_it_can_be_switched_off() -> None:
    arrivals = Arrivals(0.0)
    assert [arrivals.wait_awake() for _ in range(10)] == [0] * 10


class Looks:
    """How often the CPU was given up, in place of giving it up."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0  # how long each takes

    def __call__(self) -> None:
        self.count += 1
        time.sleep(self.seconds)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    counted = Looks()
    monkeypatch.setattr(os, "sched_yield", counted)
    return counted


def _looks_within(
    seconds: float, poll_seconds: float, looks: Looks, after: Callable[[BusyPoll], None]
) -> tuple[int, BusyPoll]:
    async def run() -> tuple[int, BusyPoll]:
        poll = BusyPoll(poll_seconds)
        after(poll)
        await asyncio.sleep(seconds)
        first, awake = looks.count, poll.awake_seconds()
        await asyncio.sleep(seconds)
        assert looks.count == first, "the loop never sleeps again"
        assert poll.awake_seconds() == awake, "asleep, and counted as awake"
        return first, poll

    return uvloop.run(run())


def _two_requests(poll: BusyPoll) -> None:
    poll.came(1, PAGE)
    poll.came(1, PAGE)


def test_a_loop_stays_awake_for_so_long_and_sleeps_again(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy_poll, "AWAY_SECONDS_MAX", 60)  # however busy the machine is
    count, poll = _looks_within(0.4, 0.2, looks, _two_requests)
    assert count > 1
    assert poll.awake_seconds() >= 0.2
    assert poll.rests == 0


def test_a_loop_that_does_not_get_the_cpu_back_sleeps_at_once(looks: Looks) -> None:
    looks.seconds = 2 * AWAY_SECONDS_MAX
    count, poll = _looks_within(0.2, 0.1, looks, _two_requests)
    assert (count, poll.rests) == (1, 1)
    assert poll.awake_seconds() >= looks.seconds


def test_a_loop_sleeps_where_polling_is_off(looks: Looks) -> None:
    count, poll = _looks_within(0.05, 0.0, looks, _two_requests)
    assert (count, poll.awake_seconds(), poll.rests) == (0, 0, 0)


def test_what_it_costs_is_told_while_it_lasts(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy_poll, "AWAY_SECONDS_MAX", 60)

    async def run() -> float:
        poll = BusyPoll(60.0)
        _two_requests(poll)
        await asyncio.sleep(0.1)
        return poll.awake_seconds()

    assert 0.05 <= uvloop.run(run()) < 60
