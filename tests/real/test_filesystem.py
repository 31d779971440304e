"""Item 13. What people really keep on volumes: a file system with a database in it."""

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.real.harness import commits
from tests.real.harness.checker import check
from tests.real.harness.filesystem import Disk, assert_clean, require_root_and_devices, run
from tests.real.harness.host import Host
from tests.real.harness.installation import Installation
from tests.real.harness.protected import protect
from tests.real.harness.waiting import wait_for

COMMITS = 60

Attach = Callable[[str, str], Disk]


@pytest.fixture
def attach(tmp_path: Path) -> Iterator[Attach]:
    """Makes disks of volumes, and lets them go with the test."""
    require_root_and_devices()
    made: list[Disk] = []

    def make(name: str, uri: str) -> Disk:
        made.append(Disk(tmp_path, name, uri))
        return made[-1]

    yield make
    for disk in made:
        disk.let_go()


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.parametrize("journal_mode", ["DELETE", "WAL"])
def test_a_database_on_ext4_survives_the_death_of_its_site(
    installation: Installation, host: Host, attach: Attach, tmp_path: Path, journal_mode: str
) -> None:
    """ext4 on a volume of the group, through nbdfuse and a loop device, with a SQLite database that commits, while
    another host writes to two more volumes of the group. The site is killed; after the failover the file system is
    clean, the database whole, and every commit that was said to be done is there."""
    group = protect(installation, pairs=3)
    *uris, uri = group.connect("az1", count=3)
    host.start(uris, records=100)
    disk = attach("before", uri)
    run("mkfs.ext4", "-q", disk.device)
    disk.mount()
    said = tmp_path / "commits"
    with said.open("wb") as output:
        database = str(disk.mounted_at / "entries.db")
        writer = subprocess.Popen(
            [sys.executable, commits.__file__, database, journal_mode],
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
    try:
        wait_for("commits", lambda: count_said(said) >= COMMITS, 60)
        installation.kill("az1")
        wait_for("commits' end", lambda: writer.poll() is not None, 60)
    finally:
        writer.kill()
        writer.wait()
    disk.let_go()
    host.connect(group.fail_over("az2"))
    after = attach("after", group.connect("az2", count=3)[2])
    assert_clean(after.device)
    after.mount()
    with contextlib.closing(sqlite3.connect(after.mounted_at / "entries.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = {number for (number,) in db.execute("SELECT number FROM entries")}
    assert set(range(1, count_said(said) + 1)) <= found
    host.wait_acknowledged(100)
    host.pause()
    check(host, group.files("az2"))


def count_said(said: Path) -> int:
    """How many commits were done, as far as anyone was told."""
    return said.read_bytes().count(b"\n")
