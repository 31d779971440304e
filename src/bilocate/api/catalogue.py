"""What a client asks before it makes a volume: zones, types, limits."""

from sqlalchemy import func, select
from starlette.responses import JSONResponse, Response

from bilocate.api import wire_volumes as wire
from bilocate.api.context import Call
from bilocate.domain.errors_operations import NotFound
from bilocate.store.models import Volume


async def zones(call: Call) -> Response:
    """GET os-availability-zone: the sites. One is available while its agent answers."""
    observer = call.parts.operations.observer
    sites = [(site, observer.last(site).answered) for site in sorted(call.parts.config.sites)]
    return JSONResponse(wire.zones(sites))


async def types(call: Call) -> Response:
    """GET types: there is one."""
    return JSONResponse({"volume_types": [wire.volume_type()]})


async def volume_type(call: Call) -> Response:
    """GET types/{id}, by its id, its name, or as the default."""
    wanted = call.path["id"]
    if wanted not in ("default", wire.DEFAULT_TYPE, wire.DEFAULT_TYPE_ID):
        raise NotFound("volume type", wanted)
    return JSONResponse({"volume_type": wire.volume_type()})


async def limits(call: Call) -> Response:
    """GET limits: nothing is limited in this release; what is used is told."""
    used = select(func.count(), func.coalesce(func.sum(Volume.size_gib), 0))
    async with call.parts.database.reading() as db:
        count, gib = (await db.execute(used.where(Volume.project_id == call.project_id))).one()
    return JSONResponse(wire.limits(int(count), int(gib)))
