"""What is refused, in which words, and what is done all the same when someone says so."""

import pytest
from tests.real.conftest import MakeHost
from tests.real.harness.checker import check
from tests.real.harness.host import Host
from tests.real.harness.installation import Installation
from tests.real.harness.protected import Protected, is_in_step, protect
from tests.real.harness.waiting import wait_for


def test_every_refused_reprotect_says_what_to_do(installation: Installation, host: Host) -> None:
    """Item 10. Before a failover, with the dead site still down, and with its volumes attached: 409, each
    with a way out; then 200 without a body."""
    group = protect(installation)
    before = group.refusal("reprotect")
    assert "available" in before
    assert "failovered" in before
    assert "fail the group over first" in before

    attached_id = group.volumes[0]["az1"]["id"]
    group.attach(attached_id)
    host.start(group.connect("az1"))
    installation.kill("az1")
    host.connect(group.fail_over("az2"))
    down = group.refusal("reprotect")
    assert "az1" in down
    assert "start it" in down

    installation.start("az1")
    attached = group.refusal("reprotect")
    assert attached_id in attached
    assert "detach it first" in attached
    group.detach(attached_id)

    answer = group.raw_act("reprotect")
    assert (answer.status, answer.content) == (200, b"")
    group.wait_in_step()
    host.wait_acknowledged(100)
    host.pause()
    group.assert_equal()
    check(host, group.files("az1"))


@pytest.mark.slow
def test_a_stale_secondary_is_failed_over_only_by_force_and_in_order(
    installation: Installation, make_host: MakeHost
) -> None:
    """Item 11. The secondary was away while hosts wrote on, and then the primary died: 409, with the option.
    With it: done, and the journal tells who asked and how far behind it was. What is there is one moment of both
    volumes. When the old site returns, what it alone has is counted before anyone overwrites it."""
    group = protect(installation)
    old, new = make_host(), make_host()
    old.start(group.connect("az1"), records=500)
    installation.kill("az2")
    old.wait_acknowledged(1000)
    group.wait("told loss of protection", lambda seen: seen.get("fault_level") == "5")
    installation.kill("az1")
    installation.start("az2")
    refused = group.refusal("failover")
    assert "allow_data_loss" in refused
    assert "bring az1 back" in refused
    assert (group.seen()["status"], group.row()["primary_site"]) == ("available", "az1")

    new.start(group.fail_over("az2", allow_data_loss=True))
    verdict = check(old, group.files("az2"), may_lack=True)
    assert verdict.missing, "nothing was missing: the secondary was not stale"
    assert_journalled(group)

    old.quit()
    installation.start("az1")
    wait_for("demotion", lambda: group.half("az1")["role"] == "secondary", seen=group.words)
    counted = group.refusal("reprotect")
    assert "allow_data_loss" in counted
    assert any(int(word) > 1000 * 64 for word in counted.split() if word.isdecimal()), counted
    group.act("reprotect", allow_data_loss=True)
    group.wait("step", is_in_step, 60)
    new.wait_acknowledged(100)
    new.pause()
    group.assert_equal()
    check(new, group.files("az1"))


def test_a_pair_that_joined_since_is_not_failed_over_with_the_others_without_a_word(
    installation: Installation,
) -> None:
    """Each copy at az2 is consistent, and all of them together are of two moments: 409, with the option."""
    group = protect(installation)
    group.act("stop")
    group.wait("rest", lambda seen: seen["replication_status"] == "active-stopped")
    late = group.pair_ids[-1]
    for change in ("remove", "add"):
        installation.client.update_group(group.group_id, {f"{change}_replication_ids": [late]})
        group.wait("the change", lambda seen: seen["status"] == "available")
        if change == "remove":
            group.act("sync")
            group.wait("step", is_in_step)
            group.act("stop")
            group.wait("rest", lambda seen: seen["replication_status"] == "active-stopped")
    assert group.seen()["bilocate:mixed_moments"] is True
    installation.kill("az1")
    refused = group.refusal("failover", allow_data_loss=True)
    assert "not known to be of one moment" in refused
    assert "allow_mixed_moments" in refused
    group.act("failover", allow_data_loss=True, allow_mixed_moments=True)
    group.wait_failed_over("az2")


def assert_journalled(group: Protected) -> None:
    (entry,) = group.installation.query(
        "SELECT * FROM operations WHERE verb = 'failover' AND target_id = ? AND status = 'succeeded'",
        group.group_id,
    )
    assert '"allow_data_loss": true' in entry["args"]
    assert "admin" in entry["requested_by"]
    assert '"behind"' in entry["facts"]
    assert '"seconds"' in entry["facts"]
