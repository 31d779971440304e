"""Tables of the operations' journal. Times are the database's (see `columns.db_now`)."""

from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from bilocate.domain.operation_states import OperationStatus
from bilocate.store.base import Base
from bilocate.store.columns import EnumColumn, db_now, new_id


class TargetKind(Enum):
    """What an operation is about."""

    VOLUME = "volume"
    PAIR = "pair"
    GROUP = "group"


class Operation(Base):
    """One verb on one target: who asked, how far it is, who carries it on. Kept when it has ended."""

    __tablename__ = "operations"
    __table_args__ = (
        Index("ix_operations_status_lease", "status", "lease_until"),
        Index("ix_operations_target", "target_kind", "target_id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    verb: Mapped[str] = mapped_column(String(32))
    target_kind: Mapped[TargetKind] = mapped_column(EnumColumn(TargetKind))
    target_id: Mapped[str] = mapped_column(String(36))
    project_id: Mapped[str | None] = mapped_column(String(64))
    args: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # as they were asked for
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # what was found out at the call
    status: Mapped[OperationStatus] = mapped_column(
        EnumColumn(OperationStatus), default=OperationStatus.RUNNING
    )
    step: Mapped[str | None] = mapped_column(String(64))  # the last one that was completed
    attempts: Mapped[int] = mapped_column(Integer, default=0)  # failed tries of all steps
    rounds: Mapped[int] = mapped_column(Integer, default=0)  # how often a lost race was started again
    requested_by: Mapped[str] = mapped_column(String(255), default="")
    request_id: Mapped[str | None] = mapped_column(String(128))  # of the call that began it, for the logs
    error: Mapped[str | None] = mapped_column(Text)
    error_kind: Mapped[str | None] = mapped_column(String(64))  # the error's class
    created_at: Mapped[datetime] = mapped_column(DateTime, default=db_now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime)
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None] = mapped_column(DateTime)
    # Raised by every claim: whoever acts with an older one changes nothing, whenever it wakes up.
    fence: Mapped[int] = mapped_column(Integer, default=1, server_default="1")


class OperationStep(Base):
    """A step that was completed (or taken back), with what it found out."""

    __tablename__ = "operation_steps"

    operation_id: Mapped[str] = mapped_column(
        ForeignKey("operations.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    result: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    at: Mapped[datetime] = mapped_column(DateTime, default=db_now())
    undone_at: Mapped[datetime | None] = mapped_column(DateTime)
