"""Hosts connect to a volume and disconnect."""

from typing import Any

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from bilocate.api import wire_volumes as wire
from bilocate.api.audit import note
from bilocate.api.context import Call
from bilocate.operations.exports import Connector
from bilocate.store.models import Attachment, AttachmentKind, Volume


async def connect(call: Call, volume: Volume, value: Any) -> Response:
    """Answered only when the site's agent serves the export."""
    connector = wire.connector(wire.CONNECT, value)
    attachment = await call.parts.operations.connect(
        volume.id,
        AttachmentKind.CONNECTION,
        Connector(host=connector["host"], properties=connector),
        project_id=call.project_id,
    )
    note(call.request, attachment_id=attachment.id, host=attachment.host)
    site = call.parts.config.sites[volume.site]
    return JSONResponse(wire.connection(attachment, site.nbd_host, site.nbd_port))


async def disconnect(call: Call, volume: Volume, value: Any) -> Response:
    """End the host's connections, or only the one whose export it names. None left is fine: it may be repeated."""
    connector = wire.connector(wire.DISCONNECT, value)
    live = select(Attachment.id).where(
        Attachment.volume_id == volume.id,
        Attachment.kind == AttachmentKind.CONNECTION,
        Attachment.host == connector["host"],
        Attachment.ended_at.is_(None),
    )
    if isinstance(connector.get("attachment_id"), str):
        live = live.where(Attachment.id == connector["attachment_id"])
    async with call.parts.database.reading() as db:
        ending = list((await db.scalars(live)).all())
    note(call.request, host=connector["host"], attachment_ids=ending)
    for attachment_id in ending:
        await call.parts.operations.disconnect(attachment_id, project_id=call.project_id)
    return Response(status_code=202)
