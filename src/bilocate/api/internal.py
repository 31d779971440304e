"""What agents ask of the controller: the arbiter's calls, and "here I am". Authenticated by the control token."""

import hmac
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bilocate.api import fields
from bilocate.api.audit import note
from bilocate.api.bodies import read_object
from bilocate.api.codes import BAD_TOKEN, Problem, malformed
from bilocate.api.context import Parts
from bilocate.api.open_path import OpenPath
from bilocate.domain.arbiter import Ask, Call, Refusal, Row
from bilocate.store import arbiter

PREFIX = "/internal/v1"

# An agent may ask these; the primary is changed by operations alone.
AGENTS_CALLS = {
    call.value: call
    for call in (
        Call.ATTACH,
        Call.REQUEST_SOLO,
        Call.REQUEST_VOUCHED_SOLO,
        Call.REQUEST_RESYNC,
        Call.REPORT_IN_SYNC,
    )
}


def internal_routes(parts: Parts) -> list[BaseRoute]:
    """All paths below /internal/v1."""
    internal = _Internal(parts)
    table = {
        f"{PREFIX}/arbiter/{{session_id}}": internal.arbiter,
        f"{PREFIX}/sites/{{site}}/hello": internal.hello,
    }
    return [Route(path, OpenPath(path, {"POST": handler})) for path, handler in table.items()]


class _Internal:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def arbiter(self, request: Request) -> Response:
        """One call of the arbiter: the row after it, or 409 with the refusal."""
        body = await self._admitted(request)
        ask = _ask(body)
        note(request, agent_of=ask.site, call=ask.call.value)
        found = await arbiter.call(self._parts.database, request.path_params["session_id"], ask)
        if isinstance(found, Refusal):
            return JSONResponse({"refusal": found.value}, 409)
        return JSONResponse({"row": _row(found)})

    async def hello(self, request: Request) -> Response:
        """An agent has started: it is told at once what is wanted of it."""
        body = await self._admitted(request)
        instance = fields.required_text(body, "instance")
        boot_id = fields.text(body, "boot_id") or ""
        note(request, agent_of=request.path_params["site"])
        await self._parts.operations.site_hello(request.path_params["site"], instance, boot_id)
        return JSONResponse({})

    async def _admitted(self, request: Request) -> dict[str, Any]:
        given = request.headers.get("authorization", "").encode()
        expected = f"Bearer {self._parts.control_token}".encode()
        if not hmac.compare_digest(given, expected):
            raise Problem(401, "this is for the sites' agents: the control token is not right", BAD_TOKEN)
        return await read_object(request, self._parts.config.limits)


def _ask(body: dict[str, Any]) -> Ask:
    call = AGENTS_CALLS.get(fields.required_text(body, "call"))
    if call is None:
        raise malformed(f"call must be one of {', '.join(sorted(AGENTS_CALLS))}")
    epoch, version = _number(body, "epoch"), _number(body, "version")
    return Ask(call, epoch=epoch, site=fields.required_text(body, "site"), version=version)


def _number(body: dict[str, Any], key: str) -> int:
    value = body.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise malformed(f"{key} must be a whole number")
    return value


def _row(row: Row) -> dict[str, Any]:
    return {
        "session_id": row.session_id,
        "epoch": row.epoch,
        "primary": row.primary,
        "secondary": row.secondary,
        "state": row.state.value,
        "version": row.version,
    }
