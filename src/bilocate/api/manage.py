"""Devices and files that are there already become volumes, and are given back: by an admin alone."""

from typing import Any

from starlette.responses import JSONResponse, Response

from bilocate.api import wire_volumes as wire
from bilocate.api.audit import note
from bilocate.api.context import Call
from bilocate.api.identity.access import owner_held, require_admin
from bilocate.api.volumes import find_volume
from bilocate.domain.errors_volumes import NotAdopted, SiteUnclear
from bilocate.store.columns import new_id
from bilocate.store.models import Volume


async def adopt(call: Call) -> Response:
    """POST: a volume of the size that the device or file has, with what is in it."""
    require_admin(call.caller)
    zones = call.parts.config.zones
    asked = wire.adoption_request(call.body, zones)
    match zones.sites(asked["site"]):
        case [site]:
            asked["site"] = site
        case [_, *_] as several:
            raise SiteUnclear(asked["site"], several)
    operations, volume_id = call.parts.operations, new_id()
    note(call.request, volume_id=volume_id, site=asked["site"], source=asked["source"])
    size_gib = await operations.size_of_source(asked["site"], asked["source"])
    await operations.perform(
        "create_volume",
        volume_id,
        {**asked, "size_gib": size_gib, "user_id": call.caller.user_id},
        project_id=call.project_id,
        requested_by=call.requested_by,
        entering=owner_held(call.parts, call.project_id),
    )
    row = await find_volume(call, volume_id)
    return JSONResponse({wire.VOLUME_KEY: wire.new_volume(row, call.base_url, zones)}, 202)


async def give_back(call: Call, volume: Volume, value: Any) -> Response:
    """The action: the volume goes, the device or file stays as it is."""
    require_admin(call.caller)
    if volume.source is None:
        raise NotAdopted(volume.id)
    await call.parts.operations.perform(
        "delete_volume", volume.id, {}, project_id=call.project_id, requested_by=call.requested_by
    )
    return Response(status_code=202)
