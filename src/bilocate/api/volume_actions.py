"""A volume's actions: exactly one per call."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from bilocate.api import fields, image_metadata, wire_types
from bilocate.api import wire_actions as asked
from bilocate.api import wire_volumes as wire
from bilocate.api.admin_actions import force_delete, force_detach, reset_status
from bilocate.api.audit import note
from bilocate.api.codes import BAD_ACTION, malformed, not_yet
from bilocate.api.connections import connect, disconnect
from bilocate.api.context import Call
from bilocate.api.manage import give_back
from bilocate.api.volumes import find_volume
from bilocate.store.columns import db_now
from bilocate.store.models import Volume
from bilocate.store.transitions import lock

Action = Callable[[Call, Volume, Any], Awaitable[Response]]


async def act(call: Call) -> Response:
    """POST action."""
    volume = await find_volume(call, call.path["id"])
    action, value = fields.one_action(call.body)
    note(call.request, action=action[:64])
    if action in wire.VOLUME_ACTIONS_NOT_YET:
        raise not_yet(f"the action {action}")
    if action not in ACTIONS:
        known = ", ".join(sorted((*ACTIONS, *wire.VOLUME_ACTIONS_NOT_YET)))
        raise malformed(f"{action!r} is no action: there is {known}", BAD_ACTION)
    return await ACTIONS[action](call, volume, value)


async def _extend(call: Call, volume: Volume, value: Any) -> Response:
    size_gib = asked.new_size(value)
    note(call.request, new_size=size_gib)
    await call.parts.operations.perform(
        "extend_volume",
        volume.id,
        {"new_size_gib": size_gib},
        project_id=call.project_id,
        requested_by=call.requested_by,
    )
    return Response(status_code=202)


async def _retype(call: Call, volume: Volume, value: Any) -> Response:
    kind = wire_types.new_type(value)
    note(call.request, volume_type=kind.name)
    await call.parts.operations.retype(
        volume.id, kind.name, multiattach=kind.multiattach, project_id=call.project_id
    )
    return Response(status_code=202)


async def _set_bootable(call: Call, volume: Volume, value: Any) -> Response:
    bootable = asked.new_bootable(value)
    note(call.request, bootable=bootable)
    async with call.parts.database.writing() as db:
        row = await lock(db, Volume, volume.id, call.project_id)
        row.bootable = bootable
        row.updated_at = db_now()  # the database's clock
    return JSONResponse({})


async def _set_read_only(call: Call, volume: Volume, value: Any) -> Response:
    read_only = asked.new_read_only(value)
    note(call.request, read_only=read_only)
    await call.parts.operations.set_read_only(volume.id, read_only, project_id=call.project_id)
    return Response(status_code=202)


async def _reserve(call: Call, volume: Volume, value: Any) -> Response:
    await call.parts.operations.attachments.reserve_volume(volume.id, call.project_id)
    return Response(status_code=202)


async def _unreserve(call: Call, volume: Volume, value: Any) -> Response:
    await call.parts.operations.attachments.unreserve_volume(volume.id, call.project_id)
    return Response(status_code=202)


async def _begin_detaching(call: Call, volume: Volume, value: Any) -> Response:
    await call.parts.operations.attachments.begin_detaching(volume.id, call.project_id)
    return Response(status_code=202)


async def _roll_detaching(call: Call, volume: Volume, value: Any) -> Response:
    await call.parts.operations.attachments.roll_detaching(volume.id, call.project_id)
    return Response(status_code=202)


async def _attach(call: Call, volume: Volume, value: Any) -> Response:
    attached = await call.parts.operations.attachments.attach(
        volume.id, asked.attach_request(value), call.project_id
    )
    note(call.request, attachment_id=attached.id, host=attached.host, server_id=attached.instance_uuid)
    return Response(status_code=202)


async def _detach(call: Call, volume: Volume, value: Any) -> Response:
    wanted = asked.detach_request(value)
    ended = await call.parts.operations.attachments.detach(volume.id, wanted, call.project_id)
    note(call.request, attachment_id=ended)
    return Response(status_code=202)


ACTIONS: Mapping[str, Action] = {
    wire.CONNECT: connect,
    wire.DISCONNECT: disconnect,
    "os-extend": _extend,
    "os-set_bootable": _set_bootable,
    "os-update_readonly_flag": _set_read_only,
    "os-retype": _retype,
    "os-set_image_metadata": image_metadata.merge,
    "os-unset_image_metadata": image_metadata.remove,
    "os-show_image_metadata": image_metadata.show,
    "os-reset_status": reset_status,
    "os-force_delete": force_delete,
    "os-force_detach": force_detach,
    "os-unmanage": give_back,
    "os-reserve": _reserve,
    "os-unreserve": _unreserve,
    "os-begin_detaching": _begin_detaching,
    "os-roll_detaching": _roll_detaching,
    "os-attach": _attach,
    "os-detach": _detach,
}
