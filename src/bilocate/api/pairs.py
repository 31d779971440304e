"""The four calls of replication pairs."""

from sqlalchemy import ColumnElement, select, union
from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, Response

from bilocate.api import fields, wire
from bilocate.api.audit import note
from bilocate.api.codes import BAD_VOLUME_ID
from bilocate.api.context import Call
from bilocate.api.lists import Listing, at_site, changed_since, one_of, replication_page
from bilocate.api.truth import freshen, observed
from bilocate.domain.errors_operations import NotFound
from bilocate.domain.zones import Zones
from bilocate.store.columns import new_id
from bilocate.store.models import Pair

LISTING = Listing(
    Pair,
    {
        "id": Pair.id,
        "name": Pair.name,
        "status": Pair.status,
        "description": Pair.description,
        "priority_station": Pair.priority_site,
        "replication_consistency_group_id": Pair.group_id,
        "created_at": Pair.created_at,
        "updated_at": Pair.updated_at,
    },
)


async def create(call: Call) -> Response:
    """POST: two volumes become a pair."""
    asked = wire.pair_request(call.body)
    pair_id = new_id()
    note(call.request, pair_id=pair_id, volume_ids=asked["volume_ids"])
    await call.parts.operations.perform(
        "create_pair", pair_id, asked, project_id=call.project_id, requested_by=call.requested_by
    )
    return JSONResponse(
        {wire.PAIR_KEY: wire.new_pair(await _find(call, pair_id), call.parts.config.zones)}, 202
    )


async def index(call: Call) -> Response:
    """GET: the pairs that fit."""
    query = call.request.query_params
    page = replication_page(query, LISTING.sort_keys)
    async with call.parts.database.reading() as db:
        rows = await LISTING.rows(db, call.project_id, page, _conditions(query, call.parts.config.zones))
    seen = await observed(call.parts, (row.session_id for row in rows))
    zones = call.parts.config.zones
    return JSONResponse({wire.PAIRS_KEY: [wire.pair(row, seen[row.session_id], zones) for row in rows]})


async def show(call: Call) -> Response:
    """GET of one."""
    await freshen(call.parts)
    row = await _find(call, call.path["id"])
    seen = await observed(call.parts, [row.session_id])
    return JSONResponse({wire.PAIR_KEY: wire.pair(row, seen[row.session_id], call.parts.config.zones)})


async def remove(call: Call) -> Response:
    """DELETE: the pair ends, its volumes stay."""
    await _find(call, call.path["id"])
    await call.parts.operations.perform(
        "delete_pair", call.path["id"], {}, project_id=call.project_id, requested_by=call.requested_by
    )
    return Response(status_code=202)


async def _find(call: Call, pair_id: str) -> Pair:
    if fields.is_identifier(pair_id):
        async with call.parts.database.reading() as db:
            found = await db.get(Pair, pair_id)
        if found is not None and found.project_id == call.project_id:
            return found
    raise NotFound("pair", pair_id)


def _conditions(query: QueryParams, zones: Zones) -> list[ColumnElement[bool]]:
    conditions = changed_since(query, Pair)
    if "name" in query:
        conditions.append(Pair.name == fields.checked_text("name", query["name"]))
    if "status" in query:
        conditions.append(one_of(Pair.status, wire.PAIR_STATUS, query["status"], strict=True))
    if "replication_consistency_group_id" in query:
        group_id = fields.checked_text(
            "replication_consistency_group_id", query["replication_consistency_group_id"]
        )
        conditions.append(Pair.group_id == group_id)
    if "priority_station" in query:
        conditions.append(at_site(Pair.priority_site, "priority_station", query, zones))
    for volume_id in _volume_ids(query):
        # By either's index; an "or" of both would be looked for among all of the project's.
        of_it = [
            select(Pair.id).where(each == volume_id) for each in (Pair.first_volume_id, Pair.second_volume_id)
        ]
        conditions.append(Pair.id.in_(union(*of_it)))
    return conditions


def _volume_ids(query: QueryParams) -> list[str]:
    """`volume_id` and `volume_ids`: a pair fits when it has all of them. A list may come in brackets."""
    given = [each for value in query.getlist("volume_ids") for each in value.strip("[]").split(",")]
    several = [each for each in (word.strip(" '\"") for word in given) if each]
    return [
        fields.identifier(name, each, BAD_VOLUME_ID)
        for name, values in (("volume_ids", several), ("volume_id", query.getlist("volume_id")))
        for each in values
    ]
