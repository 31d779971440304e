"""Which errors each call may be answered with, and what an error looks like."""

from bilocate.api.codes import NAMES
from bilocate.api.gate import ALWAYS_ANSWERED
from bilocate.api.identity.admin_path import PREFIX as IDENTITY
from bilocate.api.internal import PREFIX as AGENTS
from bilocate.api.openapi.calls import AT_THE_GATE, Told
from bilocate.api.openapi.shapes import STRING, Json, constant, ref, told

HEADERS: dict[str, Json] = {
    "X-Request-Id": {"required": True, "schema": STRING, "description": "the client's own, or a new one"},
    "Retry-After": {"required": True, "schema": {**STRING, "pattern": "^[0-9]+$"}, "description": "seconds"},
}
_CODE = {**STRING, "pattern": r"^EVS\.[0-9]{4}$"}
UNAVAILABLE = frozenset({429, 503})


def headers_of_all() -> dict[str, Json]:
    """Those that each answer has."""
    return _headers("X-Request-Id")


def _headers(*names: str) -> dict[str, Json]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _error(status: int) -> Json:
    inner = told({"code": constant(status), "message": STRING, "error_code": _CODE})
    return told({NAMES[status]: inner})


def _identity_error(status: int) -> Json:
    return told({"error": told({"code": constant(status), "message": STRING, "title": STRING})})


def _response(status: int, schema: Json) -> Json:
    return {
        "description": NAMES[status],
        "headers": _headers("X-Request-Id", *(["Retry-After"] if status in UNAVAILABLE else [])),
        "content": {"application/json": {"schema": schema}},
    }


SCHEMAS: dict[str, Json] = {
    **{f"Error{status}": _error(status) for status in NAMES},
    **{f"IdentityError{status}": _identity_error(status) for status in NAMES},
}
RESPONSES: dict[str, Json] = {name: _response(int(name[-3:]), ref(name)) for name in SCHEMAS}


def refusals_of(path: str, method: str, call: Told) -> dict[int, Json]:
    """By status. One that is also an answer of another shape is left to whoever describes that."""
    kind = "IdentityError" if path.startswith("/identity") else "Error"
    statuses = _statuses(path, method, call) | call.refusals
    if method == "HEAD":
        return {
            status: {"description": NAMES[status], "headers": RESPONSES[f"{kind}{status}"]["headers"]}
            for status in statuses
        }
    return {status: {"$ref": f"#/components/responses/{kind}{status}"} for status in statuses}


def _statuses(path: str, method: str, call: Told) -> frozenset[int]:
    body = frozenset({408, 413}) if call.body is not None else frozenset()
    if path in ALWAYS_ANSWERED:
        return frozenset({500}) if path == "/healthz" else frozenset({500, 503})
    if path.startswith(AGENTS):
        return body | {400, 401, 500, 503}
    found = AT_THE_GATE | body
    of_a_project = path.startswith(("/v2/{", "/v3/{"))
    if of_a_project or path.startswith(f"{IDENTITY}/"):
        found |= {401, 403}
    if path.count("{") > of_a_project:
        found |= {404}
    return found
