"""What a client asks before it makes a volume: zones, services, types, limits."""

from starlette.responses import JSONResponse, Response

from bilocate.api import wire_types
from bilocate.api import wire_volumes as wire
from bilocate.api.context import Call
from bilocate.api.identity.access import require_admin
from bilocate.domain.zones import Zones
from bilocate.operations.quotas import limits_of, used_by


async def zones(call: Call) -> Response:
    """GET os-availability-zone: a zone is available while the agent of one of its sites answers."""
    observer, zones = call.parts.operations.observer, call.parts.config.zones
    return JSONResponse(
        wire.zones(
            [(zone, any(observer.last(site).answered for site in zones.sites(zone))) for zone in zones.names]
        )
    )


async def services(call: Call) -> Response:
    """GET os-services, for admins: the sites' agents, up while they answer."""
    require_admin(call.caller)
    observer, asked = call.parts.operations.observer, call.request.query_params
    zones = call.parts.config.zones
    sites = [
        (site, zones.of(site), observer.last(site).answered)
        for site in sorted(call.parts.config.sites)
        if asked.get("host", site) == site and asked.get("binary", wire.AGENT) == wire.AGENT
    ]
    return JSONResponse(wire.services(sites))


async def types(call: Call) -> Response:
    """GET types."""
    return JSONResponse({"volume_types": [wire_types.told(kind) for kind in wire_types.TYPES]})


async def volume_type(call: Call) -> Response:
    """GET types/{id}, by its id, its name, or as the default."""
    wanted = call.path["id"]
    kind = wire_types.STANDARD if wanted == "default" else wire_types.find(wanted)
    return JSONResponse({"volume_type": wire_types.told(kind)})


async def limits(call: Call) -> Response:
    """GET limits: what the project may have, and has."""
    async with call.parts.database.reading() as db:
        limit = await limits_of(db, call.project_id)
        used = await used_by(db, call.project_id, Zones({}))  # no groups are told here
    return JSONResponse(wire.limits(limit, used))
