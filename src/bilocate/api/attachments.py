"""Attachments, which block storage v3 keeps for compute services. From microversion 3.27 on."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, Response

from bilocate.api import fields
from bilocate.api import wire_attachments as wire
from bilocate.api.audit import note
from bilocate.api.context import Call
from bilocate.api.identity.access import may_write
from bilocate.api.lists import Listing, one_of, volume_page
from bilocate.api.volumes import find_volume
from bilocate.domain.errors_operations import NotFound, OperationError
from bilocate.store.models import Attachment, AttachmentKind, Volume

OFFERED, COMPLETE_OFFERED = (3, 27), (3, 44)
LISTING = Listing(
    Attachment,
    {
        "id": Attachment.id,
        "status": Attachment.status,
        "volume_id": Attachment.volume_id,
        "created_at": Attachment.created_at,
        "updated_at": Attachment.updated_at,
    },
)


async def create(call: Call) -> Response:
    """POST: with a connector it is connected at once, without one it only keeps the volume."""
    call.require_version(OFFERED)
    volume_id, who, connector = wire.new_attachment(call.body)
    await find_volume(call, volume_id)
    attachments = call.parts.operations.attachments
    row = await attachments.reserve(volume_id, who, call.project_id)
    note(call.request, attachment_id=row.id, volume_id=volume_id)
    if connector is not None:
        try:
            row = await attachments.connect(row.id, connector, call.project_id)
        except OperationError:
            await attachments.end(row.id, call.project_id)
            raise
        note(call.request, host=row.host)
    return await _shown(call, row.id)


async def index(call: Call) -> Response:
    """GET: the short list."""
    found = [wire.attachment_summary(row) for row in await _rows(call)]
    return JSONResponse({wire.ATTACHMENTS_KEY: found})


async def detail(call: Call) -> Response:
    """GET detail: the long list. The secrets in it are told by GET of one only."""
    found = [wire.attachment(row, None) for row in await _rows(call)]
    return JSONResponse({wire.ATTACHMENTS_KEY: found})


async def show(call: Call) -> Response:
    """GET of one."""
    call.require_version(OFFERED)
    return await _shown(call, call.path["id"])


async def update(call: Call) -> Response:
    """PUT: its host is known now, and gets its export."""
    call.require_version(OFFERED)
    row = await _find(call)
    connector = wire.attachment_update(call.body)
    note(call.request, host=connector["host"], volume_id=row.volume_id)
    await call.parts.operations.attachments.connect(row.id, connector, call.project_id)
    return await _shown(call, row.id)


async def remove(call: Call) -> Response:
    """DELETE: the host loses its export. The volume's other attachments are told."""
    call.require_version(OFFERED)
    row = await _find(call)
    note(call.request, volume_id=row.volume_id)
    await call.parts.operations.attachments.end(row.id, call.project_id)
    async with call.parts.database.reading() as db:
        left = await db.scalars(select(Attachment).where(*_live(call), Attachment.volume_id == row.volume_id))
        found = [wire.attachment_summary(each) for each in left]
    return JSONResponse({wire.ATTACHMENTS_KEY: found})


async def act(call: Call) -> Response:
    """POST action: the host has attached."""
    call.require_version(COMPLETE_OFFERED)
    row = await _find(call)
    wire.is_complete(call.body)
    note(call.request, action=wire.COMPLETE, volume_id=row.volume_id)
    await call.parts.operations.attachments.complete(row.id, call.project_id)
    return Response(status_code=204)


async def _shown(call: Call, attachment_id: str) -> Response:
    async with call.parts.database.reading() as db:
        row = await _live_one(db, call, attachment_id)
        volume = await db.get(Volume, row.volume_id)
    if volume is None:
        raise NotFound("attachment", attachment_id)
    site = call.parts.config.sites.get(volume.site)
    # Whoever may only read must not get the secret that lets write.
    told = site is not None and may_write(call.caller)
    address = (site.nbd_host, site.nbd_port) if site is not None and told else None
    return JSONResponse({wire.ATTACHMENT_KEY: wire.attachment(row, address)})


async def _find(call: Call) -> Attachment:
    async with call.parts.database.reading() as db:
        return await _live_one(db, call, call.path["id"])


async def _live_one(db: AsyncSession, call: Call, attachment_id: str) -> Attachment:
    """:raises NotFound: there is none, it has ended, or it is another project's."""
    if fields.is_identifier(attachment_id):
        row = await db.scalar(select(Attachment).where(*_live(call), Attachment.id == attachment_id))
        if row is not None:
            return row
    raise NotFound("attachment", attachment_id)


def _live(call: Call) -> Sequence[ColumnElement[bool]]:
    return (
        Attachment.project_id == call.project_id,
        Attachment.kind == AttachmentKind.ATTACHMENT,
        Attachment.ended_at.is_(None),
    )


async def _rows(call: Call) -> list[Attachment]:
    call.require_version(OFFERED)
    query = call.request.query_params
    page = volume_page(query, LISTING.sort_keys)
    async with call.parts.database.reading() as db:
        return await LISTING.rows(db, call.project_id, page, [*_live(call), *_conditions(query)])


def _conditions(query: QueryParams) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for key in ("status", "attach_status"):
        if key in query:
            conditions.append(one_of(Attachment.status, wire.ATTACHMENT_STATUS, query[key], strict=False))
    if "volume_id" in query:
        conditions.append(Attachment.volume_id == fields.checked_text("volume_id", query["volume_id"]))
    if "instance_id" in query:
        conditions.append(
            Attachment.instance_uuid == fields.checked_text("instance_id", query["instance_id"])
        )
    return conditions
