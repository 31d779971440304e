"""What is known of the image on a volume: texts that its owner keeps, and nobody acts upon."""

from typing import Any

from starlette.responses import JSONResponse, Response

from bilocate.api import fields
from bilocate.api.audit import note
from bilocate.api.codes import BAD_ACTION, Problem, malformed
from bilocate.api.context import Call
from bilocate.store.columns import db_now
from bilocate.store.models import Volume
from bilocate.store.transitions import lock

METADATA = "metadata"


async def show(call: Call, volume: Volume, value: Any) -> Response:
    """The action that tells all of it."""
    return JSONResponse({METADATA: dict(volume.image_metadata or {})})


async def merge(call: Call, volume: Volume, value: Any) -> Response:
    """The action that sets these keys, beside those that there are."""
    given = fields.text_map({METADATA: fields.inner_object(_inner(value), METADATA)}, METADATA)
    note(call.request, keys=sorted(given))
    async with call.parts.database.writing() as db:
        row = await lock(db, Volume, volume.id, call.project_id)
        found = {**(row.image_metadata or {}), **given}
        row.image_metadata = fields.text_map({METADATA: found}, METADATA)  # no more than a volume may have
        row.updated_at = db_now()  # the database's clock
    return JSONResponse({METADATA: found})


async def remove(call: Call, volume: Volume, value: Any) -> Response:
    """The action that takes one key away."""
    key = fields.required_text(_inner(value), "key")
    note(call.request, keys=[key])
    async with call.parts.database.writing() as db:
        row = await lock(db, Volume, volume.id, call.project_id)
        found = dict(row.image_metadata or {})
        if found.pop(key, None) is None:
            raise Problem(404, f"the volume has no image metadata {key!r}")
        row.image_metadata = found
        row.updated_at = db_now()  # the database's clock
    return JSONResponse({})


def _inner(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise malformed("an action of image metadata must be an object", BAD_ACTION)
    return value
