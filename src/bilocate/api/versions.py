"""The version documents, by which clients find their way; no token is needed."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bilocate.api.context import Parts
from bilocate.api.negotiation import V3_HIGHEST, V3_LOWEST
from bilocate.api.open_path import OpenPath

V2, V3 = "v2.0", "v3.0"


def version_routes(parts: Parts) -> list[BaseRoute]:
    """/, /v2 and /v3, each with and without a slash at its end."""

    def listing(versions: Sequence[str], status: int) -> Any:
        async def answer(request: Request) -> Response:
            return JSONResponse({"versions": [_version(each, parts.public_url) for each in versions]}, status)

        return answer

    found = {
        "/": listing([V2, V3], 300),
        "/v2": listing([V2], 200),
        "/v2/": listing([V2], 200),
        "/v3": listing([V3], 200),
        "/v3/": listing([V3], 200),
    }
    return [Route(path, OpenPath(path, {"GET": answer})) for path, answer in found.items()]


def _version(version_id: str, public_url: str) -> dict[str, Any]:
    is_v3 = version_id == V3
    path = "v3" if is_v3 else "v2"
    return {
        "id": version_id,
        "status": "CURRENT" if is_v3 else "SUPPORTED",
        # Version 2 has no microversions, which empty texts say.
        "version": ".".join(map(str, V3_HIGHEST)) if is_v3 else "",
        "min_version": ".".join(map(str, V3_LOWEST)) if is_v3 else "",
        "updated": "2026-01-01T00:00:00Z",
        "links": [{"rel": "self", "href": f"{public_url}/{path}/"}],
        "media-types": [
            {"base": "application/json", "type": f"application/vnd.openstack.volume+json;version={path[1:]}"}
        ],
    }
