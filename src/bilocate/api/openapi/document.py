"""The OpenAPI document of a set of routes.

Each call that is routed and built is in it: a route without a description, or a description without a route, is a
defect that `document` raises. Left out are the paths that answer 501 whatever the method, and the second spelling of a
path with a slash at its end.
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bilocate import __version__
from bilocate.api.identity.admin_path import PREFIX as IDENTITY
from bilocate.api.internal import PREFIX as AGENTS
from bilocate.api.negotiation import VERSION_HEADER
from bilocate.api.not_yet import is_not_yet
from bilocate.api.open_path import OpenPath
from bilocate.api.openapi import attachments, catalogue, identity, others, replication, volumes
from bilocate.api.openapi.calls import NOT_YET, Told
from bilocate.api.openapi.refusals import HEADERS, RESPONSES, SCHEMAS, headers_of_all, refusals_of
from bilocate.api.openapi.shapes import STRING, Json
from bilocate.api.resource import Resource

PATH = "/openapi.json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
PROJECTS = {version: f"/{version}/{{project_id}}/" for version in ("v2", "v3")}
ONLY = {"v2": replication.CALLS, "v3": attachments.CALLS}
TAGS = {
    "replication": "Replication pairs and consistency groups",
    "volumes": "Block storage v2 and v3",
    "identity": "Keystone's v3, as far as it is built in",
    "service": "Versions, health, figures",
    "agents": "What the sites' agents ask of the controller",
}
DESCRIPTION = (
    "Block volumes that live in two availability zones. docs/api.md says what the states mean and which number every "
    "error has."
)


class Undescribed(LookupError):
    """The routes and their descriptions are not the same."""


def openapi_route(routes: Sequence[BaseRoute]) -> Route:
    """The path at which the document of these routes, and of this one, is served."""

    @cache
    def text() -> str:
        return spelled(document([*routes, route]))

    async def answer(request: Request) -> Response:
        """GET: this document."""
        return Response(text(), media_type="application/json")

    route = Route(PATH, OpenPath(PATH, {"GET": answer}))
    return route


def spelled(found: Json, levels: int = 3) -> str:
    """As it is served, and kept in docs/openapi.json: a line for each call and each shape."""
    return _lines(found, levels, "") + "\n"


def _lines(value: Any, levels: int, indent: str) -> str:
    if not levels or not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    inner = indent + " "
    lines = [f"{inner}{json.dumps(key)}: {_lines(each, levels - 1, inner)}" for key, each in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def document(routes: Sequence[BaseRoute]) -> Json:
    """All calls of these routes.

    :raises Undescribed: a call is not described, or a description is of no call.
    """
    described = {(path, method): (told, suffix) for path, method, told, suffix in _descriptions()}
    known = {path for path, _ in described}
    paths: dict[str, Json] = {}
    for path, method, handler in calls_of(routes):
        found = described.pop((path, method), None)
        if found is None and is_not_yet(handler):
            if path not in known or method == "HEAD":
                continue
            found = (
                Told(_name(method, path), {}, refusals=NOT_YET, said="It is not there in this release."),
                "",
            )
        if found is None:
            raise Undescribed(f"{method} {path} is not described in bilocate.api.openapi")
        told, suffix = found
        said = told.said or _said(handler)
        paths.setdefault(path, {})[method.lower()] = _operation(path, method, told, suffix, said)
    is_built_in = any(map(_is_identity, paths))  # else Keystone has its calls
    idle = sorted(call for call in described if is_built_in or not _is_identity(call[0]))
    if idle:
        raise Undescribed(f"described, but no call: {idle}")
    parts = (replication, volumes, catalogue, attachments, identity, others)
    schemas = {**SCHEMAS, **{name: schema for part in parts for name, schema in part.SCHEMAS.items()}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Bilocate", "version": __version__, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": RESPONSES,
            "headers": HEADERS,
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
                "controlToken": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _is_identity(path: str) -> bool:
    return f"{path}/".startswith("/identity/")


def calls_of(routes: Sequence[BaseRoute]) -> Iterator[tuple[str, str, Any]]:
    """Each call as its path, method and handler; HEAD only where it has a description of its own."""
    paths = {route.path for route in routes if isinstance(route, Route)}
    for route in routes:
        app = route.app if isinstance(route, Route) else None
        if not isinstance(route, Route) or not isinstance(app, (Resource, OpenPath)):
            raise Undescribed(f"{route} is no path whose methods are known")
        if ":path}" in route.path or (route.path.endswith("/") and route.path[:-1] in paths):
            continue
        for method in METHODS:
            handler = app.methods.get(method)
            if handler is None or (method == "HEAD" and not _has_head(route.path)):
                continue
            yield route.path, method, handler


def _has_head(path: str) -> bool:
    return "HEAD" in identity.CALLS.get(path, {})


def _descriptions() -> Iterator[tuple[str, str, Told, str]]:
    for version, prefix in PROJECTS.items():
        of_both = {**volumes.CALLS, **catalogue.CALLS, **catalogue.none_of(version)}
        for table, suffix in ((ONLY[version], ""), (of_both, version.upper())):
            for path, methods in table.items():
                for method, told in methods.items():
                    yield prefix + path, method, told, suffix
    for table in (identity.CALLS, others.CALLS):
        for path, methods in table.items():
            for method, told in methods.items():
                yield path, method, told, ""


def _operation(path: str, method: str, told: Told, suffix: str, said: str) -> Json:
    found: Json = {
        "operationId": told.name + suffix,
        "summary": _title(told.name),
        **({"description": said} if said else {}),
        "tags": [_tag(path, suffix)],
        "security": _security(path, method),
    }
    parameters = [*_path_parameters(path), *_more_parameters(path, told)]
    if parameters:
        found["parameters"] = parameters
    if told.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": told.body}}}
    found["responses"] = {
        str(status): answer for status, answer in sorted(_responses(path, method, told, suffix).items())
    }
    return found


def _responses(path: str, method: str, told: Told, suffix: str) -> dict[int, Json]:
    found: dict[int, Json] = dict(refusals_of(path, method, told))
    for status, schema in told.answers.items():
        own = {name: {"required": True, "schema": each} for name, each in told.headers.items()}
        answer: Json = {"description": _MEANS[status], "headers": {**headers_of_all(), **own}}
        if schema is not None:
            media = "text/plain" if schema == STRING else "application/json"
            answer["content"] = {media: {"schema": schema}}
        if told.leads_to and schema is not None:
            answer["links"] = {name + suffix: _link(path, told.by, name + suffix) for name in told.leads_to}
        found[status] = answer
    return found


_MEANS: Mapping[int, str] = {
    200: "It is so.",
    201: "It is made.",
    202: "It is accepted.",
    204: "It is done.",
    300: "There are several.",
    409: "The arbiter has refused.",
    503: "Not ready.",
}


def _link(path: str, by: Mapping[str, str], name: str) -> Json:
    """What the path has itself is handed on."""
    found = {each: f"$request.path.{each}" for each in re.findall(r"{(\w+)}", path)}
    parameters = {**found, **{each: f"$response.body#{place}" for each, place in by.items()}}
    return {"operationId": name, "parameters": parameters}


def _path_parameters(path: str) -> list[Json]:
    schema = {"type": "string", "minLength": 1}
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _more_parameters(path: str, told: Told) -> list[Json]:
    found: list[Json] = [
        {"name": name, "in": "query", "schema": schema} for name, schema in told.query.items()
    ]
    found += [
        {"name": name, "in": "header", "required": True, "schema": each} for name, each in told.needs.items()
    ]
    if path.startswith("/v3/"):
        schema = {**STRING, "examples": ["volume 3.44"]}
        found.append({"name": VERSION_HEADER, "in": "header", "schema": schema})
    return found


def _tag(path: str, suffix: str) -> str:
    if path.startswith("/v2/{") and not suffix:
        return "replication"
    if path.startswith(("/v2/{", "/v3/{")):
        return "volumes"
    if path.startswith("/identity"):
        return "identity"
    return "agents" if path.startswith(AGENTS) else "service"


def _security(path: str, method: str) -> list[Json]:
    if path.startswith(AGENTS):
        return [{"controlToken": []}]
    is_login = path == f"{IDENTITY}/auth/tokens" and method == "POST"
    if path.startswith(("/v2/{", "/v3/{", f"{IDENTITY}/")) and not is_login:
        return [{"token": []}]
    return []


def _name(method: str, path: str) -> str:
    """For what nobody has named."""
    return method.lower() + "".join(word.capitalize() for word in re.findall(r"[a-z0-9]+", path))


def _title(name: str) -> str:
    """ "showPair" as a person writes it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def _said(handler: Any) -> str:
    """The handler's docstring."""
    return inspect.cleandoc(getattr(handler, "handler", handler).__doc__ or "")
