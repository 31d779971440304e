"""Opens a ledger's files: verified and loaded, or moved aside and begun anew (rule 17)."""

import contextlib
import fcntl
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from bilocate.site.ledger import schema
from bilocate.site.ledger.errors import DamageFound, LedgerInUse, LedgerTooNew, LedgerUnusable
from bilocate.site.ledger.state import LedgerState, load, read_head
from bilocate.site.ledger.wal import check_wal
from bilocate.site.ledger.writer import write_head

log = structlog.get_logger(__name__)

# Errors that speak of the surroundings, not of the content. The rest of SQLite's means damage.
_SURROUNDINGS = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_AUTH,
}

_DB_HEADER_BYTES = 100


@dataclass(slots=True)
class OpenedFiles:
    """A ledger ready to be written: nobody else has it, and its write-ahead log is empty."""

    path: Path
    db: sqlite3.Connection
    tally: int
    lock: int  # file descriptor; the lock goes with it

    @property
    def wal_path(self) -> Path:
        return _beside(self.path, "-wal")

    def close(self) -> None:
        """Close the database (which empties its log) and let the lock go."""
        try:
            self.db.close()
        finally:
            os.close(self.lock)


def open_files(path: Path, boot_id: str) -> tuple[OpenedFiles, LedgerState]:
    """Open the ledger at `path`; a missing or damaged one is begun anew and says so in `LedgerState.fresh`.

    :raises LedgerInUse: another process has it open.
    :raises LedgerTooNew: a later release wrote it.
    :raises LedgerUnusable: the directory, a permission or the disk is in the way.
    """
    try:
        lock = _take_lock(path)
    except OSError as error:
        raise LedgerUnusable(path, error) from error
    try:
        rebooted = os.pread(lock, 128, 0).decode(errors="replace") != boot_id
        db, tally, state = _open_or_begin(path, rebooted)
        _note_boot(lock, boot_id)
    except BaseException as error:
        os.close(lock)
        if isinstance(error, OSError | sqlite3.Error):
            raise LedgerUnusable(path, error) from error
        raise
    return OpenedFiles(path, db, tally, lock), state


def _take_lock(path: Path) -> int:
    """Hold `path`.lock until this process ends, however it ends.

    SQLite's own lock comes too late: the log is judged before SQLite opens it, and must not be growing then.
    """
    lock = os.open(_beside(path, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise LedgerInUse(path) from None
    return lock


def _note_boot(lock: int, boot_id: str) -> None:
    """Keep the boot id in the lock file: the next start asks whether a power cut may have torn the log."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, boot_id.encode(), 0)
    os.fsync(lock)


def _open_or_begin(path: Path, rebooted: bool) -> tuple[sqlite3.Connection, int, LedgerState]:
    if not path.exists():
        fresh = "missing"
    else:
        try:
            return _open_existing(path, rebooted)
        except DamageFound as damage:
            fresh = f"corrupt: {damage}"
    aside = _move_aside(path, "corrupt" if fresh != "missing" else "stray")
    log.warning("ledger_begun_anew", path=str(path), why=fresh, moved_aside=aside)
    _create(path)
    db, tally, state = _open_existing(path, rebooted=False)
    state.fresh = fresh
    return db, tally, state


def _open_existing(path: Path, rebooted: bool) -> tuple[sqlite3.Connection, int, LedgerState]:
    """Verify and load.

    :raises DamageFound: when the content is not what was written.
    """
    _check_database_header(_read(path, _DB_HEADER_BYTES))
    wal = _beside(path, "-wal")
    verdict = check_wal(_read(wal) if wal.exists() else b"", rebooted)
    if verdict.damage:
        raise DamageFound(verdict.damage)
    if verdict.torn:
        log.info("ledger_torn_tail", path=str(path))
    with contextlib.ExitStack() as undo:
        try:
            db = _connect(path)
            undo.callback(db.close)
            verdicts = [word for (word,) in db.execute("PRAGMA integrity_check(3)")]
            if verdicts != ["ok"]:
                raise DamageFound("; ".join(verdicts))
            _upgrade(path, db)
            state, tally = load(db)
            _truncate_log(db)
        except sqlite3.Error as error:
            if _primary_code(error) in _SURROUNDINGS:
                raise
            raise DamageFound(f"SQLite says: {error}") from error
        except (
            ValueError
        ) as error:  # text, also that of an error message, which is not UTF-8; a NULL where none is stored
            raise DamageFound(str(error)) from error
        undo.pop_all()
    return db, tally, state


def _connect(path: Path) -> sqlite3.Connection:
    # The connection is handed to the ledger's thread once it is open, so the check of threads is off.
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    # Without this, the log's index would be a shared file, and other processes could write.
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    # The next two keep the log in the order that wal.py relies on.
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("PRAGMA cache_spill = OFF")
    return db


def _upgrade(path: Path, db: sqlite3.Connection) -> None:
    """Bring an older format to the present one, a version at a time, each in its own transaction."""
    version, _ = read_head(db)
    if version > schema.VERSION:
        raise LedgerTooNew(path, version, schema.VERSION)
    if version < schema.VERSION:
        # The steps write: nothing may stand in the log behind a tail that was not committed.
        _truncate_log(db)
    while version < schema.VERSION:
        db.execute("BEGIN IMMEDIATE")
        schema.UPGRADES[version](db)
        db.execute("COMMIT")
        version, _ = read_head(db)


def _truncate_log(db: sqlite3.Connection) -> None:
    """Move the log's content into the database and empty it.

    Without this, new frames would be written over what a crash left behind, and old ones of the same salts
    would follow them: a log that wal.py would call damaged.
    """
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _create(path: Path) -> None:
    """Make an empty ledger; it appears under its name only when it is whole and durable."""
    draft = _beside(path, ".new")
    for ending in ("", "-wal", "-shm", "-journal"):
        _beside(draft, ending).unlink(missing_ok=True)
    # Export names stand in it, and they are secrets.
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {schema.PAGE_BYTES}")
        db.execute("PRAGMA journal_mode = WAL")
        for statement in schema.DDL:
            db.execute(statement)
        write_head(db, 0)
    _sync(draft)
    draft.rename(path)
    _sync(path.parent)


def _move_aside(path: Path, why: str) -> list[str]:
    """Rename the ledger's files, never delete them. SQLite would apply a stray log to the new database."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    name, number = f".{why}-{stamp}", 1
    while any(_beside(path, name + ending).exists() for ending in ("", "-wal", "-shm", "-journal")):
        number += 1
        name = f".{why}-{stamp}-{number}"
    moved = []
    for ending in ("", "-wal", "-shm", "-journal"):
        old = _beside(path, ending)
        if old.exists():
            old.rename(_beside(path, name + ending))
            moved.append(path.name + name + ending)
    _sync(path.parent)
    return moved


def _check_database_header(header: bytes) -> None:
    """What SQLite would take for a wish (a page size, read-only, ...) never changes here: it is damage."""
    fixed = (
        (0, b"SQLite format 3\0"),
        (16, schema.PAGE_BYTES.to_bytes(2, "big")),
        (18, bytes((2, 2, 0, 64, 32, 32))),  # write-ahead log, nothing reserved, fixed fractions
        (44, (4).to_bytes(4, "big")),  # schema format
        (52, bytes(4)),  # no auto-vacuum
        (56, (1).to_bytes(4, "big")),  # UTF-8
        (60, bytes(32)),  # user version, vacuum mode, application id, reserved
    )
    for offset, wanted in fixed:
        if header[offset : offset + len(wanted)] != wanted:
            raise DamageFound(f"the database's header is not as written, at byte {offset}")


def _read(path: Path, count: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except (PermissionError, IsADirectoryError):
        raise
    except OSError as error:  # a medium that does not give the bytes back
        raise DamageFound(f"{path.name} can't be read: {error}") from error


def _primary_code(error: sqlite3.Error) -> int:
    # The upper bits of a code only refine it. Errors of the module itself (undecodable text) have none.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
