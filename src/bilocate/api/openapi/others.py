"""Calls of no project: versions, health, this document, and what the sites' agents ask."""

from bilocate.api.internal import AGENTS_CALLS, PREFIX
from bilocate.api.openapi.calls import STATE, Table, Told
from bilocate.api.openapi.shapes import (
    COUNT,
    INTEGER,
    STRING,
    STRINGS,
    Json,
    a_text,
    asked,
    list_of,
    ref,
    told,
    words,
)
from bilocate.domain.arbiter import Refusal, RowState

_VERSION = told(
    {
        "id": words(("v2.0", "v3.0")),
        "status": words(("CURRENT", "SUPPORTED")),
        "version": STRING,
        "min_version": STRING,
        "updated": STRING,
        "links": list_of(told({"rel": STRING, "href": STRING})),
        "media-types": list_of(told({"base": STRING, "type": STRING})),
    }
)
_VERSIONS = told({"versions": list_of(_VERSION)})
_READY = told(
    {
        "status": words(("ok", "not ready")),
        "database": STRING,
        "agents": STRINGS,
        "unlinked_groups": list_of(STRING),
    }
)
_ROW = told(
    {
        "session_id": STRING,
        "epoch": INTEGER,
        "primary": STRING,
        "secondary": STRING,
        "state": words(state.value for state in RowState),
        "version": INTEGER,
    }
)
_ASK = asked(
    {"call": words(AGENTS_CALLS), "site": a_text(least=1), "epoch": COUNT, "version": COUNT}, ["call", "site"]
)
_HELLO = asked({"instance": a_text(least=1), "boot_id": a_text()}, ["instance"])

SCHEMAS: dict[str, Json] = {}
CALLS: Table = {
    "/": {"GET": Told("listVersions", {300: _VERSIONS}, said="Which versions of block storage there are.")},
    "/v2": {"GET": Told("showV2", {200: _VERSIONS}, said="What block storage v2 is.")},
    "/v3": {"GET": Told("showV3", {200: _VERSIONS}, said="What block storage v3 is, and its microversions.")},
    "/healthz": {"GET": Told("isAlive", {200: told({"status": STRING, "version": STRING})})},
    "/readyz": {
        "GET": Told(
            "isReady",
            {200: _READY, 503: {"anyOf": [_READY, ref("Error503")]}},
            query={"only": {**STRING, "description": "'database': agents are told but don't decide"}},
        )
    },
    "/metrics": {"GET": Told("showMetrics", {200: STRING})},
    "/openapi.json": {"GET": Told("showOpenApi", {200: {"type": "object"}})},
    f"{PREFIX}/arbiter/{{session_id}}": {
        "POST": Told(
            "askArbiter",
            {200: told({"row": _ROW}), 409: told({"refusal": words(each.value for each in Refusal)})},
            body=_ASK,
        )
    },
    f"{PREFIX}/sites/{{site}}/hello": {
        "POST": Told("greet", {200: told({})}, body=_HELLO, refusals=STATE | frozenset({404}))
    },
}
