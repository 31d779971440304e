"""Opening the controller's database, and the two ways to use it: `reading()` and `writing()`."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.util import await_only

from bilocate.domain.errors import BilocateError

# How long a writer waits for another process's writer on the same SQLite file, in milliseconds. Writers of
# this process queue on a lock instead, because SQLite's own waiting sleeps ever longer.
SQLITE_BUSY_TIMEOUT_MS = 5000
SQLITE_RETRY_MS = 10
# Connections kept, and how long one waits for a free one, in seconds.
POOL_SIZE = 10
POOL_TIMEOUT_SECONDS = 10
# Kept beside them for what hosts are waiting for, however many clients ask.
URGENT_POOL_SIZE = 3


class DatabaseUnavailable(BilocateError):
    """The database did not answer, or is locked by someone else. Nothing that was under way was promised."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(
            f"the controller's database can't be used now ({type(cause).__name__}: {_first_line(cause)}); "
            "try again shortly, and look at the database server or the state directory's disk if it stays"
        )


class Database:
    """One engine. Sessions come from `reading()` (no locks taken) or `writing()` (commits at its end)."""

    def __init__(self, url: str | URL, patient: bool = False) -> None:
        """`url` names an async driver: sqlite+aiosqlite:///FILE or postgresql+psycopg://...

        `patient`: PostgreSQL is waited for without the bounds of everyday's statements.
        """
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._engine = _make_engine(self.url, self.is_sqlite, POOL_SIZE, patient)
        # SQLite's writers take turns anyway.
        urgent = self._engine if self.is_sqlite else _make_engine(self.url, False, URGENT_POOL_SIZE, patient)
        self._engines = {self._engine, urgent}
        self._readers = _session_maker(self._engine)
        self._writers = _session_maker(self._engine.execution_options(bilocate_writes=True))
        self._urgent_writers = _session_maker(urgent.execution_options(bilocate_writes=True))
        self._one_writer = asyncio.Lock() if self.is_sqlite else None

    def reading(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session to read with; what it changes is rolled back.

        :raises DatabaseUnavailable: when the database can't be reached, on any use inside the block.
        """
        return self._session(self._readers, commit=False)

    def writing(self, urgent: bool = False) -> AbstractAsyncContextManager[AsyncSession]:
        """A transaction that commits when the block ends, and rolls back when it raises.

        Keep it short and never wait for the network in it: on SQLite it is the only one. `urgent`: hosts are waiting
        for it, and it shares no connections with the API's clients.

        :raises DatabaseUnavailable: when the database can't be reached or is locked, also at the commit: then the
            transaction may have been carried out or not.
        """
        return self._session(self._urgent_writers if urgent else self._writers, commit=True)

    async def ping(self) -> None:
        """Returns when the database answers.

        :raises DatabaseUnavailable: when it does not.
        """
        async with self.reading() as db:
            await db.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections. It may be used again after that, also from another event loop."""
        for engine in self._engines:
            await engine.dispose()
        self._one_writer = asyncio.Lock() if self.is_sqlite else None

    @asynccontextmanager
    async def _session(
        self, maker: async_sessionmaker[AsyncSession], commit: bool
    ) -> AsyncIterator[AsyncSession]:
        turn = self._one_writer if commit and self._one_writer is not None else nullcontext()
        try:
            async with turn, maker() as db:
                yield db
                if commit:
                    await db.commit()
        except IntegrityError:
            raise
        except (DBAPIError, PoolTimeout, OSError) as error:
            if isinstance(error, DBAPIError) and not _is_outage(error):
                raise
            raise DatabaseUnavailable(error) from error


def _session_maker(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    return async_sessionmaker(engine, expire_on_commit=False, autoflush=True)


def _make_engine(url: URL, is_sqlite: bool, size: int, patient: bool) -> AsyncEngine:
    if not is_sqlite:
        from bilocate.store.postgresql import (
            connect_arguments,
        )  # its driver's import: 0.2 s for nobody on SQLite

        return create_async_engine(
            url,
            pool_size=size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            # A server that was restarted is noticed before a request is spoiled by it.
            pool_pre_ping=True,
            # Whatever the server's own setting is: the arbiter relies on each statement seeing what is committed.
            isolation_level="READ COMMITTED",
            connect_args=connect_arguments(patient),
        )
    engine = create_async_engine(url, pool_size=size, pool_timeout=POOL_TIMEOUT_SECONDS)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver shall not begin transactions by itself: `_begin_sqlite` does.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}")
    _use_wal(cursor)
    # A permit that was given must be known after a power cut.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Where two controllers open a new file at once, SQLite refuses one of them without waiting."""
    for _ in range(SQLITE_BUSY_TIMEOUT_MS // SQLITE_RETRY_MS):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            await_only(asyncio.sleep(SQLITE_RETRY_MS / 1000))
    cursor.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: an upgrade from reader to writer can fail without waiting.
    writes = connection.get_execution_options().get("bilocate_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


_SQLITE_OUTAGE = (
    "locked",
    "busy",
    "disk i/o error",
    "unable to open",
    "is full",
    "readonly",
    "malformed",
    "not a database",
)
# PostgreSQL's classes of "not now": connection, resources, operator's shutdown, cancelled, serialization, locks, I/O,
# and a transaction that was idle for too long.
_POSTGRESQL_OUTAGE = ("08", "53", "57", "40", "55P", "58", "25P03")


def _is_outage(error: DBAPIError) -> bool:
    """Whether the database was out of reach or busy, and not: the statement was wrong."""
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_POSTGRESQL_OUTAGE)
    message = str(error.orig).lower()
    if type(error.orig).__module__.startswith("psycopg"):
        return type(error.orig).__name__ in ("OperationalError", "InterfaceError", "ConnectionTimeout")
    return any(word in message for word in _SQLITE_OUTAGE)


def _first_line(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return str(cause).splitlines()[0] if str(cause) else ""
