"""A volume's metadata, by calls of its own."""

from collections.abc import Callable

from starlette.responses import JSONResponse, Response

from bilocate.api import fields
from bilocate.api.codes import Problem, malformed
from bilocate.api.context import Call
from bilocate.api.volumes import find_volume
from bilocate.store.columns import db_now
from bilocate.store.models import Volume
from bilocate.store.transitions import lock

ALL, ONE = "metadata", "meta"
Metadata = dict[str, str]


async def index(call: Call) -> Response:
    """GET: all of it."""
    return JSONResponse({ALL: _of(await find_volume(call, call.path["id"]))})


async def show(call: Call) -> Response:
    """GET of one key."""
    found = _of(await find_volume(call, call.path["id"]))
    return JSONResponse({ONE: {call.path["key"]: _value(call, found)}})


async def merge(call: Call) -> Response:
    """POST: these keys, beside those that there are."""
    given = _asked(call)
    return JSONResponse({ALL: await _change(call, lambda found: {**found, **given})})


async def replace(call: Call) -> Response:
    """PUT: these keys and no others."""
    given = _asked(call)
    return JSONResponse({ALL: await _change(call, lambda found: given)})


async def update(call: Call) -> Response:
    """PUT of one key."""
    given = fields.text_map({ONE: fields.inner_object(call.body, ONE)}, ONE)
    if list(given) != [call.path["key"]]:
        raise malformed(f"meta must hold the key of the path and no other: {call.path['key']!r}")
    await _change(call, lambda found: {**found, **given})
    return JSONResponse({ONE: given})


async def remove(call: Call) -> Response:
    """DELETE of one key."""

    def without(found: Metadata) -> Metadata:
        _value(call, found)
        return {key: value for key, value in found.items() if key != call.path["key"]}

    await _change(call, without)
    return Response(status_code=200)


def _asked(call: Call) -> Metadata:
    return fields.text_map({ALL: fields.inner_object(call.body, ALL)}, ALL)


def _of(volume: Volume) -> Metadata:
    return {str(key): str(value) for key, value in volume.user_metadata.items()}


def _value(call: Call, found: Metadata) -> str:
    if call.path["key"] not in found:
        raise Problem(404, f"the volume has no metadata {call.path['key']!r}")
    return found[call.path["key"]]


async def _change(call: Call, changed: Callable[[Metadata], Metadata]) -> Metadata:
    """Under the row's lock: two that change different keys at once both succeed."""
    volume_id = (await find_volume(call, call.path["id"])).id
    async with call.parts.database.writing() as db:
        row = await lock(db, Volume, volume_id, call.project_id)
        new = changed(_of(row))
        row.user_metadata = fields.text_map({ALL: new}, ALL)  # no more of them than a volume may have
        row.updated_at = db_now()  # the database's clock
    return new
