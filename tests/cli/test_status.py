"""`status` and what it finds to be at risk."""

import json
from typing import Any

import pytest
from tests.cli.conftest import Run
from tests.cli.fake_api import FakeApi

from bilocate.cli.client import Group
from bilocate.cli.risks import group_risk


def group(status: str = "available", replication: str = "active", fault: str = "0", **more: Any) -> Group:
    made: dict[str, Any] = {"id": "g", "name": "shop", "priority_station": "az1"} | more
    made |= {"status": status, "replication_status": replication, "fault_level": fault}
    return Group.of(made)


def test_a_group_in_step_is_no_risk() -> None:
    assert group_risk(group()) is None


@pytest.mark.parametrize(
    ("seen", "urgent", "advice"),
    [
        (group(fault="2"), True, "bilocate group failover shop"),
        (group(replication="inactive", fault="5"), True, "exists at az1 alone"),
        (group("failovered", "active-stopped"), True, "bilocate group reprotect shop"),
        (group("error_failovering", "inactive", failure_detail="37100178"), True, "37100178"),
        (group("error_reversing", "inactive"), True, "bilocate group reverse shop"),
        (group(replication="copying"), False, "a failover is refused"),
        (group(replication="copying", fault="5"), False, "is being copied"),
        (group(replication="active-stopped"), False, "bilocate group sync shop"),
        (group(replication="inactive"), False, "bilocate group sync shop"),
        (group(replication="error"), True, "replace it"),
    ],
)
def test_everything_else_says_what_to_do(seen: Group, urgent: bool, advice: str) -> None:
    risk = group_risk(seen)
    assert risk is not None
    assert risk.urgent is urgent
    assert advice in risk.sentence


def test_copies_of_several_moments_are_told_with_what_is_at_risk() -> None:
    for replication, told in (("inactive", True), ("copying", False)):
        risk = group_risk(Group.of({**group(replication=replication), "bilocate:mixed_moments": True}))
        assert risk is not None
        assert ("--allow-mixed-moments" in risk.sentence) is told
    assert group_risk(group()) is None


def test_one_screen(api: FakeApi, run: Run) -> None:
    shop = api.add_group("shop", replication_status="copying")
    api.add_pair("p1", shop["id"], progress="25", replication_status="copying")
    api.add_pair("lonely")
    api.add_volume("v", "az2", 7)
    result = run("status")
    assert result.exit_code == 0, result.output
    for part in ("az1", "az2", "7 GiB", "shop", "copying", "25 %", "lonely", "bilocate group create"):
        assert part in result.stdout


def test_a_link_is_lost_where_the_controller_says_so(api: FakeApi, run: Run) -> None:
    lost = api.add_group("a", replication_status="inactive", fault_level="5")
    api.add_group("b", replication_status="copying", fault_level="5")
    api.add_group("c", replication_status="active-stopped")
    api.ready["unlinked_groups"] = [lost["id"]]
    lines = {line.split()[0]: line for line in run("status").stdout.splitlines() if line.strip()}
    assert "lost" in lines["a"]
    assert " up " in lines["b"]
    assert "at rest" in lines["c"]
    assert json.loads(run("status", "--json").stdout)["unlinked_groups"] == [lost["id"]]


def test_nothing_at_risk_is_said(api: FakeApi, run: Run) -> None:
    api.add_group("shop")
    assert "Nothing is at risk" in run("status").stdout


def test_an_agent_that_is_away_is_urgent(api: FakeApi, run: Run) -> None:
    api.ready = {"agents": {"az1": "ok", "az2": "does not answer"}}
    seen = json.loads(run("status", "--json").stdout)
    assert seen["sites"]["az1"]["ready"] is True
    assert seen["sites"]["az2"]["ready"] is False
    assert seen["risks"][0]["urgent"] is True
    assert "site az2" in seen["risks"][0]["subject"]
