"""What a ledger holds, as read and verified when it is opened."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import Any

from pyroaring import BitMap

from bilocate.replication.records import Role, SessionRecord, VolumeRecord
from bilocate.site.ledger import schema
from bilocate.site.ledger.digests import row_digest
from bilocate.site.ledger.errors import DamageFound
from bilocate.site.ledger.schema import Table


@dataclass(slots=True)
class LedgerState:
    """Everything the site knew when it last ran.

    `fresh` says why nothing is known: "missing", or "corrupt: ..." (the damaged files were moved aside);
    None for a ledger that was read.
    """

    sessions: dict[str, SessionRecord] = field(default_factory=dict)
    volumes: dict[str, VolumeRecord] = field(default_factory=dict)
    items: dict[str, str] = field(default_factory=dict)
    fresh: str | None = None


def read_head(db: Connection) -> tuple[int, int]:
    """The format's version and the tally.

    :raises DamageFound: when the row is not there, or not as written.
    """
    rows = db.execute("SELECT id, version, tally, digest FROM ledger").fetchall()
    if len(rows) != 1 or row_digest("ledger", rows[0][:3]) != rows[0][3]:
        raise DamageFound("the head row is not as written")
    _, version, tally, _ = rows[0]
    return version, tally


def load(db: Connection) -> tuple[LedgerState, int]:
    """The state, and the tally over its rows.

    :raises DamageFound: when a row, the set of rows or the schema is not as written.
    """
    found = [
        sql for (sql,) in db.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
    ]
    if found != list(schema.DDL):
        raise DamageFound("the tables are not those of this format")
    _, tally = read_head(db)
    reader = _Reader(db)
    state = reader.read()
    if reader.tally != tally:
        raise DamageFound("rows are missing, or deleted ones are back: the tally does not match")
    return state, tally


class _Reader:
    """Reads all tables once and sums up their digests on the way."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self.tally = 0

    def read(self) -> LedgerState:
        state = LedgerState()
        for session_id, epoch, role, wanted, holds in self._rows(schema.SESSIONS):
            state.sessions[session_id] = SessionRecord(session_id, epoch, Role(role), wanted, holds)
        for volume_id, size, epoch, generation, pending, consistent, blank, boot in self._rows(
            schema.VOLUMES
        ):
            state.volumes[volume_id] = VolumeRecord(
                volume_id, size, epoch, generation, pending, bool(consistent), bool(blank), boot
            )
        self._read_marks(state.volumes)
        for name, value in self._rows(schema.ITEMS):
            state.items[name] = value
        return state

    def _read_marks(self, volumes: dict[str, VolumeRecord]) -> None:
        for volume_id, extent in self._rows(schema.INTENTS):
            _owner(volumes, volume_id).intents.add(extent)
        for volume_id, _, chunks in self._rows(schema.DIRTY):
            _owner(volumes, volume_id).dirty |= BitMap.deserialize(chunks)
        for volume_id, extent in self._rows(schema.FAILED):
            _owner(volumes, volume_id).failed.add(extent)

    def _rows(self, table: Table) -> Iterator[tuple[Any, ...]]:
        for row in self._db.execute(table.select_all):
            content, digest = row[:-1], row[-1]
            if row_digest(table.name, content) != digest:
                raise DamageFound(f"a row of {table.name} is not as written")
            self.tally ^= digest
            yield content


def _owner(volumes: dict[str, VolumeRecord], volume_id: str) -> VolumeRecord:
    try:
        return volumes[volume_id]
    except KeyError:
        raise DamageFound(f"there are marks of a volume {volume_id} that is not there") from None
