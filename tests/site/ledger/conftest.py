"""A ledger on a scratch directory, and the loop its callbacks run on."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pyroaring import BitMap

from bilocate.replication.records import (
    AddFailed,
    AddIntents,
    Change,
    PutDirty,
    PutSession,
    PutSiteItem,
    PutVolume,
    Role,
    dirty_segments,
)
from bilocate.site.ledger import Ledger, LedgerState

WAIT_SECONDS = 20
BOOT = "boot-1"

Fill = Callable[[Path, Sequence[Sequence[Change]]], None]
Reopen = Callable[..., LedgerState]
KilledCopy = Callable[..., Path]


async def _commit_each(path: Path, commits: Sequence[Sequence[Change]], copy_to: Path | None) -> None:
    ledger, _ = Ledger.open(path, boot_id=BOOT)
    for changes in commits:
        done = asyncio.Event()
        ledger.commit(changes, done.set)
        await asyncio.wait_for(done.wait(), WAIT_SECONDS)
    if copy_to is not None:
        shutil.copytree(path.parent, copy_to)
    ledger.close()


@pytest.fixture
def fill() -> Fill:
    """Commits each list of changes in a transaction of its own, and closes the ledger in order."""
    return lambda path, commits: asyncio.run(_commit_each(path, commits, None))


@pytest.fixture
def killed_copy(tmp_path: Path) -> KilledCopy:
    """Commits, and gives the directory that a SIGKILL would have left: its log still has everything."""

    def make(commits: Sequence[Sequence[Change]], first: Sequence[Sequence[Change]] = ()) -> Path:
        (tmp_path / "live").mkdir()
        path = tmp_path / "live" / "ledger.db"
        if first:
            asyncio.run(_commit_each(path, first, None))
        asyncio.run(_commit_each(path, commits, tmp_path / "killed"))
        return tmp_path / "killed" / "ledger.db"

    return make


@pytest.fixture
def reopen() -> Reopen:
    """Opens the ledger, takes its state and closes it."""

    async def run(path: Path, boot_id: str) -> LedgerState:
        ledger, state = Ledger.open(path, boot_id=boot_id)
        ledger.close()
        return state

    return lambda path, boot_id=BOOT: asyncio.run(run(path, boot_id))


def volume(volume_id: str, **other: object) -> PutVolume:
    values: dict[str, object] = {
        "size_bytes": 1 << 40,
        "max_epoch": 7,
        "generation": "g-1",
        "pending_generation": "",
        "consistent": True,
        "blank": False,
    }
    return PutVolume(volume_id, **(values | other))  # type: ignore[arg-type]


@pytest.fixture
def everything() -> list[list[Change]]:
    """Commits that leave rows in every table."""
    dirty = BitMap([1, 2, 3, 5000, 70000])
    return [
        [volume("vol-a", served_boot_id=BOOT), volume("vol-b", blank=True, consistent=False)],
        [PutSession("ses-1", 7, Role.PRIMARY, '{"epoch": 7}', 0)],
        [AddIntents("vol-a", tuple(range(0, 700, 7)))],
        [PutDirty("vol-a", dirty_segments(dirty, {0, 1, 17}))],
        [AddFailed("vol-b", (3, 9)), PutSiteItem("exports/vol-a", '["secret"]')],
        [AddIntents("vol-b", (1,))],
    ]
