"""A volume's actions: hosts connect to it and disconnect."""

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from bilocate.api import fields
from bilocate.api import wire_volumes as wire
from bilocate.api.codes import BAD_ACTION, malformed, not_yet
from bilocate.api.context import Call
from bilocate.api.resource import note
from bilocate.api.volumes import find_volume
from bilocate.api.wire import Json
from bilocate.operations.exports import Connector
from bilocate.store.models import Attachment, AttachmentKind, Volume


async def act(call: Call) -> Response:
    """POST action: exactly one."""
    volume = await find_volume(call, call.path["id"])
    action, value = fields.one_action(call.body)
    note(call.request, action=action[:64])
    if action == wire.CONNECT:
        return await _connect(call, volume, wire.connector(action, value))
    if action == wire.DISCONNECT:
        return await _disconnect(call, volume, wire.connector(action, value))
    if action in wire.VOLUME_ACTIONS_NOT_YET:
        raise not_yet(f"the action {action}")
    known = ", ".join(sorted((wire.CONNECT, wire.DISCONNECT, *wire.VOLUME_ACTIONS_NOT_YET)))
    raise malformed(f"{action!r} is no action: there is {known}", BAD_ACTION)


async def _connect(call: Call, volume: Volume, connector: Json) -> Response:
    """Answered only when the site's agent serves the export."""
    attachment = await call.parts.operations.connect(
        volume.id,
        AttachmentKind.CONNECTION,
        Connector(host=connector["host"], properties=connector),
        project_id=call.project_id,
    )
    note(call.request, attachment_id=attachment.id, host=attachment.host)
    site = call.parts.config.sites[volume.site]
    return JSONResponse(wire.connection(attachment, site.nbd_host, site.nbd_port))


async def _disconnect(call: Call, volume: Volume, connector: Json) -> Response:
    """End the host's connections, or only the one whose export it names. None left is fine: it may be repeated."""
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
