"""All tags of a project's volumes, and the volumes that have certain ones, as EVS asks for them.

A filter is an object of keys and their values, in JSON, or with single quotes as EVS's own examples have it:
`tags={'a': ['b', 'c'], 'd': ['e']}` is a tag a of the value b or c, and a tag d of the value e.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from bilocate.api import wire_volumes as wire
from bilocate.api.codes import malformed
from bilocate.api.context import Call
from bilocate.api.lists import volume_page
from bilocate.api.volumes import LISTING
from bilocate.store.models import Volume

Tags = Mapping[str, str]
Asked = Mapping[str, list[str]]

FILTER_CHARACTERS_MAX = 4096


def _has(tags: Tags, key: str, values: list[str]) -> bool:
    return key in tags and (not values or tags[key] in values)


def _has_all(tags: Tags, asked: Asked) -> bool:
    return all(_has(tags, key, values) for key, values in asked.items())


def _has_any(tags: Tags, asked: Asked) -> bool:
    return any(_has(tags, key, values) for key, values in asked.items())


FILTERS: Mapping[str, Callable[[Tags, Asked], bool]] = {
    "tags": _has_all,
    "tags_any": _has_any,
    "not_tags": lambda tags, asked: not _has_all(tags, asked),
    "not_tags_any": lambda tags, asked: not _has_any(tags, asked),
}


async def index(call: Call) -> Response:
    """GET: every key that a volume of the project has, with all its values."""
    found: dict[str, set[str]] = {}
    for tags in (await _tags(call)).values():
        for key, value in tags.items():
            found.setdefault(key, set()).add(value)
    return JSONResponse({"tags": {key: sorted(values) for key, values in sorted(found.items())}})


async def search(call: Call) -> Response:
    """GET: the volumes that every filter lets through, the latest first; how many there are, and a page of them."""
    query = call.request.query_params
    filters = [(FILTERS[name], _asked(name, query[name])) for name in FILTERS if name in query]
    page, zones = volume_page(query, LISTING.sort_keys), call.parts.config.zones
    fitting = {
        volume_id: tags
        for volume_id, tags in (await _tags(call)).items()
        if all(lets_through(tags, asked) for lets_through, asked in filters)
    }
    chosen = list(fitting)[page.offset : page.offset + page.limit]
    async with call.parts.database.reading() as db:
        rows = {row.id: row for row in await db.scalars(select(Volume).where(Volume.id.in_(chosen)))}
    found = [wire.tagged_volume(rows[each], fitting[each], zones) for each in chosen if each in rows]
    return JSONResponse({"total_count": len(fitting), "resources": found})


async def _tags(call: Call) -> dict[str, Tags]:
    """Of all of the project's volumes, by id, the latest first."""
    query = select(Volume.id, Volume.tags).where(Volume.project_id == call.project_id)
    async with call.parts.database.reading() as db:
        rows = await db.execute(query.order_by(Volume.created_at.desc(), Volume.id.desc()))
        return {volume_id: tags or {} for volume_id, tags in rows}


def _asked(name: str, given: str) -> Asked:
    """:raises Problem: 400."""
    found: Any = None
    if len(given) <= FILTER_CHARACTERS_MAX:
        for spelled in (given, given.replace("'", '"')):
            try:
                found = json.loads(spelled)
                break
            except (ValueError, RecursionError):
                continue
    if not isinstance(found, dict) or not all(_are_texts(values) for values in found.values()):
        raise malformed(
            f"{name} must be an object of keys and lists of values, such as {{'a': ['b', 'c']}}, of at most "
            f"{FILTER_CHARACTERS_MAX} characters"
        )
    return {key: [values] if isinstance(values, str) else values for key, values in found.items()}


def _are_texts(values: Any) -> bool:
    return isinstance(values, str) or (
        isinstance(values, list) and all(isinstance(each, str) for each in values)
    )
