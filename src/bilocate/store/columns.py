"""Column types and SQL functions that mean the same on SQLite and on PostgreSQL."""

import uuid
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar

from sqlalchemy import DateTime, Dialect, Float, String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

E = TypeVar("E", bound=Enum)


class EnumColumn(TypeDecorator[E]):
    """An enum by its value in a plain string column: a new member needs no change of the schema."""

    impl = String(32)
    cache_ok = True

    def __init__(self, enum: type[E]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else str(self.enum(value).value)

    def process_result_value(self, value: Any, dialect: Dialect) -> E | None:
        """From the database."""
        return None if value is None else self.enum(value)


class db_now(FunctionElement[datetime]):
    """The DATABASE's time, UTC without zone, in microseconds, plus `seconds`.

    Leases of several controllers are compared by this one clock; a controller's own may be wrong.
    """

    type = DateTime()
    # The seconds are a bound value, so a statement with it is compiled once: a failover has no time for more.
    inherit_cache = True

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(*([literal(float(seconds), Float)] if seconds else []))


@compiles(db_now, "sqlite")
def _sqlite_now(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    # Milliseconds is what SQLite knows; padded to the six digits that all other stored times have, because
    # they are compared as text.
    seconds = compiler.process(element.clauses, **kw)
    later = f", printf('%+.3f seconds', {seconds})" if seconds else ""
    return f"(strftime('%Y-%m-%d %H:%M:%f000', 'now'{later}))"


@compiles(db_now, "postgresql")
def _postgresql_now(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    # Not now(): that one stands still within a transaction.
    seconds = compiler.process(element.clauses, **kw)
    later = f" + make_interval(secs => {seconds})" if seconds else ""
    return f"timezone('utc', clock_timestamp(){later})"


class seconds_since(FunctionElement[float]):
    """The seconds from a stored time to the DATABASE's present; NULL for NULL."""

    type = Float()
    inherit_cache = True


@compiles(seconds_since, "sqlite")
def _sqlite_since(element: seconds_since, compiler: SQLCompiler, **kw: Any) -> str:
    return f"((julianday('now') - julianday({compiler.process(element.clauses, **kw)})) * 86400.0)"


@compiles(seconds_since, "postgresql")
def _postgresql_since(element: seconds_since, compiler: SQLCompiler, **kw: Any) -> str:
    then = compiler.process(element.clauses, **kw)
    return f"(extract(epoch from timezone('utc', clock_timestamp()) - ({then})))"


def new_id() -> str:
    """A fresh random id in the usual spelling with dashes."""
    return str(uuid.uuid4())


def utc_now() -> datetime:
    """This process's time as the database stores it (UTC, no zone). For tokens' ends, never for leases."""
    return datetime.now(UTC).replace(tzinfo=None)
