"""The calls of replication consistency groups."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, Response

from bilocate.api import fields, wire
from bilocate.api.audit import note
from bilocate.api.context import Call
from bilocate.api.lists import Listing, at_site, changed_since, one_of, replication_page
from bilocate.api.truth import freshen, observed
from bilocate.domain.errors_operations import NotFound
from bilocate.domain.group_states import GroupStatus
from bilocate.domain.zones import Zones
from bilocate.store.columns import new_id
from bilocate.store.models import Group, Pair

LISTING = Listing(
    Group,
    {
        "id": Group.id,
        "name": Group.name,
        "status": Group.status,
        "description": Group.description,
        "priority_station": Group.priority_site,
        "created_at": Group.created_at,
        "updated_at": Group.updated_at,
    },
)


async def create(call: Call) -> Response:
    """POST: pairs become a group."""
    asked = wire.group_request(call.body)
    group_id = new_id()
    note(call.request, group_id=group_id, pair_ids=asked["pair_ids"])
    await _perform(call, "create_group", group_id, asked)
    row = await _find(call, group_id)
    begun = wire.begun_group(row, GroupStatus.CREATING, call.parts.config.zones)
    return JSONResponse({wire.GROUP_KEY: begun}, 202)


async def index(call: Call) -> Response:
    """GET: the groups that fit."""
    query = call.request.query_params
    page = replication_page(query, LISTING.sort_keys)
    async with call.parts.database.reading() as db:
        rows = await LISTING.rows(db, call.project_id, page, _conditions(query, call.parts.config.zones))
        members = await _members(db, [row.id for row in rows])
    seen = await observed(call.parts, (row.id for row in rows))
    zones = call.parts.config.zones
    found = [wire.group(row, members[row.id], seen[row.id], zones) for row in rows]
    return JSONResponse({wire.GROUPS_KEY: found})


async def show(call: Call) -> Response:
    """GET of one."""
    group_id = call.path["id"]
    await freshen(call.parts, group_id)
    row = await _find(call, group_id)
    async with call.parts.database.reading() as db:
        members = await _members(db, [group_id])
    seen = await observed(call.parts, [group_id])
    found = wire.group(row, members[group_id], seen[group_id], call.parts.config.zones)
    return JSONResponse({wire.GROUP_KEY: found})


async def update(call: Call) -> Response:
    """PUT: name, description, members."""
    group_id = call.path["id"]
    await _find(call, group_id)
    changes = wire.group_update(call.body)
    note(call.request, changes=sorted(changes))
    await _perform(call, "update_group", group_id, changes)
    row = await _find(call, group_id)
    begun = wire.begun_group(row, GroupStatus.UPDATING, call.parts.config.zones)
    return JSONResponse({wire.GROUP_KEY: begun}, 202)


async def remove(call: Call) -> Response:
    """DELETE: an empty group ends."""
    await _find(call, call.path["id"])
    await _perform(call, "delete_group", call.path["id"], {})
    return Response(status_code=202)


async def act(call: Call) -> Response:
    """POST action: one of the verbs. Accepted when this answers; the group's status tells how it goes on.

    An extension has come to its end when this answers."""
    group_id = call.path["id"]
    row = await _find(call, group_id)
    verb, options = wire.group_action(call.body)
    if verb == "sync" and row.status is GroupStatus.FAILED_OVER:
        verb, options = "reprotect", {}
    note(call.request, verb=verb, options=sorted(options))
    operation_id = await _perform(call, verb, group_id, options)
    if verb == wire.EXTEND_VERB:
        await call.parts.operations.extended(operation_id, group_id)
    return Response(status_code=200)


async def _perform(call: Call, verb: str, group_id: str, args: wire.Json) -> str:
    return await call.parts.operations.perform(
        verb, group_id, args, project_id=call.project_id, requested_by=call.requested_by
    )


async def _find(call: Call, group_id: str) -> Group:
    if fields.is_identifier(group_id):
        async with call.parts.database.reading() as db:
            found = await db.get(Group, group_id)
        if found is not None and found.project_id == call.project_id:
            return found
    raise NotFound("group", group_id)


async def _members(db: AsyncSession, group_ids: Iterable[str]) -> dict[str, list[str]]:
    """The pairs of each group, oldest first."""
    members: dict[str, list[str]] = {group_id: [] for group_id in group_ids}
    statement = select(Pair.id, Pair.group_id).where(Pair.group_id.in_(members))
    for pair_id, group_id in await db.execute(statement.order_by(Pair.created_at, Pair.id)):
        members[str(group_id)].append(pair_id)
    return members


def _conditions(query: QueryParams, zones: Zones) -> list[ColumnElement[bool]]:
    conditions = changed_since(query, Group)
    if "name" in query:
        conditions.append(Group.name == fields.checked_text("name", query["name"]))
    if "status" in query:
        conditions.append(one_of(Group.status, wire.GROUP_STATUS, query["status"], strict=True))
    if "priority_station" in query:
        conditions.append(at_site(Group.priority_site, "priority_station", query, zones))
    return conditions
