"""What all tables share."""

from datetime import datetime

from sqlalchemy import DateTime, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bilocate.store.columns import db_now

# Constraints have names that don't depend on the database, so that a later migration can find them.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The root of all tables."""

    metadata = MetaData(naming_convention=NAMES)
    # What the database fills in (ids aside, times) is read back with the same statement.
    __mapper_args__ = {"eager_defaults": True}


class Stamped:
    """Times by the database's clock, UTC. `updated_at` is empty until someone changes the row on purpose."""

    created_at: Mapped[datetime] = mapped_column(DateTime, default=db_now())
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)
