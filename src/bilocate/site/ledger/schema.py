"""The tables of the ledger, and how an older format becomes the present one."""

# ruff: noqa: S608 - names of tables and columns come from this file alone, never from outside

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from sqlite3 import Connection

# Raise it with every change of the tables, and add the step that leads there to `UPGRADES`.
VERSION = 1

# SQLite's default; a part of the format, since the check of the write-ahead log counts in it.
PAGE_BYTES = 4096

# The one table whose shape is the same in every version: it says which version the others have.
HEAD_DDL = (
    "CREATE TABLE ledger (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, tally INTEGER NOT NULL,"
    " digest INTEGER NOT NULL)"
)


@dataclass(frozen=True)
class Table:
    """A table: its key, its other columns, and the statements used on it. Every row ends with its digest."""

    name: str
    key: tuple[str, ...]
    values: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns but the digest, in the order in which the digest covers them."""
        return self.key + self.values

    @property
    def select_all(self) -> str:
        return f"SELECT {', '.join(self.columns)}, digest FROM {self.name}"

    @property
    def select_digest(self) -> str:
        return f"SELECT digest FROM {self.name} WHERE {self._where}"

    @property
    def upsert(self) -> str:
        names = (*self.columns, "digest")
        changed = ", ".join(f"{name} = excluded.{name}" for name in (*self.values, "digest"))
        return (
            f"INSERT INTO {self.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
            f" ON CONFLICT ({', '.join(self.key)}) DO UPDATE SET {changed}"
        )

    @property
    def delete(self) -> str:
        return f"DELETE FROM {self.name} WHERE {self._where}"

    @property
    def _where(self) -> str:
        return " AND ".join(f"{name} = ?" for name in self.key)


SESSIONS = Table("sessions", ("session_id",), ("epoch", "role", "wanted", "holds_hello"))
VOLUMES = Table(
    "volumes",
    ("volume_id",),
    ("size_bytes", "max_epoch", "generation", "pending_generation", "consistent", "blank", "served_boot_id"),
)
INTENTS = Table("intents", ("volume_id", "extent"))
DIRTY = Table("dirty", ("volume_id", "segment"), ("chunks",))
FAILED = Table("failed", ("volume_id", "extent"))
ITEMS = Table("items", ("name",), ("value",))

TABLES = (SESSIONS, VOLUMES, INTENTS, DIRTY, FAILED, ITEMS)
# What goes when a volume goes.
MARKS = (INTENTS, DIRTY, FAILED)

# Marks refer to their volume, so that a mark that would be lost at the next start fails at once instead.
DDL = (
    HEAD_DDL,
    "CREATE TABLE sessions (session_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, role TEXT NOT NULL,"
    " wanted TEXT NOT NULL, holds_hello INTEGER NOT NULL, digest INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE volumes (volume_id TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL,"
    " max_epoch INTEGER NOT NULL, generation TEXT NOT NULL, pending_generation TEXT NOT NULL,"
    " consistent INTEGER NOT NULL, blank INTEGER NOT NULL, served_boot_id TEXT NOT NULL,"
    " digest INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE intents (volume_id TEXT NOT NULL REFERENCES volumes, extent INTEGER NOT NULL,"
    " digest INTEGER NOT NULL, PRIMARY KEY (volume_id, extent)) WITHOUT ROWID",
    "CREATE TABLE dirty (volume_id TEXT NOT NULL REFERENCES volumes, segment INTEGER NOT NULL,"
    " chunks BLOB NOT NULL, digest INTEGER NOT NULL, PRIMARY KEY (volume_id, segment)) WITHOUT ROWID",
    "CREATE TABLE failed (volume_id TEXT NOT NULL REFERENCES volumes, extent INTEGER NOT NULL,"
    " digest INTEGER NOT NULL, PRIMARY KEY (volume_id, extent)) WITHOUT ROWID",
    "CREATE TABLE items (name TEXT PRIMARY KEY, value TEXT NOT NULL, digest INTEGER NOT NULL) WITHOUT ROWID",
)

# From a version to the next: a step alters the tables and keeps digests and tally right (Writer helps).
# Version 1 is the first, so there is none yet.
UPGRADES: Mapping[int, Callable[[Connection], None]] = {}
