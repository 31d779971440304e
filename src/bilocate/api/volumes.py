"""Volumes, by the same handlers for both versions of block storage."""

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, Response

from bilocate.api import fields
from bilocate.api import wire_volumes as wire
from bilocate.api.audit import note
from bilocate.api.context import Call
from bilocate.api.identity.access import owner_held
from bilocate.api.lists import LIMIT_MAX, Listing, at_site, changed_since, one_of, volume_page
from bilocate.api.wire import Json
from bilocate.domain.errors_operations import NotFound
from bilocate.domain.zones import Zones
from bilocate.operations.places import place
from bilocate.store.columns import db_now, new_id
from bilocate.store.models import Attachment, Volume
from bilocate.store.transitions import lock

LISTING = Listing(
    Volume,
    {
        "id": Volume.id,
        "name": Volume.name,
        "display_name": Volume.name,
        "status": Volume.status,
        "size": Volume.size_gib,
        "availability_zone": Volume.site,
        "bootable": Volume.bootable,
        "created_at": Volume.created_at,
        "updated_at": Volume.updated_at,
    },
)


async def create(call: Call) -> Response:
    """POST: a volume of zeros, or a copy of another one."""
    source_id = wire.copy_source(call.body)
    source = None if source_id is None else await find_volume(call, source_id)
    zones = call.parts.config.zones
    # The zone that comes first stands in for one that is not named, as block storage's default does.
    asked = wire.volume_request(call.body, zones.names[0], source)
    if source is not None and source.site in zones.sites(asked["site"]):
        asked["site"] = source.site
    else:
        asked["site"] = await place(call.parts.database, zones, asked["site"], call.project_id)
    volume_id = new_id()
    note(call.request, volume_id=volume_id, **({} if source is None else {"copy_of": source.id}))
    await call.parts.operations.perform(
        "create_volume" if source is None else "create_copy",
        volume_id,
        {**asked, "user_id": call.caller.user_id},
        project_id=call.project_id,
        requested_by=call.requested_by,
        entering=owner_held(call.parts, call.project_id),
    )
    row = await find_volume(call, volume_id)
    return JSONResponse({wire.VOLUME_KEY: wire.new_volume(row, call.base_url, zones)}, 202)


async def index(call: Call) -> Response:
    """GET: the short list."""
    rows = await _rows(call)
    found = [wire.volume_summary(row, call.base_url) for row in rows]
    return JSONResponse({wire.VOLUMES_KEY: found, **_next(call, rows)})


async def detail(call: Call) -> Response:
    """GET detail: the whole list."""
    rows = await _rows(call)
    async with call.parts.database.reading() as db:
        attachments = await _attachments(db, [row.id for row in rows])
    zones = call.parts.config.zones
    found = [wire.volume(row, attachments[row.id], call.base_url, zones) for row in rows]
    return JSONResponse({wire.VOLUMES_KEY: found, **_next(call, rows)})


async def summary(call: Call) -> Response:
    """GET summary: how many, and how large together. From microversion 3.12 on, with metadata from 3.36 on."""
    call.require_version((3, 12))
    of_project = Volume.project_id == call.project_id
    async with call.parts.database.reading() as db:
        totals = select(func.count(), func.coalesce(func.sum(Volume.size_gib), 0)).where(of_project)
        count, size = (await db.execute(totals)).one()
        told: Json = {"total_count": int(count), "total_size": int(size)}
        if call.microversion >= (3, 36):
            values: dict[str, set[str]] = defaultdict(set)
            for metadata in await db.scalars(select(Volume.user_metadata).where(of_project)):
                for key, value in metadata.items():
                    values[key].add(value)
            told["metadata"] = {key: sorted(found) for key, found in sorted(values.items())}
    return JSONResponse({"volume-summary": told})


async def show(call: Call) -> Response:
    """GET of one."""
    return await _shown(call, await find_volume(call, call.path["id"]))


async def encryption(call: Call) -> Response:
    """GET of how it is encrypted, which compute services ask before they attach it: not at all."""
    await find_volume(call, call.path["id"])
    return JSONResponse({"encryption_key_id": None})


async def update(call: Call) -> Response:
    """PUT: name, description, metadata."""
    volume_id = call.path["id"]
    await find_volume(call, volume_id)
    changes = wire.volume_update(call.body)
    note(call.request, changes=sorted(changes))
    async with call.parts.database.writing() as db:
        row = await lock(db, Volume, volume_id, call.project_id)
        for column, value in changes.items():
            setattr(row, column, value)
        if changes:
            row.updated_at = db_now()  # the database's clock
    return await _shown(call, await find_volume(call, volume_id))


async def remove(call: Call) -> Response:
    """DELETE: the volume and its data go."""
    await find_volume(call, call.path["id"])
    await call.parts.operations.perform(
        "delete_volume", call.path["id"], {}, project_id=call.project_id, requested_by=call.requested_by
    )
    return Response(status_code=202)


async def find_volume(call: Call, volume_id: str) -> Volume:
    """The volume, if it is this project's.

    :raises NotFound:
    """
    if fields.is_identifier(volume_id):
        async with call.parts.database.reading() as db:
            found = await db.get(Volume, volume_id)
        if found is not None and found.project_id == call.project_id:
            return found
    raise NotFound("volume", volume_id)


async def _shown(call: Call, row: Volume) -> Response:
    async with call.parts.database.reading() as db:
        attachments = await _attachments(db, [row.id])
    told = wire.volume(row, attachments[row.id], call.base_url, call.parts.config.zones)
    return JSONResponse({wire.VOLUME_KEY: told})


async def _rows(call: Call) -> list[Volume]:
    query = call.request.query_params
    page = volume_page(query, LISTING.sort_keys)
    async with call.parts.database.reading() as db:
        return await LISTING.rows(db, call.project_id, page, _conditions(query, call.parts.config.zones))


def _conditions(query: QueryParams, zones: Zones) -> list[ColumnElement[bool]]:
    conditions = changed_since(query, Volume)
    if "name" in query:
        conditions.append(Volume.name == fields.checked_text("name", query["name"]))
    if "status" in query:
        # Clients try words of other releases: what no volume is, none is found for.
        conditions.append(one_of(Volume.status, wire.VOLUME_STATUS, query["status"], strict=False))
    if "availability_zone" in query:
        conditions.append(at_site(Volume.site, "availability_zone", query, zones))
    return conditions


def _next(call: Call, rows: list[Volume]) -> Json:
    """The address of the next page, when this one is full: as full as was asked for, or as one can be."""
    limit = min(int(call.request.query_params.get("limit", LIMIT_MAX)), LIMIT_MAX)
    if not rows or len(rows) < limit:
        return {}
    url = call.request.url.include_query_params(marker=rows[-1].id).remove_query_params("offset")
    href = f"{call.parts.public_url}{url.path}?{url.query}"
    return {"volumes_links": [{"rel": "next", "href": href}]}


async def _attachments(db: AsyncSession, volume_ids: Iterable[str]) -> dict[str, list[Attachment]]:
    """Who is attached now, by volume."""
    live = select(Attachment).where(Attachment.volume_id.in_(list(volume_ids)), Attachment.ended_at.is_(None))
    found: dict[str, list[Attachment]] = defaultdict(list)
    for row in await db.scalars(live.order_by(Attachment.created_at, Attachment.id)):
        found[row.volume_id].append(row)
    return found
