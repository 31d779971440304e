"""--wait: comes back when the thing is done, says so when it failed, gives up in time."""

import json

import pytest
from tests.cli.conftest import Run
from tests.cli.fake_api import FakeApi

from bilocate.cli.client import Group, Pair
from bilocate.cli.waiting import (
    Copied,
    Outcome,
    copied_of,
    judge_failed_over,
    judge_in_step,
    judge_reversed,
    judge_stopped,
)
from bilocate.domain.geometry import GIB


def group(status: str, replication: str, primary: str = "az1") -> Group:
    told = {"id": "g", "name": "shop", "status": status, "replication_status": replication}
    return Group.of({**told, "priority_station": primary})


def pair(progress: str | None, size_gib: int) -> Pair:
    return Pair.of(
        {
            "id": "p",
            "name": "p",
            "status": "available",
            "volume_ids": "a,b",
            "priority_station": "az1",
            "replication_consistency_group_id": "g",
            "progress": progress,
            "record_metadata": json.dumps({"volume_size": size_gib}),
        }
    )


def test_sync_waits_until_active(api: FakeApi, run: Run) -> None:
    shop = api.add_group("shop", replication_status="inactive")
    api.add_pair("p1", shop["id"], progress="40", replication_status="copying")
    api.script(shop, *({"replication_status": state} for state in ("inactive", "copying", "active")))
    result = run("group", "sync", "shop", "--wait")
    assert result.exit_code == 0, result.output
    assert "sync shop: done in" in result.stderr
    assert "active" in result.stdout


def test_failover_that_ends_in_error_fails_with_the_detail(api: FakeApi, run: Run) -> None:
    shop = api.add_group("shop")
    error = {"status": "error_failovering", "failure_detail": "37100178"}
    api.script(shop, {"status": "failovering"}, {"status": "failovering"}, error)
    result = run("group", "failover", "shop", "--wait")
    assert result.exit_code == 1
    assert "37100178" in result.stderr
    assert "error_failovering" in result.stderr


def test_a_wait_gives_up_and_says_that_the_work_goes_on(api: FakeApi, run: Run) -> None:
    api.add_group("shop", replication_status="copying")
    result = run("group", "sync", "shop", "--wait", "--timeout", "0.2")
    assert result.exit_code == 1
    assert "The work goes on" in result.stderr


def test_delete_waits_until_it_is_gone(api: FakeApi, run: Run) -> None:
    api.add_volume("old")
    assert run("volume", "delete", "old", "--wait").exit_code == 0
    assert api.volumes == {}


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (group("failovering", "active"), Outcome.GOING),
        (group("failovered", "active-stopped"), Outcome.DONE),
        (group("available", "active"), Outcome.FAILED),  # refused, and put back as it was
        (group("error_failovering", "inactive"), Outcome.FAILED),
    ],
)
def test_failover_is_judged(seen: Group, outcome: Outcome) -> None:
    assert judge_failed_over(seen) is outcome


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (group("reversing", "active"), Outcome.GOING),
        (group("available", "active", "az2"), Outcome.DONE),
        (group("available", "inactive", "az2"), Outcome.GOING),
        (group("available", "active", "az1"), Outcome.FAILED),
        (group("error_reversing", "inactive", "az2"), Outcome.FAILED),
    ],
)
def test_reverse_is_judged(seen: Group, outcome: Outcome) -> None:
    assert judge_reversed("az1")(seen) is outcome


def test_sync_and_stop_are_judged() -> None:
    assert judge_in_step(group("available", "inactive")) is Outcome.GOING
    assert judge_in_step(group("failovered", "active")) is Outcome.GOING
    assert judge_in_step(group("available", "error")) is Outcome.FAILED
    assert judge_stopped(group("available", "copying")) is Outcome.GOING
    assert judge_stopped(group("available", "active-stopped")) is Outcome.DONE


def test_progress_is_weighed_by_size() -> None:
    assert copied_of([pair(None, 1), pair(None, 2)]) is None
    assert copied_of([pair("50", 1), pair("100", 3)]) == Copied(3.5 * GIB, 4 * GIB)
    assert copied_of([pair("50", 2), pair(None, 2)]) == Copied(1 * GIB, 4 * GIB)
