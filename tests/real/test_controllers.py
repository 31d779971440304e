"""Several controllers on one PostgreSQL: one dies or hangs, another goes on, and nothing is done twice."""

import contextlib
import json
import time
from typing import Any

import httpx
import pytest
from tests.real.conftest import LONG, MakeCluster, Tell
from tests.real.harness.checker import check
from tests.real.harness.cluster import Cluster
from tests.real.harness.host import Host
from tests.real.harness.protected import Protected, protect
from tests.real.harness.waiting import wait_for

from bilocate.cli.errors import CliError
from bilocate.operations.injection import ENVIRONMENT_NAME, HANG_ENVIRONMENT_NAME, Moment
from bilocate.operations.verbs import all_verbs

pytestmark = pytest.mark.timed

TAKEOVER_SECONDS = 10.0
# Hosts are held while agents find another controller: a link's timeout, a call's timeout, and a bit for a busy machine.
HOSTS_HELD_SECONDS = 10.0

# Where a controller hangs: with the row's lock in its hands, before and behind the point of no return.
HANGS = [
    ("precheck", Moment.BEFORE),
    ("commit", Moment.IN),
    ("commit", Moment.AFTER),
]
if LONG:
    HANGS = [(step.name, moment) for step in all_verbs()["failover"].steps for moment in Moment]


def begin(group: Protected, client: Any, verb: str, **value: bool) -> None:
    """Ask one controller for a verb; it may die or hang before it has answered."""
    with contextlib.suppress(CliError, httpx.TransportError):
        client.act(group.group_id, verb, value or None)


def operations(cluster: Cluster, verb: str) -> list[dict[str, Any]]:
    return cluster.query("SELECT * FROM operations WHERE verb = ? ORDER BY created_at", verb)


def wait_succeeded(cluster: Cluster, verb: str, count: int, since: float) -> float:
    """The time from `since` to the end of the last of `count` operations."""

    def ended() -> bool:
        found = operations(cluster, verb)
        return len(found) == count and found[-1]["status"] not in ("running", "undoing")

    wait_for(f"end of {verb}", ended, 30.0, lambda: operations(cluster, verb)[-1:])
    assert operations(cluster, verb)[-1]["status"] == "succeeded", operations(cluster, verb)[-1]
    return time.monotonic() - since


@pytest.mark.slow
def test_an_operation_of_a_killed_controller_is_taken_over_within_ten_seconds(
    make_cluster: MakeCluster, host: Host, tell: Tell
) -> None:
    """Before the point of no return, and behind it; the third controller does not interfere."""
    cluster = make_cluster(controllers=3)
    group = protect(cluster)
    host.start(group.connect("az1"))
    moments = [("precheck", Moment.IN), ("promote", Moment.BEFORE)]
    others = cluster.client_of("controller2")
    for number, (step, moment) in enumerate(moments, 1):
        cluster.stop("controller")
        cluster.start_controller("controller", {ENVIRONMENT_NAME: f"failover:{step}:{moment.value}"})
        begin(group, cluster.client_of("controller", 5.0), "failover")
        cluster.wait_dead("controller")
        taken = wait_succeeded(cluster, "failover", number, since=time.monotonic())
        tell(takeover_seconds=taken)
        assert taken <= TAKEOVER_SECONDS
        site = others.group(group.group_id)["priority_station"]
        cluster.start_controller("controller")
        host.connect(group.connect(site))
        host.wait_acknowledged(200)
        group.reprotect()
    host.pause()
    check(host, group.files("az1"))
    group.assert_equal()


@pytest.mark.slow
def test_a_controller_that_hung_and_wakes_after_the_takeover_changes_nothing(
    make_cluster: MakeCluster, tell: Tell
) -> None:
    """It has the operation and perhaps its row's lock in hand, stops (SIGSTOP), and goes on when it is all over."""
    cluster = make_cluster()
    group = protect(cluster)
    for number, (step, moment) in enumerate(HANGS, 1):
        cluster.stop("controller")
        cluster.start_controller("controller", {HANG_ENVIRONMENT_NAME: f"failover:{step}:{moment.value}"})
        begin(group, cluster.client_of("controller", 2.0), "failover")
        hung_at = cluster.wait_stopped("controller")
        taken = wait_succeeded(cluster, "failover", number, since=hung_at)
        tell(takeover_seconds=taken)
        assert taken <= TAKEOVER_SECONDS
        settled(cluster, group)
        before = everything(cluster, group)
        wake(cluster)
        assert everything(cluster, group) == before, (step, moment)
        group.reprotect()
    for operation in operations(cluster, "failover"):
        steps = cluster.query("SELECT name FROM operation_steps WHERE operation_id = ?", operation["id"])
        assert len(steps) == len(all_verbs()["failover"].steps)


def wake(cluster: Cluster) -> None:
    """The hung controller goes on, and has noticed by the end of this that the operation is not its own any more."""
    said = len(cluster.log("controller"))
    cluster.let_go_on("controller")
    wait_for(
        "the loss to be noticed",
        lambda: '"operation_lease_lost"' in cluster.log("controller")[said:],
        seen=lambda: cluster.log("controller")[said:],
    )
    cluster.wait_ready("controller")


def settled(cluster: Cluster, group: Protected) -> None:
    """The new production site serves alone: nothing changes by itself any more."""
    (row,) = cluster.query("SELECT * FROM sessions WHERE id = ?", group.group_id)

    def serves() -> bool:
        half = cluster.ask_agent(row["primary_site"], f"sessions/{group.group_id}")
        return bool(half["serving"]) and half["epoch"] == row["epoch"]

    wait_for("the new production site to serve", serves)


def everything(cluster: Cluster, group: Protected) -> dict[str, Any]:
    """What an operation could have changed."""
    tables = ("operations", "groups", "pairs", "volumes", "attachments")
    rows: dict[str, Any] = {table: cluster.query(f"SELECT * FROM {table} ORDER BY id") for table in tables}
    rows["steps"] = cluster.query("SELECT * FROM operation_steps ORDER BY operation_id, name")
    columns = "epoch, primary_site, revision, paused, held, quiesced, forced"
    rows["sessions"] = cluster.query(f"SELECT id, {columns} FROM sessions ORDER BY id")
    halves = (cluster.ask_agent(site, f"sessions/{group.group_id}") for site in ("az1", "az2"))
    rows["halves"] = [(half["role"], half["epoch"], half["revision"], half["holds_hello"]) for half in halves]
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("way", ["killed", "hanging"])
def test_agents_go_on_to_the_next_controller_by_themselves(
    make_cluster: MakeCluster, host: Host, tell: Tell, way: str
) -> None:
    """The controller that the primary asks is away, then the secondary dies: the permit comes from the other one."""
    cluster = make_cluster()
    group = protect(cluster)
    host.start(group.connect("az1"))
    asked = who_is_asked(cluster)
    if way == "killed":
        cluster.kill(asked)
    else:
        cluster.freeze(asked)
    since = cluster.kill("az2")
    host.wait_acknowledged(300)
    held = host.longest_stall(since)
    tell(hosts_held_seconds=held)
    assert held <= HOSTS_HELD_SECONDS
    # An agent that starts finds the other controller too, which tells it what is wanted of it.
    cluster.start("az2", wait=False)
    (other,) = [cluster.client_of(name) for name in cluster.controllers if name != asked]
    wait_for("step", lambda: other.group(group.group_id).get("replication_status") == "active", 30.0)
    host.pause()
    check(host, group.files("az1"))
    group.assert_equal()
    if way == "hanging":
        cluster.let_go_on(asked)
        cluster.wait_ready(asked)


def who_is_asked(cluster: Cluster) -> str:
    """The controller that agents have last asked for something."""
    latest: dict[str, str] = {}
    for name in cluster.controllers:
        for line in cluster.log(name).splitlines():
            told = json.loads(line)
            if "/internal/v1/arbiter/" in told.get("path", ""):
                latest[name] = told["timestamp"]
    return max(latest, key=lambda name: latest[name])
