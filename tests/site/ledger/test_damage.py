"""A changed byte is noticed: the ledger is begun anew (rule 17), or holds exactly what it held."""

import asyncio
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap

from bilocate.replication.records import AddFailed, AddIntents, PutSiteItem, PutVolume
from bilocate.site.ledger import Ledger, LedgerState, LedgerTooNew
from bilocate.site.ledger.wal import check_wal

FRAME_BYTES = 24 + 4096
SEED = int(os.environ.get("LEDGER_SEED", "20240607"))
FLIPS = int(os.environ.get("LEDGER_FLIPS", "150"))
HEADER_ROUNDS = 1 + FLIPS // 1000


def same(one: LedgerState, other: LedgerState) -> bool:
    return asdict(one) | {"fresh": None} == asdict(other) | {"fresh": None}


def snapshot(path: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in path.parent.iterdir()}


def restore(path: Path, files: dict[Path, bytes]) -> None:
    for file in path.parent.iterdir():
        file.unlink()
    for file, content in files.items():
        file.write_bytes(content)


def flip(file: Path, offset: int, mask: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(offset)
        old = opened.read(1)[0]
        opened.seek(offset)
        opened.write(bytes([old ^ mask]))


def places(size: int, count: int, rng: random.Random) -> Iterator[tuple[int, int]]:
    for _ in range(count):
        yield rng.randrange(size), rng.randrange(1, 256)


def check_flip(path: Path, file: Path, offset: int, mask: int, right: LedgerState, reopen: Any) -> bool:
    """True when the damage was noticed."""
    flip(file, offset, mask)
    found = reopen(path)
    if found.fresh is None:
        assert same(found, right), f"{file.name} byte {offset} xor {mask}: believed"
        return False
    assert found.fresh.startswith("corrupt: ")
    assert not found.volumes
    assert not found.sessions
    kept = [other for other in path.parent.iterdir() if ".corrupt-" in other.name]
    assert kept, "the damaged files are kept"
    return True


@pytest.fixture
def killed(killed_copy: Any, everything: Any) -> Path:
    """Half of the content in the database, half in the log."""
    path: Path = killed_copy(everything[4:], first=everything[:4])
    return path


def test_a_flipped_byte_in_the_log_is_always_noticed(killed: Path, reopen: Any) -> None:
    files, rng = snapshot(killed), random.Random(SEED)
    right = reopen(killed)
    log = killed.with_name("ledger.db-wal")
    for offset, mask in [*places(len(files[log]), FLIPS, rng), *((place, 1) for place in range(56))]:
        restore(killed, files)
        assert check_flip(killed, log, offset, mask, right, reopen), f"log byte {offset} xor {mask}"


@pytest.mark.parametrize("closed", ["killed", "in order"])
def test_a_flipped_byte_in_the_database_is_noticed_or_means_nothing(
    killed: Path, reopen: Any, closed: str
) -> None:
    right = None
    if closed == "in order":
        right = reopen(killed)
    files, rng = snapshot(killed), random.Random(SEED + 1)
    right = right or reopen(killed)
    header = [(offset, 1 << rng.randrange(8)) for offset in range(100) for _ in range(HEADER_ROUNDS)]
    noticed = 0
    for offset, mask in [*places(len(files[killed]), FLIPS, rng), *header]:
        restore(killed, files)
        noticed += check_flip(killed, killed, offset, mask, right, reopen)
    assert noticed > 0


def test_a_flipped_byte_of_content_is_noticed(killed: Path, reopen: Any) -> None:
    """Ids, values and the dirty map as they stand in the file, and the text of the schema."""
    reopen(killed)
    files = snapshot(killed)
    content = files[killed]
    for word in (b"vol-a", b"g-1", b'{"epoch": 7}', b"secret", b"boot-1", b"primary", b"extent INTEGER"):
        restore(killed, files)
        flip(killed, content.index(word), 2)
        found = reopen(killed)
        assert found.fresh is not None, word
        assert found.fresh.startswith("corrupt: ")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM intents WHERE extent = 7",
        "DELETE FROM failed",
        "INSERT INTO failed SELECT * FROM intents LIMIT 1",
        "UPDATE volumes SET blank = 0",
        "UPDATE volumes SET consistent = 1",
        "UPDATE sessions SET epoch = 8",
        "UPDATE ledger SET tally = tally + 1",
        "DELETE FROM ledger",
        "DROP TABLE dirty",
    ],
)
def test_rows_that_are_lost_or_changed_are_noticed(killed: Path, reopen: Any, statement: str) -> None:
    reopen(killed)
    with sqlite3.connect(killed) as db:
        db.execute(statement)
    db.close()
    assert str(reopen(killed).fresh).startswith("corrupt: ")


@pytest.mark.parametrize("offset", [0, 16, 18, 19, 20, 21, 44, 52, 56, 60, 64, 68, 72])
def test_a_header_that_asks_sqlite_for_something_else_is_noticed(
    killed: Path, reopen: Any, offset: int
) -> None:
    """Some of it shows at the first commit only: byte 18 makes the database read-only."""
    flip(killed, offset, 4)
    assert str(reopen(killed).fresh).startswith("corrupt: ")


def test_a_schema_that_was_weakened_is_noticed(killed: Path, reopen: Any) -> None:
    reopen(killed)
    with sqlite3.connect(killed) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, ' REFERENCES volumes', '')")
    db.close()
    assert str(reopen(killed).fresh).startswith("corrupt: ")


def test_a_changed_key_in_an_inner_page_is_noticed(tmp_path: Path, fill: Any, reopen: Any) -> None:
    """It would hide rows from searches."""
    path = tmp_path / "ledger.db"
    fill(
        path,
        [[PutVolume("volume-x", 4096, 1, "", "", True, False), AddFailed("volume-x", tuple(range(999)))]],
    )
    with sqlite3.connect(path) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'failed'").fetchone()
    db.close()
    page = (root - 1) * 4096
    inner = path.read_bytes()[page : page + 4096]
    assert inner[0] == 2, "an inner page of an index"
    flip(path, page + inner.rindex(b"volume-x"), 1)
    assert str(reopen(path).fresh).startswith("corrupt: ")


@pytest.mark.parametrize("ending", [b"", b"SQLite format 3\0", bytes(8192)])
def test_a_file_that_is_no_ledger_is_corrupt(tmp_path: Path, reopen: Any, ending: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(ending)
    assert str(reopen(path).fresh).startswith("corrupt: ")
    assert reopen(path).fresh is None


def test_a_log_without_its_database_is_not_applied_to_the_new_one(killed: Path, reopen: Any) -> None:
    killed.unlink()
    state = reopen(killed)
    assert (state.fresh, state.volumes) == ("missing", {})
    assert [file.name for file in killed.parent.iterdir() if ".stray-" in file.name]


def test_a_ledger_of_another_format_of_sqlite_never_looks_newer(killed: Path, reopen: Any) -> None:
    """A damaged version number is damage, not a newer release."""
    reopen(killed)
    with sqlite3.connect(killed) as db:
        db.execute("UPDATE ledger SET version = 77")
    db.close()
    try:
        assert str(reopen(killed).fresh).startswith("corrupt: ")
    except LedgerTooNew:
        pytest.fail("believed a damaged version")


# --- where a crash may cut the log ---


def test_any_prefix_of_the_log_is_what_a_kill_may_leave(killed: Path, reopen: Any) -> None:
    files, rng = snapshot(killed), random.Random(SEED + 2)
    log = killed.with_name("ledger.db-wal")
    size = len(files[log])
    for cut in [0, 31, 32, 33, size - 1, size - 4096, *(rng.randrange(size) for _ in range(20))]:
        restore(killed, files | {log: files[log][:cut]})
        found = reopen(killed)
        assert found.fresh is None, f"cut at {cut}"


def last_transaction(log: bytes) -> int:
    """The number of its first frame."""
    commits = [
        n for n in range((len(log) - 32) // FRAME_BYTES) if log[32 + n * FRAME_BYTES + 4 :][:4] != bytes(4)
    ]
    return commits[-2] + 1


def test_a_power_cut_may_tear_the_last_transaction_in_any_way(killed: Path, reopen: Any) -> None:
    files = snapshot(killed)
    log = killed.with_name("ledger.db-wal")
    content = files[log]
    first = last_transaction(content)
    frames = (len(content) - 32) // FRAME_BYTES
    assert frames - first >= 2, "the last transaction has several frames"
    for lost in range(first, frames):
        start = 32 + lost * FRAME_BYTES
        for length in (24, 512, FRAME_BYTES):
            torn = content[:start] + bytes(length) + content[start + length :]
            restore(killed, files | {log: torn})
            found = reopen(killed, "boot-2")
            assert found.fresh is None, f"frame {lost}, {length} bytes lost"
            assert found.volumes["vol-b"].intents == set()
            restore(killed, files | {log: torn})
            assert reopen(killed, "boot-1").fresh is not None, "no power cut: it must be damage"


def test_damage_before_the_last_transaction_is_noticed_after_a_power_cut_too(
    killed: Path, reopen: Any
) -> None:
    files, rng = snapshot(killed), random.Random(SEED + 3)
    log = killed.with_name("ledger.db-wal")
    first = last_transaction(files[log])
    for number in range(first - 1):
        restore(killed, files)
        flip(log, 32 + number * FRAME_BYTES + 24 + rng.randrange(4096), 1)
        assert str(reopen(killed, "boot-2").fresh).startswith("corrupt: ")
    for offset in range(32):
        restore(killed, files)
        flip(log, offset, 1)
        assert str(reopen(killed, "boot-2").fresh).startswith("corrupt: ")


def test_what_a_kill_left_uncommitted_does_not_look_like_damage_later(
    killed_copy: Any, tmp_path: Path, reopen: Any
) -> None:
    """The log is emptied at each opening: frames of before never stand behind newer ones."""
    put = PutVolume("v", 1 << 40, 1, "", "", True, False)
    killed = killed_copy([[put], [AddIntents("v", tuple(range(2000)))]])
    log = killed.with_name("ledger.db-wal")
    log.write_bytes(log.read_bytes()[:-FRAME_BYTES])

    async def commit_and_kill() -> None:
        ledger, state = Ledger.open(killed, boot_id="boot-1")
        assert (state.fresh, state.volumes["v"].intents) == (None, set())
        done = asyncio.Event()
        ledger.commit([PutSiteItem("later", "yes")], done.set)
        await asyncio.wait_for(done.wait(), 20)
        shutil.copytree(killed.parent, tmp_path / "again")
        ledger.close()

    asyncio.run(commit_and_kill())
    state = reopen(tmp_path / "again" / killed.name)
    assert (state.fresh, state.items) == (None, {"later": "yes"})


def test_the_check_agrees_with_sqlite_on_a_big_log(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE t (x BLOB)")
    for _ in range(20):
        db.execute("INSERT INTO t VALUES (randomblob(9000))")
    log = (tmp_path / "x.db-wal").read_bytes()
    db.close()
    assert check_wal(log, rebooted=False).damage is None
    assert check_wal(log[:-1], rebooted=True).damage is None
    assert check_wal(bytes(len(log)), rebooted=True).torn


@pytest.mark.anyio
async def test_damage_is_logged_and_the_new_ledger_works(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(os.urandom(20_000))
    ledger, state = Ledger.open(path)
    assert str(state.fresh).startswith("corrupt: ")
    ledger.commit([PutVolume("v", 4096, 1, "", "", False, True), AddIntents("v", (1,))], lambda: None)
    ledger.close()
    again, state = Ledger.open(path)
    assert state.fresh is None
    assert (state.volumes["v"].intents, state.volumes["v"].dirty) == ({1}, BitMap())
    again.close()
