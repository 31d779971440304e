"""The checkers are shown histories that break a promise, and notice."""

import random

import pytest
from tests.torture.checks import (
    Broken,
    check_one_writer,
    check_possible,
    check_protection_told,
    switches,
)
from tests.torture.evidence import Apart, Served, Told


def writes(site: str, *times: tuple[float, float]) -> list[Served]:
    return [Served(sent, answered, site) for sent, answered in times]


def told(at: float, status: str = "available", replication: str = "active", station: str = "az1") -> Told:
    return Told(at, at + 0.01, status, replication, station, "0")


def test_a_failover_needs_one_change() -> None:
    before, after = writes("az1", (1, 2), (2, 3)), writes("az2", (4, 5), (5, 6))
    assert switches([]) == 0
    assert switches(before) == 0
    assert switches(before + after) == 1
    check_one_writer(before + after, [], changes=1)


def test_writes_under_way_at_both_sites_at_once_prove_nothing() -> None:
    """The old site may have carried one out before, and its answer was seen late."""
    assert switches(writes("az1", (1, 10)) + writes("az2", (2, 9), (3, 8))) == 1
    assert switches(writes("az1", (1, 2), (1.5, 10)) + writes("az2", (3, 4), (5, 6))) == 1


def test_two_sites_that_answer_at_once_are_noticed() -> None:
    old = writes("az1", *((at, at + 0.4) for at in range(20)))
    new = writes("az2", *((at + 0.5, at + 0.9) for at in range(5, 20)))
    assert switches(old + new) >= 28
    with pytest.raises(Broken, match="P2"):
        check_one_writer(old + new, [], changes=3)


def test_one_late_answer_of_the_old_site_is_noticed() -> None:
    seen = writes("az1", (1, 2)) + writes("az2", (3, 4)) + writes("az1", (5, 6))
    with pytest.raises(Broken, match="P2"):
        check_one_writer(seen, [], changes=1)


def test_an_answer_of_the_old_site_after_the_failover_was_told_is_noticed() -> None:
    with pytest.raises(Broken, match="what was told"):
        check_one_writer(
            writes("az1", (1, 2), (5, 6)), [told(3, "failovered", "active-stopped", "az2")], changes=1
        )


def test_the_least_number_of_changes_is_never_more_than_there_were() -> None:
    """Histories made by one serving site at a time, with answers that come late."""
    for seed in range(50):
        draw = random.Random(seed)
        seen, changes, site, at = [], 0, "az1", 0.0
        for _ in range(200):
            at += draw.expovariate(1)
            if draw.random() < 0.1:
                site, changes = ("az2" if site == "az1" else "az1"), changes + 1
            seen.append(Served(at - draw.expovariate(0.5), at + draw.expovariate(0.5), site))
        assert switches(seen) <= changes


def test_being_in_step_that_is_told_while_hosts_are_answered_alone_is_a_lie() -> None:
    away = [Apart(10, 20, "az2", "az2 was away")]
    alone = writes("az1", (12, 13))
    check_protection_told(alone, [told(12.5), told(20.5)], away)
    check_protection_told(
        writes("az1", (9, 13)), [told(15)], away
    )  # it was sent, and perhaps confirmed, before
    check_protection_told(alone, [told(15, replication="inactive")], away)
    with pytest.raises(Broken, match="in step"):
        check_protection_told(alone, [told(15)], away)
    with pytest.raises(Broken, match="in step"):
        check_protection_told(alone, [told(15)], [Apart(10, 20, None, "the link was away")])


def test_what_can_not_be_true_together_is_noticed() -> None:
    check_possible([told(1), told(2, "failovered", "active-stopped")])
    with pytest.raises(Broken, match="impossible"):
        check_possible([told(1, "failovered", "active")])
    with pytest.raises(Broken, match="impossible"):
        check_possible([Told(1, 2, "available", "active", "az1", "5")])
