"""Applies changes to the tables: one transaction per call, digests and tally kept right in it."""

# ruff: noqa: S608 - names of tables and columns come from schema.py alone, never from outside

from collections.abc import Callable, Iterable, Sequence
from sqlite3 import Connection
from typing import Any

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
)
from bilocate.site.ledger import schema
from bilocate.site.ledger.digests import Value, row_digest
from bilocate.site.ledger.schema import Table

# Rows in one statement: each statement gives up the interpreter lock and must get it back from a busy event
# loop, so many rows go in few statements. Stays below 999 parameters, the least limit SQLite is built with.
_ROWS_AT_ONCE = 300


class Writer:
    """The only writer of an open ledger. Not thread-safe: it lives in the ledger's thread."""

    def __init__(self, db: Connection, tally: int) -> None:
        self._db = db
        self._tally = tally
        self._apply: dict[type, Callable[[Any], None]] = {
            PutSession: self._put_session,
            DropSession: lambda change: self._drop(schema.SESSIONS, (change.session_id,)),
            PutVolume: self._put_volume,
            DropVolume: self._drop_volume,
            AddIntents: lambda change: self._add(schema.INTENTS, change.volume_id, change.extents),
            DropIntents: self._drop_intents,
            PutDirty: self._put_dirty,
            AddFailed: lambda change: self._add(schema.FAILED, change.volume_id, change.extents),
            ClearMarks: self._clear_marks,
            PutSiteItem: self._put_item,
        }

    def commit(self, changes: Iterable[Change]) -> None:
        """Make the changes durable, all of them or, on any exception, none: the caller must end then."""
        self._db.execute("BEGIN IMMEDIATE")
        for change in changes:
            self._apply[type(change)](change)
        write_head(self._db, self._tally)
        self._db.execute("COMMIT")

    def _put_session(self, change: PutSession) -> None:
        self._put(
            schema.SESSIONS,
            (change.session_id, change.epoch, change.role.value, change.wanted, change.holds_hello),
        )

    def _put_volume(self, change: PutVolume) -> None:
        row = (
            change.volume_id,
            change.size_bytes,
            change.max_epoch,
            change.generation,
            change.pending_generation,
            int(change.consistent),
            int(change.blank),
            change.served_boot_id,
        )
        self._put(schema.VOLUMES, row)

    def _drop_volume(self, change: DropVolume) -> None:
        for table in schema.MARKS:
            self._drop_all(table, change.volume_id)
        self._drop(schema.VOLUMES, (change.volume_id,))

    def _drop_intents(self, change: DropIntents) -> None:
        for some in _slices(change.extents):
            where = f"WHERE volume_id = ? AND extent IN ({', '.join('?' * len(some))})"
            self._forget(f"SELECT digest FROM intents {where}", (change.volume_id, *some))
            self._db.execute(f"DELETE FROM intents {where}", (change.volume_id, *some))

    def _put_dirty(self, change: PutDirty) -> None:
        for segment, chunks in change.segments.items():
            if chunks:
                self._put(schema.DIRTY, (change.volume_id, segment, bytes(chunks)))
            else:
                self._drop(schema.DIRTY, (change.volume_id, segment))

    def _clear_marks(self, change: ClearMarks) -> None:
        self._drop_all(schema.DIRTY, change.volume_id)
        self._drop_all(schema.FAILED, change.volume_id)

    def _put_item(self, change: PutSiteItem) -> None:
        if change.value:
            self._put(schema.ITEMS, (change.key, change.value))
        else:
            self._drop(schema.ITEMS, (change.key,))

    def _put(self, table: Table, row: tuple[Value, ...]) -> None:
        """Insert or replace one row."""
        self._forget(table.select_digest, row[: len(table.key)])
        digest = row_digest(table.name, row)
        self._db.execute(table.upsert, (*row, digest))
        self._tally ^= digest

    def _drop(self, table: Table, key: tuple[Value, ...]) -> None:
        """Delete one row, if it is there."""
        self._forget(table.select_digest, key)
        self._db.execute(table.delete, key)

    def _drop_all(self, table: Table, volume_id: str) -> None:
        """Delete all rows of one volume."""
        where = "WHERE volume_id = ?"
        self._forget(f"SELECT digest FROM {table.name} {where}", (volume_id,))
        self._db.execute(f"DELETE FROM {table.name} {where}", (volume_id,))

    def _add(self, table: Table, volume_id: str, extents: Sequence[int]) -> None:
        """Add extents to intents or failed; those that are there already stay as they are."""
        for some in _slices(extents):
            holes = ", ".join("?" * len(some))
            there = self._db.execute(
                f"SELECT extent FROM {table.name} WHERE volume_id = ? AND extent IN ({holes})",
                (volume_id, *some),
            )
            new = set(some).difference(extent for (extent,) in there.fetchall())
            values: list[Value] = []
            for extent in sorted(new):
                digest = row_digest(table.name, (volume_id, extent))
                self._tally ^= digest
                values += (volume_id, extent, digest)
            if new:
                rows = ", ".join(["(?, ?, ?)"] * len(new))
                self._db.execute(f"INSERT INTO {table.name} VALUES {rows}", values)

    def _forget(self, select_digests: str, parameters: tuple[Value, ...]) -> None:
        """Take rows that are about to go out of the tally."""
        for (digest,) in self._db.execute(select_digests, parameters).fetchall():
            self._tally ^= digest


def write_head(db: Connection, tally: int) -> None:
    """Write the row that says the version and the tally."""
    head = (1, schema.VERSION, tally)
    db.execute("INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?)", (*head, row_digest("ledger", head)))


def _slices(extents: Sequence[int]) -> Iterable[Sequence[int]]:
    for first in range(0, len(extents), _ROWS_AT_ONCE):
        yield extents[first : first + _ROWS_AT_ONCE]
