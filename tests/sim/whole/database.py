"""The controllers' database: a real SQLite file, used without a thread, in the world's time, and with its accidents.

A transaction may be slow, be refused, or be carried out although its caller hears of an error. One that is open when
its controller dies is rolled back. Only the thread of the driver is replaced: SQLAlchemy and SQLite are the real ones.
"""

import asyncio
import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import aiosqlite
from sqlalchemy import event
from tests.sim.world.scheduler import Scheduler

from bilocate.store.database import Database

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

EPOCH = datetime(2026, 1, 1)
BUSY_SECONDS = 5.0
BUSY_LOOK_SECONDS = 0.004
_NAMES = itertools.count()
_MEMORY = Path("/dev/shm")


class Accidents:
    """What happens to transactions. `calm`: nothing any more."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.calm = False
        self._share = rng.choice((0.0, 0.0, 0.02, 0.1))
        self._slow_seconds = rng.choice((0.001, 0.005, 0.02))

    def delay(self) -> float:
        """Until a transaction begins, or is committed."""
        slow = not self.calm and self.rng.random() < self._share / 2
        return self.rng.random() * (0.6 if slow else self._slow_seconds)

    def happens(self) -> bool:
        """Whether something goes wrong now."""
        return not self.calm and self.rng.random() < self._share


class Inline(aiosqlite.Connection):
    """A connection whose work is done at once, by whoever asks for it."""

    def __init__(self, file: "DatabaseFile") -> None:
        super().__init__(file.open, 64)
        self._file = file
        self._tx = _AtOnce()  # type: ignore[assignment]

    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        return self._connect().__await__()

    def __del__(self) -> None:
        """Closed with its file."""

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._connection is None:
            raise sqlite3.OperationalError("disk I/O error: its process has ended")
        statement = args[0] if args and isinstance(args[0], str) else ""
        if not statement.startswith("BEGIN"):
            return fn(*args, **kwargs)
        await asyncio.sleep(self._file.accidents.delay())
        until = self._file.scheduler.now + BUSY_SECONDS
        while True:
            try:
                return fn(*args, **kwargs)
            except sqlite3.OperationalError:  # another controller's transaction is open
                if self._file.scheduler.now > until:
                    raise
            await asyncio.sleep(BUSY_LOOK_SECONDS)

    async def commit(self) -> None:
        """Perhaps slow, perhaps refused, perhaps carried out without an answer."""
        connection, file = self._connection, self._file
        if connection is None or not connection.in_transaction:
            return
        await asyncio.sleep(file.accidents.delay())
        if self._connection is None:
            raise sqlite3.OperationalError("disk I/O error: its process has ended")
        wrong = file.accidents.happens()
        if wrong and file.accidents.rng.random() < 0.5:
            connection.rollback()
            raise sqlite3.OperationalError("database is locked")
        connection.commit()
        file.committed()
        if wrong:
            raise sqlite3.OperationalError("disk I/O error: after the commit")

    def cut(self) -> None:
        """Its process ended: what was not committed never happened."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class _AtOnce:
    """In place of the queue to the driver's thread."""

    def put_nowait(self, item: tuple["asyncio.Future[Any] | None", Callable[[], Any]]) -> None:
        future, function = item
        result = function()
        if future is not None:
            future.set_result(result)


class DatabaseFile:
    """One file in a directory of its own. `committed` is called behind every commit."""

    def __init__(self, scheduler: Scheduler, rng: Random, template: Path, compiled_by: "Engine") -> None:
        self.scheduler = scheduler
        self._compiled_by = compiled_by
        self.accidents = Accidents(rng)
        self.committed: Callable[[], None] = lambda: None
        self._place = tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
        self.path = Path(self._place.name) / f"{next(_NAMES)}.db"
        shutil.copy(template, self.path)
        self._reader = self.open()
        self._connections: list[tuple[str, Inline]] = []
        self._records: list[Any] = []  # the pools' own of them

    def open(self) -> sqlite3.Connection:
        """A plain connection, whose clock is the world's."""
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=0, cached_statements=512)
        connection.create_function("strftime", -1, self._strftime)
        return connection

    def for_controller(self, name: str) -> Database:
        """As a controller opens it."""
        database = Database(f"sqlite+aiosqlite:///{self.path}")
        for engine in database._engines:
            event.listen(engine.sync_engine, "do_connect", self._connector(name))
            event.listen(engine.sync_engine, "connect", _without_waiting)
        share_statements(database, self._compiled_by)
        return database

    def _connector(self, name: str) -> Callable[..., None]:
        def create(*args: Any, **kwargs: Any) -> Inline:
            connection = Inline(self)
            self._connections.append((name, connection))
            return connection

        def connect(_dialect: Any, record: Any, _args: Any, parameters: dict[str, Any]) -> None:
            parameters["async_creator_fn"] = create
            self._records.append(record)

        return connect

    def died(self, name: str) -> None:
        """A controller's process ended."""
        for owner, connection in self._connections:
            if owner == name:
                connection.cut()
        self._connections = [each for each in self._connections if each[0] != name]

    def read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What is committed."""
        return self._reader.execute(query, values).fetchall()

    def close(self) -> None:
        """Delete it."""
        for _, connection in self._connections:
            connection.cut()
        for record in self._records:
            record.fairy_ref = None  # else the pool complains of connections whose user was killed
        self._reader.close()
        self._place.cleanup()

    def _strftime(self, _format: str, _now: str, later: str = "+0 seconds") -> str:
        """The one use that the store makes of it: now, and so much later (`columns.db_now`)."""
        moment = EPOCH + timedelta(seconds=self.scheduler.now + float(later.split()[0]))
        return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03}000"


def share_statements(database: Database, with_engine: "Engine") -> None:
    """What SQLAlchemy has once made of a statement serves all: controllers start anew all the time."""
    makers = (database._readers, database._writers, database._urgent_writers)
    for engine in {*database._engines, *(maker.kw["bind"] for maker in makers)}:
        engine.sync_engine.dialect = with_engine.dialect
        engine.sync_engine._compiled_cache = with_engine._compiled_cache


def _without_waiting(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 0")  # it would wait in real time
    cursor.execute("PRAGMA synchronous = OFF")  # no power cut of this machine is simulated
    cursor.close()
