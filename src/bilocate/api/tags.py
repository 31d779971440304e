"""A volume's tags, as EVS has them: at most ten, each a key and a value of few characters.

EVS has them at two addresses: `os-vendor-volumes/{id}/tags` tells lists of keys and values, the older
`os-vendor-tags/volumes/{id}` objects.
"""

import re
from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse, Response

from bilocate.api import fields
from bilocate.api.codes import BAD_BODY, Problem, malformed
from bilocate.api.context import Call
from bilocate.api.volumes import find_volume
from bilocate.store.columns import db_now
from bilocate.store.models import Volume
from bilocate.store.transitions import lock

TAGS_MAX, KEY_CHARACTERS_MAX, VALUE_CHARACTERS_MAX = 10, 36, 43
FORBIDDEN = re.compile(r"[\x00-\x1f\x7f*<>\\=,|/]")
Tags = dict[str, str]


async def index(call: Call) -> Response:
    """GET: all of them."""
    return _told(call, _of(await find_volume(call, call.path["id"])))


async def show(call: Call) -> Response:
    """GET of one key."""
    found = _of(await find_volume(call, call.path["id"]))
    return _told_one(call, _value(call, found))


async def merge(call: Call) -> Response:
    """POST: these, beside those that there are."""
    given = _asked(call)
    return _told(call, await _change(call, lambda found: {**found, **given}))


async def replace(call: Call) -> Response:
    """PUT: these and no others."""
    given = _asked(call)
    return _told(call, await _change(call, lambda found: given))


async def act(call: Call) -> Response:
    """POST action: create or delete several, as EVS's batch calls do."""
    action = call.body.get("action")
    if action == "create":
        given = _asked(call)
        await _change(call, lambda found: {**found, **given})
    elif action == "delete":
        gone = _listed(call.body.get("tags"), values_needed=False)
        await _change(call, lambda found: {key: found[key] for key in found if key not in gone})
    else:
        raise malformed("action must be 'create' or 'delete'")
    return Response(status_code=204)


async def update(call: Call) -> Response:
    """PUT of one key."""
    asked = fields.inner_object(call.body, "tag")
    key = call.path["key"]
    if not _is_old(call):
        asked = {fields.checked_text("a tag's key", asked.get("key", key)): asked.get("value")}
    if list(asked) != [key]:
        raise malformed(f"the tag's key must be that of the path: {key!r}")
    given = dict([_tag(key, asked[key])])
    await _change(call, lambda found: {**found, **given})
    return _told_one(call, given[key])


async def remove(call: Call) -> Response:
    """DELETE of one key."""

    def without(found: Tags) -> Tags:
        _value(call, found)
        return {key: value for key, value in found.items() if key != call.path["key"]}

    await _change(call, without)
    return Response(status_code=204)


def _is_old(call: Call) -> bool:
    return "/os-vendor-tags/" in call.request.url.path


def _told_one(call: Call, value: str) -> Response:
    key = call.path["key"]
    return JSONResponse({"tag": {key: value} if _is_old(call) else {"key": key, "value": value}})


def _told(call: Call, tags: Tags) -> Response:
    if _is_old(call):
        return JSONResponse({"tags": tags})
    return JSONResponse({"tags": [{"key": key, "value": value} for key, value in sorted(tags.items())]})


def _asked(call: Call) -> Tags:
    """The body's tags: a list of keys and values, or, as at the older address, an object."""
    given = call.body.get("tags")
    if isinstance(given, dict):
        return dict(_tag(key, value) for key, value in given.items())
    return _listed(given, values_needed=True)


def _listed(given: Any, values_needed: bool) -> Tags:
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise malformed("tags must be a list of objects with key and value", BAD_BODY)
    default = None if values_needed else ""
    found = dict(_tag(each.get("key"), each.get("value", default)) for each in given)
    if len(found) != len(given):
        raise malformed("tags names a key twice")
    return found


def _tag(key: Any, value: Any) -> tuple[str, str]:
    for name, text, least, most in (
        ("key", key, 1, KEY_CHARACTERS_MAX),
        ("value", value, 0, VALUE_CHARACTERS_MAX),
    ):
        fields.checked_text(f"a tag's {name}", text)
        if not least <= len(text) <= most or FORBIDDEN.search(text):
            raise malformed(
                f"a tag's {name} must have {least} to {most} characters, and none of * < > \\ = , | / "
                f"and no control character: {text[:100]!r}"
            )
    return key, value


def _of(volume: Volume) -> Tags:
    return dict(volume.tags or {})


def _value(call: Call, found: Tags) -> str:
    if call.path["key"] not in found:
        raise Problem(404, f"the volume has no tag {call.path['key']!r}")
    return found[call.path["key"]]


async def _change(call: Call, changed: Callable[[Tags], Tags]) -> Tags:
    """Under the row's lock: two that change different tags at once both succeed."""
    volume_id = (await find_volume(call, call.path["id"])).id
    async with call.parts.database.writing() as db:
        row = await lock(db, Volume, volume_id, call.project_id)
        new = changed(_of(row))
        if len(new) > TAGS_MAX:
            raise malformed(f"a volume has at most {TAGS_MAX} tags, it would have {len(new)}")
        row.tags = new
        row.updated_at = db_now()  # the database's clock
    return new
