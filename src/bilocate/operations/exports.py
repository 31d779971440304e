"""A host's way to a volume: an export whose name is a secret, opened and closed at the volume's site."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import NotFound, OperationError, SecondaryNotServed, WrongStatus
from bilocate.domain.errors_volumes import OnlyRead
from bilocate.domain.volume_states import VolumeStatus
from bilocate.operations.context import Context
from bilocate.store.columns import db_now
from bilocate.store.models import READ_ONLY, READ_WRITE, Attachment, AttachmentKind, Pair, Session, Volume
from bilocate.store.transitions import lock

# 256 bits: nobody finds an export by trying.
SECRET_BYTES = 32

# A volume that is being made, deleted or is broken has nothing to serve.
SERVED = frozenset(
    {
        VolumeStatus.AVAILABLE,
        VolumeStatus.RESERVED,
        VolumeStatus.ATTACHING,
        VolumeStatus.IN_USE,
        VolumeStatus.DETACHING,
        VolumeStatus.EXTENDING,
    }
)


@dataclass(frozen=True, slots=True)
class Connector:
    """Who connects, as far as it is told."""

    instance_uuid: str | None = None
    host: str | None = None
    mountpoint: str | None = None
    mode: str | None = None  # None: what the volume allows
    properties: dict[str, Any] = field(default_factory=dict)


def new_export_name() -> str:
    """A secret that lets a host in."""
    return secrets.token_urlsafe(SECRET_BYTES)


async def open_export(
    context: Context, volume_id: str, kind: AttachmentKind, connector: Connector, project_id: str | None
) -> Attachment:
    """See `Operations.connect`."""
    async with context.database.writing() as db:
        volume = await lock(db, Volume, volume_id, project_id)
        await _require_served(db, volume)
        attachment = Attachment(
            volume_id=volume.id,
            project_id=volume.project_id,
            kind=kind,
            export_name=new_export_name(),
            instance_uuid=connector.instance_uuid,
            host=connector.host,
            mountpoint=connector.mountpoint,
            mode=allowed_mode(volume, connector.mode),
            connector=connector.properties,
            attached_at=db_now(),  # the database's clock
        )
        db.add(attachment)
        volume.wanted_revision += 1
    try:
        await context.reconciler.push_volume(volume_id)
    except OperationError:
        await _end(context, attachment.id, "its site did not take it up")
        context.reconciler.kick(volume.site)  # it may have taken it up all the same
        raise
    return attachment


async def close_export(
    context: Context, attachment_id: str, project_id: str | None, why: str = "ended by its user"
) -> None:
    """See `Operations.disconnect`."""
    async with context.database.reading() as db:
        attachment = await db.get(Attachment, attachment_id)
        if attachment is None or project_id not in (None, attachment.project_id):
            raise NotFound("attachment", attachment_id)
        volume = await db.get(Volume, attachment.volume_id)
    await _end(context, attachment_id, why)
    try:
        await context.reconciler.push_volume(attachment.volume_id, context.settings.timing.tell_seconds)
    except OperationError:
        if volume is not None:
            context.reconciler.kick(volume.site)


def allowed_mode(volume: Volume, asked: str | None) -> str:
    """What a host may do with the volume, if it is to do what is asked.

    :raises OnlyRead: it is to write, and the volume is read-only.
    """
    if volume.read_only and asked == READ_WRITE:
        raise OnlyRead(volume.id)
    return asked or (READ_ONLY if volume.read_only else READ_WRITE)


async def _require_served(db: AsyncSession, volume: Volume) -> None:
    if volume.status not in SERVED:
        served = sorted(SERVED, key=lambda status: status.value)
        raise WrongStatus(
            "volume", volume.id, volume.status, served, "wait until it is, or use another volume"
        )
    await require_production(db, volume)


async def require_production(db: AsyncSession, volume: Volume) -> None:
    """:raises SecondaryNotServed: the volume is a pair's DR copy now."""
    if volume.pair_id is None:
        return
    pair = await db.get(Pair, volume.pair_id)
    session = await db.get(Session, pair.session_id) if pair is not None and pair.session_id else None
    # A pair that is being made has no session yet; what it was told is what counts then.
    primary = session.primary_site if session is not None else pair.priority_site if pair else volume.site
    if primary != volume.site:
        raise SecondaryNotServed(volume.id, volume.site, primary)


async def _end(context: Context, attachment_id: str, why: str) -> None:
    async with context.database.writing() as db:
        attachment = await db.get(Attachment, attachment_id, with_for_update=True)
        if attachment is None or attachment.ended_at is not None:
            return
        volume = await lock(db, Volume, attachment.volume_id)
        attachment.ended_at = db_now()  # the database's clock
        attachment.ended_because = why
        volume.wanted_revision += 1
