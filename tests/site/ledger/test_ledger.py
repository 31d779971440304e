"""What is committed is there after a restart, in order, and nothing is told before it is durable."""

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap

from bilocate.replication.records import (
    AddFailed,
    AddIntents,
    Change,
    ClearMarks,
    DropIntents,
    DropSession,
    DropVolume,
    PutDirty,
    PutSession,
    PutSiteItem,
    PutVolume,
    Role,
    SessionRecord,
    dirty_segments,
)
from bilocate.site.ledger import Ledger, LedgerClosed, LedgerInUse, LedgerTooNew, LedgerUnusable, schema
from bilocate.site.ledger.digests import row_digest

pytestmark = pytest.mark.anyio


def put_volume(volume_id: str, epoch: int = 1) -> PutVolume:
    return PutVolume(volume_id, 1 << 30, epoch, "", "", True, False)


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


def test_a_new_ledger_says_so_and_is_secret(tmp_path: Path, reopen: Any) -> None:
    path = tmp_path / "ledger.db"
    assert reopen(path).fresh == "missing"
    assert reopen(path).fresh is None
    assert path.stat().st_mode & 0o777 == 0o600


def test_everything_is_there_again(tmp_path: Path, fill: Any, reopen: Any, everything: Any) -> None:
    path = tmp_path / "ledger.db"
    fill(path, everything)
    state = reopen(path)
    assert state.sessions == {"ses-1": SessionRecord("ses-1", 7, Role.PRIMARY, '{"epoch": 7}', 0)}
    a, b = state.volumes["vol-a"], state.volumes["vol-b"]
    assert (a.size_bytes, a.max_epoch, a.generation, a.consistent, a.blank) == (
        1 << 40,
        7,
        "g-1",
        True,
        False,
    )
    assert (b.consistent, b.blank) == (False, True)
    assert (a.served_boot_id, b.served_boot_id) == ("boot-1", "")
    assert a.intents == set(range(0, 700, 7))
    assert a.dirty == BitMap([1, 2, 3, 5000, 70000])
    assert (b.intents, b.failed) == ({1}, {3, 9})
    assert state.items == {"exports/vol-a": '["secret"]'}


def test_a_killed_process_loses_nothing_it_committed(killed_copy: Any, reopen: Any, everything: Any) -> None:
    path = killed_copy(everything)
    assert path.with_name("ledger.db-wal").stat().st_size > 0
    state = reopen(path)
    assert state.fresh is None
    assert state.volumes["vol-a"].intents == set(range(0, 700, 7))


@pytest.mark.parametrize(
    ("changes", "intents", "dirty", "failed"),
    [
        ([DropIntents("v", (1, 2, 99))], {3}, {5, 9000}, {4}),
        ([AddIntents("v", (3, 8)), AddIntents("v", (8,))], {1, 2, 3, 8}, {5, 9000}, {4}),
        ([AddIntents("v", tuple(range(1000)))], set(range(1000)), {5, 9000}, {4}),
        ([PutDirty("v", {0: b""})], {1, 2, 3}, {9000}, {4}),
        ([PutDirty("v", dirty_segments(BitMap([5, 6]), {0}))], {1, 2, 3}, {5, 6, 9000}, {4}),
        ([AddFailed("v", (4, 7))], {1, 2, 3}, {5, 9000}, {4, 7}),
        ([ClearMarks("v")], {1, 2, 3}, set(), set()),
        ([DropVolume("v"), put_volume("v")], set(), set(), set()),
        ([put_volume("v", epoch=9)], {1, 2, 3}, {5, 9000}, {4}),
    ],
)
def test_marks(
    tmp_path: Path,
    fill: Any,
    reopen: Any,
    changes: list[Change],
    intents: set[int],
    dirty: set[int],
    failed: set[int],
) -> None:
    path = tmp_path / "ledger.db"
    start: list[Change] = [
        put_volume("v"),
        AddIntents("v", (1, 2, 3)),
        PutDirty("v", dirty_segments(BitMap([5, 9000]), {0, 2})),
        AddFailed("v", (4,)),
    ]
    fill(path, [start, changes])
    found = reopen(path).volumes["v"]
    assert (found.intents, set(found.dirty), found.failed) == (intents, dirty, failed)


def test_rows_are_replaced_and_dropped(tmp_path: Path, fill: Any, reopen: Any) -> None:
    path = tmp_path / "ledger.db"
    fill(
        path,
        [
            [PutSession("a", 1, Role.PRIMARY, "{}", 0), PutSession("b", 2, Role.SECONDARY, "{}", 0)],
            [PutSession("a", 3, Role.SECONDARY, '{"x": 1}', 4), DropSession("b"), DropSession("never")],
            [PutSiteItem("k", "1"), PutSiteItem("l", "2")],
            [PutSiteItem("k", "3"), PutSiteItem("l", ""), DropVolume("never")],
        ],
    )
    state = reopen(path)
    assert state.sessions == {"a": SessionRecord("a", 3, Role.SECONDARY, '{"x": 1}', 4)}
    assert state.items == {"k": "3"}


async def test_callbacks_come_in_order_after_few_transactions(tmp_path: Path) -> None:
    ledger, _ = Ledger.open(tmp_path / "ledger.db")
    told: list[int] = []
    ledger.commit([put_volume("v")], lambda: told.append(-1))
    for number in range(500):
        ledger.commit([AddIntents("v", (number,))], lambda number=number: told.append(number))  # type: ignore[misc]
    assert told == []  # never from inside the call
    await until(lambda: len(told) == 501)
    assert told == list(range(-1, 500))
    assert ledger.stats.commits == 501
    assert ledger.stats.transactions < 250
    ledger.close()


async def test_an_empty_commit_is_told_behind_earlier_ones(tmp_path: Path) -> None:
    ledger, _ = Ledger.open(tmp_path / "ledger.db")
    told: list[str] = []
    ledger.commit([put_volume("v")], lambda: told.append("first"))
    ledger.commit([], lambda: told.append("second"))
    await until(lambda: len(told) == 2)
    assert told == ["first", "second"]
    ledger.close()


async def test_patient_commits_share_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bilocate.site.ledger.ledger.PATIENCE_SECONDS", 0.2
    )  # longer than a busy machine dozes
    ledger, _ = Ledger.open(tmp_path / "ledger.db")
    told: list[int] = []
    for number in range(50):
        ledger.commit([put_volume(f"v{number}")], partial(told.append, number), patient=True)
        await asyncio.sleep(0)
    await until(lambda: len(told) == 50)
    assert told == list(range(50))
    assert ledger.stats.commits == 50
    assert ledger.stats.transactions < 5
    ledger.close()


async def test_a_patient_commit_goes_with_the_first_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bilocate.site.ledger.ledger.PATIENCE_SECONDS", 3600)
    ledger, _ = Ledger.open(tmp_path / "ledger.db")
    told: list[str] = []
    ledger.commit([put_volume("v")], lambda: told.append("patient"), patient=True)
    await asyncio.sleep(0.05)
    assert told == []
    ledger.commit([put_volume("w")], lambda: told.append("at once"))
    await until(lambda: len(told) == 2)
    assert told == ["patient", "at once"]
    assert ledger.stats.transactions == 1
    ledger.close()


@pytest.mark.parametrize("in_a_thread", [False, True])
async def test_close_commits_what_is_patient(
    in_a_thread: bool, tmp_path: Path, reopen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bilocate.site.ledger.ledger.PATIENCE_SECONDS", 3600)
    ledger, _ = Ledger.open(tmp_path / "ledger.db")
    ledger.commit([put_volume("v")], lambda: None, patient=True)
    if in_a_thread:
        ledger.end()
        with pytest.raises(LedgerClosed):
            ledger.commit([put_volume("w")], lambda: None, patient=True)
        await asyncio.to_thread(ledger.close)
    else:
        ledger.close()
    assert set((await asyncio.to_thread(reopen, tmp_path / "ledger.db")).volumes) == {"v"}


async def test_close_commits_what_is_queued(tmp_path: Path) -> None:
    ledger, _ = Ledger.open(tmp_path / "ledger.db")
    told: list[int] = []
    for number in range(50):
        ledger.commit([put_volume(f"v{number}")], lambda number=number: told.append(number))  # type: ignore[misc]
    ledger.close()
    await until(lambda: len(told) == 50)
    again, state = Ledger.open(tmp_path / "ledger.db")
    assert len(state.volumes) == 50
    with pytest.raises(LedgerClosed):
        ledger.commit([], lambda: None)
    again.close()


async def test_the_log_is_emptied_when_it_is_long(tmp_path: Path) -> None:
    ledger, _ = Ledger.open(tmp_path / "ledger.db")
    told: list[int] = []
    for number in range(40):
        segment = {number: bytes(100_000)}
        ledger.commit([put_volume("v"), PutDirty("v", segment)], lambda: told.append(1))
        await until(lambda number=number: len(told) == number + 1)  # type: ignore[misc]
    await until(lambda: ledger.stats.checkpoints > 0)
    assert (tmp_path / "ledger.db-wal").stat().st_size < 4 * 1024 * 1024
    ledger.close()


async def test_a_failed_commit_ends_the_process_and_is_never_told(tmp_path: Path) -> None:
    """A mark of a volume that is not there would be lost at the next start: it fails at once."""
    ended: list[bool] = []
    told: list[bool] = []
    ledger, _ = Ledger.open(tmp_path / "ledger.db", on_fatal=lambda: ended.append(True))
    ledger.commit([AddIntents("nobody", (1,))], lambda: told.append(True))
    ledger.close()
    await asyncio.sleep(0)
    assert ended == [True]
    assert told == []


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    ledger, _ = Ledger.open(tmp_path / "ledger.db")
    with pytest.raises(LedgerInUse, match="another process"):
        Ledger.open(tmp_path / "ledger.db")
    ledger.close()


async def test_a_missing_directory_is_no_blank_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnusable, match="mounted"):
        Ledger.open(tmp_path / "nowhere" / "ledger.db")
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(LedgerUnusable):
        Ledger.open(tmp_path / "ledger.db")
    assert (tmp_path / "ledger.db").is_dir()


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path, fill: Any, reopen: Any) -> None:
    path = tmp_path / "ledger.db"
    fill(path, [[put_volume("v")]])
    with sqlite3.connect(path) as db:
        tally = db.execute("SELECT tally FROM ledger").fetchone()[0]
        newer = (1, schema.VERSION + 1, tally)
        db.execute("REPLACE INTO ledger VALUES (?, ?, ?, ?)", (*newer, row_digest("ledger", newer)))
    db.close()
    with pytest.raises(LedgerTooNew, match="release"):
        reopen(path)
    assert path.exists()


def test_every_older_format_has_a_step() -> None:
    assert sorted(schema.UPGRADES) == list(range(1, schema.VERSION))
