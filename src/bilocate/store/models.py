"""Tables of what is protected: volumes, attachments, pairs, groups, and the sessions that decide.

A status is changed by `store.transitions` only. `operation_id` names the operation under way on a row; no
second one begins before that is empty again. There is no foreign key from a pair to its volumes: a pair in
`error` goes on telling which volumes it was made of after they are gone.
"""

from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, DateTime, ForeignKey, Index, Integer, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from bilocate.domain.arbiter import Row, RowState
from bilocate.domain.failures import Failure
from bilocate.domain.group_states import GroupStatus
from bilocate.domain.pair_states import PairStatus
from bilocate.domain.volume_states import VolumeStatus
from bilocate.store.base import Base, Stamped
from bilocate.store.columns import EnumColumn, new_id


def _orders(table: str, *columns: str) -> tuple[Index, ...]:
    """A project's rows in the orders in which lists show them: a page is read, and not sorted out of all rows."""
    return (
        Index(f"ix_{table}_project_id_id", "project_id", "id"),
        # With the order that a list has by itself: those of one name are found in it.
        Index(f"ix_{table}_project_name", "project_id", "name", "created_at", "id"),
        *(Index(f"ix_{table}_project_{each}", "project_id", each, "id") for each in ("created_at", *columns)),
    )


class Volume(Stamped, Base):
    """A block device of a fixed size at one site."""

    __tablename__ = "volumes"
    __table_args__ = _orders("volumes", "status", "size_gib", "site", "bootable")

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(255), default="")
    description: Mapped[str] = mapped_column(Text, default="")
    size_gib: Mapped[int] = mapped_column(Integer)
    volume_type: Mapped[str] = mapped_column(String(255))
    site: Mapped[str] = mapped_column(String(255), index=True)
    status: Mapped[VolumeStatus] = mapped_column(EnumColumn(VolumeStatus), default=VolumeStatus.CREATING)
    bootable: Mapped[bool] = mapped_column(Boolean, default=False)
    multiattach: Mapped[bool] = mapped_column(Boolean, default=False)
    # Hosts that attach from now on may only read. Both volumes of a pair say the same.
    read_only: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    user_metadata: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    # Texts of its owner, which block storage keeps for compute services; none: none yet.
    image_metadata: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    tags: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))  # EVS's, none: none yet
    user_id: Mapped[str | None] = mapped_column(String(64))
    # The pair that has claimed this volume: a volume is in one pair at most.
    pair_id: Mapped[str | None] = mapped_column(String(36), index=True)
    # Rises with every change of what the site's agent is to do with the volume (size, exports).
    wanted_revision: Mapped[int] = mapped_column(Integer, default=1)
    # Once its site has made it, it is never made again: a disk that was lost must not come back empty.
    made: Mapped[bool] = mapped_column(Boolean, default=False)
    # The device or file at its site that it was adopted from: it stays when the volume goes.
    source: Mapped[str | None] = mapped_column(Text)
    # The volume that it began as a copy of, which may be gone.
    source_volume_id: Mapped[str | None] = mapped_column(String(36), index=True)
    operation_id: Mapped[str | None] = mapped_column(String(36))
    failure: Mapped[Failure | None] = mapped_column(EnumColumn(Failure))
    failure_message: Mapped[str | None] = mapped_column(Text)


# What an attachment's host may do: its `mode`.
READ_WRITE, READ_ONLY = "rw", "ro"


class AttachmentKind(Enum):
    """Who holds the volume."""

    CONNECTION = "connection"  # bare: made by "initialize connection"; a failover revokes it
    ATTACHMENT = "attachment"  # a compute service's; stays until that service ends it


class AttachmentStatus(Enum):
    """How far a compute service has come. A connection is attached from the beginning."""

    RESERVED = "reserved"  # the host is not known yet
    ATTACHING = "attaching"  # the host has its export
    ATTACHED = "attached"


class Attachment(Stamped, Base):
    """A host's way to a volume: an export whose name is a secret. Live while `ended_at` is empty.

    Without an export: the host is not known yet, or came in by a connection of its own (`os-attach`).
    """

    __tablename__ = "attachments"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    volume_id: Mapped[str] = mapped_column(ForeignKey("volumes.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[str] = mapped_column(String(64), index=True)
    kind: Mapped[AttachmentKind] = mapped_column(EnumColumn(AttachmentKind))
    export_name: Mapped[str | None] = mapped_column(String(128), unique=True)
    instance_uuid: Mapped[str | None] = mapped_column(String(64))
    host: Mapped[str | None] = mapped_column(String(255))
    mountpoint: Mapped[str | None] = mapped_column(String(255))
    mode: Mapped[str] = mapped_column(String(8), default=READ_WRITE)
    connector: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    status: Mapped[AttachmentStatus] = mapped_column(
        EnumColumn(AttachmentStatus), default=AttachmentStatus.ATTACHED
    )
    attached_at: Mapped[datetime | None] = mapped_column(DateTime)
    ended_at: Mapped[datetime | None] = mapped_column(DateTime)
    ended_because: Mapped[str | None] = mapped_column(String(64))


class Session(Base):
    """A session: the arbiter's row, and what the controller wants of it (rule REV: epoch and revision).

    The upper part is changed by `store.arbiter` only. Its id is that of the pair or of the group it carries.
    """

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger, unique=True)
    primary_site: Mapped[str] = mapped_column(String(255))
    secondary_site: Mapped[str] = mapped_column(String(255))
    state: Mapped[RowState] = mapped_column(EnumColumn(RowState))
    version: Mapped[int] = mapped_column(BigInteger, default=1)
    # When the state last left "in sync": how far behind the secondary may be at most.
    behind_since: Mapped[datetime | None] = mapped_column(DateTime)

    revision: Mapped[int] = mapped_column(Integer, default=1)
    paused: Mapped[bool] = mapped_column(Boolean, default=True)
    # An operator has said that the primary's data is the truth although its ledger may know nothing
    # (rule 17). Both go out by themselves when the session is in sync.
    trust_blank: Mapped[bool] = mapped_column(Boolean, default=False)
    allow_dirty: Mapped[bool] = mapped_column(Boolean, default=False)
    # The last change of primary was a forced failover: the old primary may hold answered writes.
    forced: Mapped[bool] = mapped_column(Boolean, default=False)
    # A failover told the secondary to take no hello (rule 22); a reversal told the primary to hold its
    # hosts (rule 23). Set before the agent is told, cleared when it has let go again.
    held: Mapped[bool] = mapped_column(Boolean, default=False)
    quiesced: Mapped[bool] = mapped_column(Boolean, default=False)

    def row(self) -> Row:
        """The arbiter's view."""
        return Row(self.id, self.epoch, self.primary_site, self.secondary_site, self.state, self.version)


class Group(Stamped, Base):
    """Pairs that fail over together."""

    __tablename__ = "groups"
    __table_args__ = _orders("groups", "status", "priority_site")

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(255), default="")
    description: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[GroupStatus] = mapped_column(EnumColumn(GroupStatus), default=GroupStatus.CREATING)
    priority_site: Mapped[str] = mapped_column(String(255))  # the site of production
    operation_id: Mapped[str | None] = mapped_column(String(36))
    failure: Mapped[Failure | None] = mapped_column(EnumColumn(Failure))
    failure_message: Mapped[str | None] = mapped_column(Text)


class Pair(Stamped, Base):
    """Two volumes of equal size at two sites. First and second are in the order in which they were given."""

    __tablename__ = "pairs"
    __table_args__ = _orders("pairs", "status", "priority_site")

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(255), default="")
    description: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[PairStatus] = mapped_column(EnumColumn(PairStatus), default=PairStatus.CREATING)
    first_volume_id: Mapped[str] = mapped_column(String(36), index=True)
    second_volume_id: Mapped[str] = mapped_column(String(36), index=True)
    first_site: Mapped[str] = mapped_column(String(255))
    second_site: Mapped[str] = mapped_column(String(255))
    priority_site: Mapped[str] = mapped_column(String(255))  # the site of production
    group_id: Mapped[str | None] = mapped_column(ForeignKey("groups.id"), index=True)
    # The session that carries it: its own (paused), or its group's.
    session_id: Mapped[str | None] = mapped_column(ForeignKey("sessions.id"), index=True)
    size_gib: Mapped[int] = mapped_column(Integer)
    volume_type: Mapped[str] = mapped_column(String(255))
    multiattach: Mapped[bool] = mapped_column(Boolean, default=False)
    operation_id: Mapped[str | None] = mapped_column(String(36))
    failure: Mapped[Failure | None] = mapped_column(EnumColumn(Failure))
    failure_message: Mapped[str | None] = mapped_column(Text)

    def volume_at(self, site: str) -> str:
        """The id of the pair's volume at `site`; KeyError when the pair has none there."""
        return {self.first_site: self.first_volume_id, self.second_site: self.second_volume_id}[site]

    @property
    def secondary_site(self) -> str:
        """The site that is not production."""
        return self.second_site if self.priority_site == self.first_site else self.first_site


class Quota(Base):
    """How much of one resource a project may have; -1 and no row: any amount."""

    __tablename__ = "quotas"

    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    resource: Mapped[str] = mapped_column(String(64), primary_key=True)
    hard_limit: Mapped[int] = mapped_column(Integer)


class Sequence(Base):
    """A rising number of the installation. One row is named `epoch`."""

    __tablename__ = "sequences"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
