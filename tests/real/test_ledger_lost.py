"""Item 8. A site's ledger is deleted, or a byte of it is changed: it is never believed again (rule 17)."""

import time
from pathlib import Path

import pytest
from tests.real.harness import ledger_damage
from tests.real.harness.checker import check
from tests.real.harness.events import Kind
from tests.real.harness.host import Host
from tests.real.harness.installation import Installation
from tests.real.harness.protected import SIZE_GIB, Protected, protect
from tests.real.harness.proxy import Wire
from tests.real.harness.waiting import wait_for

EVERYTHING = 2 * SIZE_GIB * 1024**3
HOWS = ["deleted", "changed"]


def damage(how: str, site: Path, group: Protected) -> None:
    if how == "deleted":
        ledger_damage.delete(site)
    else:
        ledger_damage.change_a_byte(site, group.volumes[0][site.name]["id"])


@pytest.mark.slow
@pytest.mark.parametrize("how", HOWS)
def test_a_secondary_without_its_ledger_is_never_promoted_and_compared_in_full(
    installation: Installation, host: Host, how: str
) -> None:
    """Both sites die; only the secondary comes back, without its ledger. Though the arbiter's row says that it
    has everything, it is not promoted, not even by force. When the primary is back everything is compared, and
    the group is in step; then it may be failed over."""
    group = protect(installation)
    host.start(group.connect("az1"), records=1000)
    host.pause()
    installation.kill("az1")
    installation.stop("az2") if how == "changed" else installation.kill("az2")
    assert group.row()["state"] == "in_sync"
    damage(how, installation.layout.data("az2"), group)
    installation.start("az2")
    wait_for("half at az2", lambda: knows_nothing(group, "az2"))
    assert "not consistent" in group.refusal("failover")
    assert "not consistent" in group.refusal("failover", allow_data_loss=True)
    assert (group.seen()["status"], group.row()["primary_site"]) == ("available", "az1")
    killed = time.monotonic()
    installation.start("az1")
    host.write()
    host.wait_first_acknowledgement(since=killed)
    group.wait_in_step()
    assert group.half("az1")["last_resync"]["total_bytes"] == EVERYTHING
    host.pause()
    group.assert_equal()
    host.write()
    host.wait_acknowledged(100)
    installation.kill("az1")
    host.connect(group.fail_over("az2"))
    host.wait_acknowledged(100)
    host.pause()
    check(host, group.files("az2"))


@pytest.mark.slow
@pytest.mark.parametrize("how", HOWS)
def test_a_primary_without_its_ledger_serves_only_what_the_secondary_has(
    wired: Installation, host: Host, how: str
) -> None:
    """The primary comes back without its ledger, and with a disk that is not what it was. While it can't reach
    its secondary it serves nobody. When it can, everything is compared and pulled before the first host is
    answered, and protection was never lost."""
    group = protect(wired)
    host.start(group.connect("az1"), records=1000)
    host.pause()
    wired.stop("az1") if how == "changed" else wired.kill("az1")
    damage(how, wired.layout.data("az1"), group)
    for file in group.files("az1"):
        spoil(file)
    wired.set_link(Wire.CUT)
    wired.start("az1")
    wait_for("half at az1", lambda: knows_nothing(group, "az1"))
    before = time.monotonic()
    host.write()
    time.sleep(4.0)  # longer than a restarted primary waits for its secondary
    assert not host.count(Kind.ACKNOWLEDGED, before), "hosts were served without the secondary"
    assert "pulled from a secondary" in group.half("az1")["refusal"]
    wired.set_link(Wire.WHOLE)
    host.wait_first_acknowledgement(since=before)
    assert group.row()["state"] == "in_sync"
    group.wait_in_step()
    host.wait_acknowledged(100)
    host.pause()
    check(host, group.files("az1"))
    group.assert_equal()


@pytest.mark.slow
def test_two_losses_at_once_wait_for_a_person(installation: Installation, host: Host) -> None:
    """Both agents are killed while hosts write, and the primary's ledger is lost too. The secondary can't be sure
    (rule 20), the primary knows nothing (rule 17): nobody is served, and nothing is copied either way, until a
    person decides. Who chooses the secondary finds everything there."""
    group = protect(installation)
    host.start(group.connect("az1"), records=1000)
    installation.kill("az1", "az2")
    damage("deleted", installation.layout.data("az1"), group)
    for file in group.files("az1"):
        spoil(file)
    installation.start("az1")
    installation.start("az2")
    began = time.monotonic()
    time.sleep(4.0)  # longer than any wait of a start
    assert not host.count(Kind.ACKNOWLEDGED, began)
    assert "allow_data_loss" in group.refusal("failover")
    host.connect(group.fail_over("az2", allow_data_loss=True))
    host.wait_acknowledged(200)
    check(host, group.files("az2"))
    group.reprotect(allow_data_loss=True)
    host.pause()
    check(host, group.files("az1"))
    group.assert_equal()


def knows_nothing(group: Protected, site: str) -> bool:
    """The site has taken the session up, and says that its ledger is new."""
    status = group.installation.ask_agent(site, "status")
    half = status["sessions"].get(group.group_id)
    return half is not None and all(volume["blank"] for volume in half["volumes"])


def spoil(file: Path) -> None:
    """Another disk than it was: every other mebibyte of the first 64 is something else."""
    with file.open("r+b") as volume:
        for mebibyte in range(0, 64, 2):
            volume.seek(mebibyte * 1024**2)
            volume.write(b"spoilt" * 1000)
