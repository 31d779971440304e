"""A compute service's attachments: it reserves a volume, connects a host, says that it has attached, and detaches.

Each changes the volume's status by its table, in the transaction that writes the attachment's row. An attachment has
an export from when its host is known. One that was made by `attach` has none: its host came in by a connection.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import NotFound, OperationError, WrongStatus
from bilocate.domain.errors_volumes import AttachedAlready, AttachmentNotReady, ManyAttachments
from bilocate.domain.volume_states import VOLUME, VolumeEvent, VolumeStatus
from bilocate.operations.context import Context
from bilocate.operations.exports import (
    Connector,
    allowed_mode,
    close_export,
    new_export_name,
    require_production,
)
from bilocate.operations.verbs._shared import live_attachments, require_status
from bilocate.store.columns import db_now
from bilocate.store.models import Attachment, AttachmentKind, AttachmentStatus, Volume
from bilocate.store.transitions import lock, move_volume

_S, _E = VolumeStatus, VolumeEvent
WAIT = "wait for what is going on, or use another volume"


class Attachments:
    """What a compute service does with volumes. `project_id` None: any project's.

    All raise `NotFound` and `Conflict`s, having changed nothing; what needs the site's agent raises `OutOfReach` too.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    # --- the volume's actions, without attachments of their own ---

    async def reserve_volume(self, volume_id: str, project_id: str | None) -> None:
        """Keep the volume for a host: attaching. One that is in use stays so, if it may have several hosts."""
        async with self._context.database.writing() as db:
            volume = await lock(db, Volume, volume_id, project_id)
            await _require_room(db, volume, [_S.AVAILABLE, _S.IN_USE])
            move_volume(volume, _E.RESERVE if volume.status is _S.IN_USE else _E.BEGIN_ATTACH)

    async def unreserve_volume(self, volume_id: str, project_id: str | None) -> None:
        """Take that back. Nothing happens when nothing is reserved."""
        async with self._context.database.writing() as db:
            volume = await lock(db, Volume, volume_id, project_id)
            if volume.status in (_S.AVAILABLE, _S.IN_USE):
                return
            for attachment in await _attachments(db, volume):
                status = attachment.status.value
                raise AttachmentNotReady(
                    attachment.id, status, "gone", "it holds the volume: delete it instead"
                )
            require_status("volume", volume.id, volume.status, VOLUME, _E.UNRESERVE, WAIT)
            move_volume(volume, _E.UNRESERVE)

    async def attach(self, volume_id: str, connector: Connector, project_id: str | None) -> Attachment:
        """A host has attached, by a connection that it was given before: in use."""
        async with self._context.database.writing() as db:
            volume = await lock(db, Volume, volume_id, project_id)
            await _require_room(db, volume, [_S.AVAILABLE, _S.ATTACHING, _S.IN_USE])
            attachment = _new(volume, connector, AttachmentStatus.ATTACHED)
            attachment.attached_at = db_now()  # the database's clock
            db.add(attachment)
            move_volume(volume, _E.ATTACH)
        return attachment

    async def begin_detaching(self, volume_id: str, project_id: str | None) -> None:
        """A host is about to leave: detaching."""
        await self._move(volume_id, _E.BEGIN_DETACH, project_id)

    async def roll_detaching(self, volume_id: str, project_id: str | None) -> None:
        """It stays after all: in use."""
        await self._move(volume_id, _E.ROLL_DETACHING, project_id)

    async def detach(self, volume_id: str, attachment_id: str | None, project_id: str | None) -> str:
        """End the volume's attachment, or the one that is named; returns its id."""
        async with self._context.database.reading() as db:
            volume = await db.get(Volume, volume_id)
            if volume is None or project_id not in (None, volume.project_id):
                raise NotFound("volume", volume_id)
            live = [each.id for each in await _attachments(db, volume)]
        if attachment_id is None:
            if not live:
                needed = [_S.IN_USE, _S.DETACHING]
                raise WrongStatus("volume", volume_id, volume.status, needed, "it has no attachment to end")
            if len(live) > 1:
                raise ManyAttachments(volume_id, live)
            attachment_id = live[0]
        if attachment_id not in live:
            raise NotFound("attachment", attachment_id)
        await self.end(attachment_id, project_id)
        return attachment_id

    async def force_detach(
        self, volume_id: str, attachment_id: str | None, host: str | None, project_id: str | None
    ) -> list[str]:
        """For an admin, where the host is missing: end the attachment that is named, or those of `host`, or the only
        one, and that host's connections beside it. Returns their ids; none: only the status was left of it.
        """
        async with self._context.database.reading() as db:
            volume = await db.get(Volume, volume_id)
            if volume is None or project_id not in (None, volume.project_id):
                raise NotFound("volume", volume_id)
            live = await live_attachments(db, [volume_id])
        kept = [each for each in live if each.kind is AttachmentKind.ATTACHMENT]
        if attachment_id is not None:
            chosen = [each for each in kept if each.id == attachment_id]
            if not chosen:
                raise NotFound("attachment", attachment_id)
        elif host is not None:
            chosen = [each for each in kept if each.host == host]
        elif len(kept) > 1:
            raise ManyAttachments(volume_id, [each.id for each in kept])
        else:
            chosen = kept
        hosts = {host, *(each.host for each in chosen)} - {None}
        ways = [each for each in live if each.kind is AttachmentKind.CONNECTION and each.host in hosts]
        if not chosen and not ways:
            await self._leave(volume_id, project_id)
        for each in chosen:
            await self.end(each.id, project_id, "its host is missing")
        for each in ways:
            await close_export(self._context, each.id, project_id, "its host is missing")
        return [each.id for each in (*chosen, *ways)]

    # --- attachments as things of their own ---

    async def reserve(self, volume_id: str, connector: Connector, project_id: str | None) -> Attachment:
        """A new attachment whose host gets its export later, by `connect`."""
        async with self._context.database.writing() as db:
            volume = await lock(db, Volume, volume_id, project_id)
            await _require_room(db, volume, [_S.AVAILABLE, _S.IN_USE])
            attachment = _new(volume, connector, AttachmentStatus.RESERVED)
            db.add(attachment)
            move_volume(volume, _E.RESERVE)
        return attachment

    async def connect(
        self, attachment_id: str, properties: dict[str, Any], project_id: str | None
    ) -> Attachment:
        """Give the attachment's host its export, which is served when this returns. May be repeated."""
        volume = await self._name_export(attachment_id, properties, project_id)
        try:
            await self._context.reconciler.push_volume(volume.id)
        except OperationError:
            await self._forget_export(attachment_id, project_id)
            self._context.reconciler.kick(volume.site)  # it may have taken it up all the same
            raise
        async with self._context.database.writing() as db:
            volume, attachment = await _locked(db, attachment_id, project_id)
            await require_production(db, volume)  # it may have moved meanwhile
            if attachment.status is AttachmentStatus.RESERVED:
                attachment.status = AttachmentStatus.ATTACHING
            if volume.status is _S.RESERVED:
                move_volume(volume, _E.BEGIN_ATTACH)
        return attachment

    async def complete(self, attachment_id: str, project_id: str | None) -> None:
        """The host has attached: in use. May be repeated."""
        async with self._context.database.writing() as db:
            volume, attachment = await _locked(db, attachment_id, project_id)
            if attachment.status is AttachmentStatus.ATTACHED:
                return
            if attachment.status is AttachmentStatus.RESERVED:
                remedy = "update it with its host's connector first"
                raise AttachmentNotReady(attachment.id, attachment.status.value, "attaching", remedy)
            require_status("volume", volume.id, volume.status, VOLUME, _E.ATTACH, WAIT)
            attachment.status = AttachmentStatus.ATTACHED
            attachment.attached_at = db_now()  # the database's clock
            move_volume(volume, _E.ATTACH)

    async def end(self, attachment_id: str, project_id: str | None, why: str = "ended by its user") -> None:
        """The attachment is over, its export is closed. A site that does not answer is told when it is back."""
        async with self._context.database.writing() as db:
            volume, attachment = await _locked(db, attachment_id, project_id)
            others = [each for each in await _attachments(db, volume) if each.id != attachment.id]
            event = _E.DETACH_ONE if others else _E.DETACH_LAST
            require_status("volume", volume.id, volume.status, VOLUME, event, WAIT)
            attachment.ended_at = db_now()  # the database's clock
            attachment.ended_because = why
            volume.wanted_revision += 1
            move_volume(volume, event)
        try:
            await self._context.reconciler.push_volume(volume.id, self._context.settings.timing.tell_seconds)
        except OperationError:
            self._context.reconciler.kick(volume.site)

    # --- parts ---

    async def _leave(self, volume_id: str, project_id: str | None) -> None:
        """Nobody is attached, and the status says otherwise."""
        async with self._context.database.writing() as db:
            volume = await lock(db, Volume, volume_id, project_id)
            needed = [_S.RESERVED, _S.ATTACHING, _S.IN_USE, _S.DETACHING]
            if volume.status not in needed or await _attachments(db, volume):
                raise WrongStatus(
                    "volume", volume.id, volume.status, needed, "it has no such attachment to end"
                )
            move_volume(volume, _E.DETACH_LAST)

    async def _move(self, volume_id: str, event: VolumeEvent, project_id: str | None) -> None:
        async with self._context.database.writing() as db:
            volume = await lock(db, Volume, volume_id, project_id)
            require_status("volume", volume.id, volume.status, VOLUME, event, WAIT)
            move_volume(volume, event)

    async def _name_export(
        self, attachment_id: str, properties: dict[str, Any], project_id: str | None
    ) -> Volume:
        """The export, so that the site can be told of it; statuses move when it serves it."""
        async with self._context.database.writing() as db:
            volume, attachment = await _locked(db, attachment_id, project_id)
            if attachment.status is AttachmentStatus.ATTACHED:
                remedy = "its host has attached: make another attachment for another host"
                raise AttachmentNotReady(attachment.id, "attached", "reserved or attaching", remedy)
            needed = [_S.RESERVED, _S.ATTACHING, _S.IN_USE, _S.DETACHING]
            if volume.status not in needed:
                raise WrongStatus("volume", volume.id, volume.status, needed, WAIT)
            await require_production(db, volume)
            attachment.host = properties["host"]
            attachment.mountpoint = properties.get("mountpoint")
            attachment.connector = properties
            attachment.export_name = attachment.export_name or new_export_name()
            volume.wanted_revision += 1
        return volume

    async def _forget_export(self, attachment_id: str, project_id: str | None) -> None:
        async with self._context.database.writing() as db:
            volume, attachment = await _locked(db, attachment_id, project_id)
            if attachment.status is AttachmentStatus.RESERVED:
                attachment.export_name, attachment.host, attachment.connector = None, None, {}
                volume.wanted_revision += 1


def _new(volume: Volume, connector: Connector, status: AttachmentStatus) -> Attachment:
    return Attachment(
        volume_id=volume.id,
        project_id=volume.project_id,
        kind=AttachmentKind.ATTACHMENT,
        instance_uuid=connector.instance_uuid,
        host=connector.host,
        mountpoint=connector.mountpoint,
        mode=allowed_mode(volume, connector.mode),
        connector=connector.properties,
        status=status,
    )


async def _require_room(db: AsyncSession, volume: Volume, needed: Sequence[VolumeStatus]) -> None:
    """The volume may have one more attachment, and its status is one of the needed."""
    await require_production(db, volume)
    live = await _attachments(db, volume)
    if live and not volume.multiattach:
        raise AttachedAlready(volume.id, live[0].id)
    if volume.status not in needed:
        raise WrongStatus("volume", volume.id, volume.status, needed, WAIT)


async def _attachments(db: AsyncSession, volume: Volume) -> list[Attachment]:
    live = await live_attachments(db, [volume.id])
    return [each for each in live if each.kind is AttachmentKind.ATTACHMENT]


async def _locked(db: AsyncSession, attachment_id: str, project_id: str | None) -> tuple[Volume, Attachment]:
    """Both rows; the volume's lock is taken first, by everyone here.

    :raises NotFound: there is no such attachment, or it has ended.
    """
    found = await db.get(Attachment, attachment_id)
    if found is not None and project_id in (None, found.project_id):
        volume = await lock(db, Volume, found.volume_id)
        await db.refresh(found)
        if found.ended_at is None and found.kind is AttachmentKind.ATTACHMENT:
            return volume, found
    raise NotFound("attachment", attachment_id)
