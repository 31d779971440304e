"""The controllers' database is put back from an older copy: no two sites answer, and there is a way out."""

import contextlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from tests.real.harness.checker import check
from tests.real.harness.host import Host
from tests.real.harness.installation import SITES, Installation
from tests.real.harness.protected import Protected, is_in_step, protect
from tests.real.harness.waiting import wait_for

from bilocate.cli.layout import CONTROLLER
from bilocate.client.errors import ClientError
from bilocate.operations.injection import ENVIRONMENT_NAME, Moment

COMMAND_SECONDS = 60
LARGER_GIB = 2


def run(installation: Installation, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    config = str(installation.layout.config(CONTROLLER))
    words = [sys.executable, "-m", "bilocate.cli", command, "--config", config, *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_SECONDS)


def back_up(installation: Installation, file: Path) -> None:
    done = run(installation, "backup", str(file))
    assert done.returncode == 0, done.stderr


def answers(installation: Installation, group: Protected, site: str) -> bool:
    """Whether hosts are answered there now."""
    try:
        return bool(installation.ask_agent(site, f"sessions/{group.group_id}")["serving"])
    except httpx.HTTPError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("way", ["by-the-command", "by-copying-files"])
def test_an_older_database_lets_no_two_sites_answer_and_is_taken_back_into_use(
    installation: Installation, host: Host, tmp_path: Path, way: str
) -> None:
    """Backup; the primary dies; failover. With the old database it would be primary again, of the old epoch."""
    group = protect(installation)
    host.start(group.connect("az1"))
    copy = tmp_path / "copy.db"
    back_up(installation, copy)
    installation.kill("az1")
    host.connect(group.fail_over("az2"))
    host.wait_acknowledged(500)
    epoch = group.row()["epoch"]
    installation.kill("controller")
    put_back_by_hand(installation, copy, sealed=way == "by-the-command")

    # The old database decides nothing: neither for the site that it names, nor against the one that serves.
    installation.start("az1", wait=False)
    installation.start("controller", wait=False)
    installation.wait_controller()
    installation.wait_agent("az1")
    until = time.monotonic() + 5
    while time.monotonic() < until:
        assert not answers(installation, group, "az1")
        assert answers(installation, group, "az2")
        time.sleep(0.05)
    host.wait_acknowledged(200)
    refused = group.raw_act("failover")
    assert refused.status == 503
    assert b"bilocate restore" in refused.content

    # The way out.
    installation.stop("controller")
    installation.kill("az1")
    unclear = run(installation, "restore")
    assert unclear.returncode == 1
    assert "az1 does not answer" in unclear.stderr
    installation.start("az1", wait=False)
    installation.wait_agent("az1")
    done = run(installation, "restore")
    assert done.returncode == 0, done.stderr
    assert f"group {group.group_id}: production at az2 (elsewhere" in done.stdout
    installation.start("controller")
    assert group.row()["epoch"] > epoch
    seen = group.seen()
    assert (seen["status"], seen["priority_station"]) == ("failovered", "az2")
    wait_for(
        "az1 to hear of it",
        lambda: installation.ask_agent("az1", f"sessions/{group.group_id}")["role"] == "secondary",
    )
    # The connection of az2 was made after the copy: its host has to connect anew.
    host.connect(group.connect("az2"))
    host.wait_acknowledged(200)
    group.act("reprotect", allow_data_loss=True)
    group.wait_in_step()
    host.pause()
    check(host, group.files("az2"))
    group.assert_equal()


def put_back_by_hand(installation: Installation, copy: Path, sealed: bool) -> None:
    database = installation.layout.root / "controller.db"
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(copy, database)
    if not sealed:  # a copy that was not made by the command: the sites have to give it away
        installation.alter("DELETE FROM sequences WHERE name = 'sealed'")


def leave_a_hold(installation: Installation, group: Protected) -> None:
    """The controller dies in a failover, when az2 has let go of its link and takes no hello."""
    installation.stop(CONTROLLER)
    installation.start(CONTROLLER, {ENVIRONMENT_NAME: f"failover:precheck:{Moment.AFTER.value}"})
    with contextlib.suppress(ClientError):
        group.act("failover")
    installation.wait_dead(CONTROLLER)
    assert installation.ask_agent("az2", f"sessions/{group.group_id}")["holds_hello"]


@pytest.mark.slow
def test_a_copy_is_put_back_by_the_command_and_what_it_does_not_know_has_to_be_spoken_of(
    installation: Installation, tmp_path: Path
) -> None:
    first = protect(installation, pairs=1)
    copy = tmp_path / "copy.db"
    back_up(installation, copy)
    assert run(installation, "backup", str(copy)).returncode == 1  # it overwrites none
    later = protect(installation, pairs=1)
    busy = run(installation, "restore", str(copy))
    assert busy.returncode == 1, "the controller runs"
    installation.client.extend_group(first.group_id, dict.fromkeys(first.pair_ids, LARGER_GIB))
    leave_a_hold(installation, first)
    unclear = run(installation, "restore", str(copy))
    assert unclear.returncode == 1
    assert later.group_id in unclear.stderr
    done = run(installation, "restore", "--forget")
    assert done.returncode == 0, done.stderr
    assert list(installation.layout.root.glob("controller.db.before-restore-*"))
    installation.start("controller")
    wait_for("step", lambda: is_in_step(first.seen()), 30)
    assert [group["id"] for group in installation.client.groups()] == [first.group_id]

    def ended() -> bool:
        return all(later.group_id not in installation.ask_agent(site, "status")["sessions"] for site in SITES)

    wait_for("end of what the copy does not know", ended)
    # It has grown since the copy, and the hold that a failover had left is none.
    half = installation.ask_agent("az2", f"sessions/{first.group_id}")
    assert not half["holds_hello"]
    assert first.sizes() == {LARGER_GIB}
    # What there is goes on as ever.
    first.act("reverse")
    first.wait(
        "the reversal", lambda group: (group["status"], group["priority_station"]) == ("available", "az2")
    )
