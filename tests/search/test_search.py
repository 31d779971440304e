"""The small searches, and that searches notice: broken rules, wrong histories, states that are one or not."""

import os

import pytest
from tests.replication.mutations.known import known
from tests.search.__main__ import line
from tests.search.bounds import Bounds
from tests.search.broken import noticed
from tests.search.explore import Search, beginning, digest, told
from tests.search.promises import Promises
from tests.search.searches import SMALL
from tests.search.snapshot import load_all, save
from tests.sim.checkers.violation import Violation

X, Y = (0, 0), (1, 0)


@pytest.mark.parametrize("name", SMALL)
def test_no_promise_is_broken_in_any_state(name: str) -> None:
    found = Search(SMALL[name]).run()
    print(line(name, found))
    assert found.violation is None, "\n".join([*told(SMALL[name], found.trace, True), found.violation])
    assert found.whole
    assert found.settled > 100


# The breakage of a rule, and which search must notice it, by which promise.
NOTICED = [("PERMITLATE", 0, "link", "P5"), ("CAS", 1, "switchover", "P2")]
if os.environ.get("BILOCATE_LONG") == "1":
    NOTICED += [("ORDER", 2, "order-copying", "P3")]  # half a minute


@pytest.mark.parametrize(("rule", "number", "name", "promise"), NOTICED)
def test_a_broken_rule_is_noticed(rule: str, number: int, name: str, promise: str) -> None:
    mutation = [each for each in known() if each.rule == rule][number]
    assert str(noticed(mutation, [name])).startswith(f"{name}: {promise}:")


def test_a_state_is_the_same_whichever_of_two_independent_events_came_first() -> None:
    one, other = beginning(Bounds(writes=2, cuts=1)), beginning(Bounds(writes=2, cuts=1))
    for world, events in (one, [("write", "A"), ("cut", "B")]), (other, [("cut", "B"), ("write", "A")]):
        for event in events:
            world.apply(event)
    assert digest(one) == digest(other)
    other.apply(("commit", "A"))
    assert digest(one) != digest(other)


def test_what_is_called_one_state_goes_on_as_one() -> None:
    found = Search(Bounds(writes=1, cuts=1, quick=True), doubt=True).run()
    assert found.violation is None
    assert found.whole


def test_a_loaded_state_goes_on_as_the_one_that_was_saved() -> None:
    world = beginning(Bounds(writes=2, cuts=1))
    ways = []
    saved = save(world)
    for _ in range(2):
        load_all(world, saved)
        way = [digest(world)]
        for event in [
            ("write", "A"),
            ("cut", "A"),
            ("commit", "A"),
            ("time", "A"),
            ("ask", 0),
            ("write", "A"),
        ]:
            world.apply(event)
            way.append(digest(world))
        ways.append(way)
    assert ways[0] == ways[1]
    assert len(set(ways[0])) == len(ways[0])


def a_history(writes: int, durable: bool = False) -> Promises:
    """At site A, answered one after the other, to X and Y in turn."""
    promises = Promises("A", [X, Y])
    for number in range(writes):
        promises.issued((X, Y)[number % 2], "A", durable)
        promises.answered(number + 1, 0)
    return promises


def test_the_promises_notice_an_answered_write_that_is_missing() -> None:
    promises = a_history(1)
    promises.moved("B", lossy=False)
    with pytest.raises(Violation, match="P1"):
        promises.served("B", [[0], [0]], refused=False)


def test_the_promises_notice_a_read_that_changes_back() -> None:
    promises = a_history(0)
    promises.issued(X, "A", False)
    promises.observed("A", X, 1)
    with pytest.raises(Violation, match="P4"):
        promises.observed("A", X, 0)


def test_the_promises_notice_a_write_answered_where_production_is_no_more() -> None:
    promises = a_history(0)
    promises.moved("B", lossy=False)
    promises.issued(X, "A", False)
    with pytest.raises(Violation, match="P2"):
        promises.answered(1, 0)


def test_the_promises_notice_a_later_write_without_the_earlier_one() -> None:
    promises = a_history(2)
    promises.moved("B", lossy=True)
    with pytest.raises(Violation, match="P3"):
        promises.served("B", [[0], [2]], refused=False)


def test_the_promises_let_a_lossy_failover_lose_the_latest_writes() -> None:
    promises = a_history(2)
    promises.moved("B", lossy=True)
    promises.served("B", [[1], [0]], refused=False)
    promises.observed("B", Y, 0)
    with pytest.raises(Violation, match="P4"):
        promises.observed("B", Y, 2)


def test_the_promises_notice_a_flushed_write_that_a_power_cut_took() -> None:
    promises = a_history(1, durable=True)
    with pytest.raises(Violation, match="P1"):
        promises.served("A", [[0], [0]], refused=True)


def test_the_promises_let_unflushed_writes_go_where_hosts_were_told_of_a_crash() -> None:
    promises = a_history(1)
    promises.served("A", [[0], [0]], refused=True)
    promises.observed("A", X, 0)
