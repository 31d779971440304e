"""Quotas: what a project may have. An admin sets them, everybody sees their own."""

from typing import Any

from starlette.responses import JSONResponse, Response

from bilocate.api import fields
from bilocate.api.audit import note
from bilocate.api.codes import malformed
from bilocate.api.context import Call
from bilocate.api.fields import SIZE_GIB_MAX
from bilocate.api.identity.access import require_admin, require_project
from bilocate.api.wire import Json
from bilocate.domain.errors_operations import NotFound
from bilocate.operations.quotas import (
    DEFAULT_CLASS,
    UNLIMITED,
    Resource,
    clear_limits,
    limits_of,
    set_limits,
    used_by,
)

KEY = "quota_set"
CLASS_KEY = "quota_class_set"
CLASS = "default"  # the only one
LIMIT_MAX = 2**31 - 1
# Whose it is, which clients say once more in the body.
NAMED = ("id", "tenant_id", "project_id", "class_name")
# What clients look for, and this service has none of, or has one bound for.
FIXED = {
    "snapshots": 0,
    "backups": 0,
    "backup_gigabytes": 0,
    "groups": 0,
    "per_volume_gigabytes": SIZE_GIB_MAX,
}


async def show(call: Call) -> Response:
    """GET: a project's limits; with usage=true also what it has."""
    project_id = _project(call)
    require_project(call.caller, project_id)
    async with call.parts.database.reading() as db:
        limits = await limits_of(db, project_id)
        used = await used_by(db, project_id, call.parts.config.zones)
    if call.request.query_params.get("usage", "").lower() not in ("true", "1"):
        return JSONResponse(_told(project_id, limits))
    in_use = {**dict.fromkeys(FIXED, 0), **{resource.value: count for resource, count in used.items()}}
    told = _told(project_id, limits)[KEY]
    for name, count in in_use.items():
        told[name] = {"limit": told[name], "in_use": count, "reserved": 0}
    return JSONResponse({KEY: told})


async def defaults(call: Call) -> Response:
    """GET defaults: what the default class says, and nothing is limited until an admin does it."""
    project_id = _project(call)
    require_project(call.caller, project_id)
    async with call.parts.database.reading() as db:
        return JSONResponse(_told(project_id, await limits_of(db, DEFAULT_CLASS)))


async def update(call: Call) -> Response:
    """PUT, by an admin."""
    require_admin(call.caller)
    project_id = _project(call)
    changes = _asked(call.body)
    note(call.request, quota_of=project_id, changes={name.value: limit for name, limit in changes.items()})
    async with call.parts.database.writing() as db:
        await set_limits(db, project_id, changes)
        limits = await limits_of(db, project_id)
    found = _told(project_id, limits)
    del found[KEY]["id"]
    return JSONResponse(found)


async def remove(call: Call) -> Response:
    """DELETE, by an admin: back to the defaults."""
    require_admin(call.caller)
    project_id = _project(call)
    note(call.request, quota_of=project_id)
    async with call.parts.database.writing() as db:
        await clear_limits(db, project_id)
    return Response(status_code=200)


async def class_show(call: Call) -> Response:
    """GET of the default class: the limits of every project that has none of its own."""
    _require_class(call)
    async with call.parts.database.reading() as db:
        limits = await limits_of(db, DEFAULT_CLASS)
    return JSONResponse({CLASS_KEY: _told(CLASS, limits)[KEY]})


async def class_update(call: Call) -> Response:
    """PUT, by an admin."""
    require_admin(call.caller)
    _require_class(call)
    changes = _asked(call.body, CLASS_KEY)
    note(call.request, quota_of=DEFAULT_CLASS, changes={name.value: limit for name, limit in changes.items()})
    async with call.parts.database.writing() as db:
        await set_limits(db, DEFAULT_CLASS, changes)
        limits = await limits_of(db, DEFAULT_CLASS)
    found = _told(CLASS, limits)[KEY]
    del found["id"]
    return JSONResponse({CLASS_KEY: found})


def _require_class(call: Call) -> None:
    if call.path["id"] != CLASS:
        raise NotFound("quota class", call.path["id"])


def _project(call: Call) -> str:
    """What no project's id can be must not reach the database."""
    return fields.checked_text("the project's id", call.path["id"], bytes_max=64)


def _told(project_id: str, limits: dict[Resource, int]) -> Json:
    return {KEY: {"id": project_id, **FIXED, **{resource.value: limits[resource] for resource in limits}}}


def _asked(body: Json, key: str = KEY) -> dict[Resource, int]:
    asked = fields.inner_object(body, key)
    known = {resource.value: resource for resource in Resource}
    fields.only(asked, key, {*known, *NAMED})
    return {known[name]: _limit(name, value) for name, value in asked.items() if name in known}


def _limit(name: str, value: Any) -> int:
    """Clients send a number, or one as a text."""
    if isinstance(value, str) and _is_number(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not UNLIMITED <= value <= LIMIT_MAX:
        raise malformed(f"{name} must be a whole number from -1 (no limit) to {LIMIT_MAX}")
    return value


def _is_number(value: str) -> bool:
    digits = value.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) < 12
