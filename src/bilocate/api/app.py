"""The whole HTTP API as one ASGI application."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from bilocate.api import (
    attachments,
    catalogue,
    groups,
    manage,
    metadata,
    not_yet,
    pairs,
    quotas,
    tag_search,
    tags,
    volume_actions,
    volumes,
    wire,
)
from bilocate.api.audit import AuditLog
from bilocate.api.codes import Problem
from bilocate.api.context import Call, Handler, Parts
from bilocate.api.gate import Gate
from bilocate.api.health import health_routes
from bilocate.api.identity.login import Login
from bilocate.api.identity.passwords import Passwords
from bilocate.api.identity.routes import Identity, identity_routes
from bilocate.api.internal import internal_routes
from bilocate.api.metrics import Metrics
from bilocate.api.open_path import OpenPath
from bilocate.api.openapi.document import openapi_route
from bilocate.api.resource import Resource
from bilocate.api.versions import version_routes
from bilocate.config import read_proxy_secret

Paths = Mapping[str, Mapping[str, Handler]]

REPLICATION: Paths = {
    wire.PAIRS: {"POST": pairs.create, "GET": pairs.index},
    f"{wire.PAIRS}/{{id}}": {"GET": pairs.show, "DELETE": pairs.remove},
    wire.GROUPS: {"POST": groups.create, "GET": groups.index},
    f"{wire.GROUPS}/{{id}}": {"GET": groups.show, "PUT": groups.update, "DELETE": groups.remove},
    f"{wire.GROUPS}/{{id}}/action": {"POST": groups.act},
}
VOLUMES: Paths = {
    "volumes": {"POST": volumes.create, "GET": volumes.index},
    "volumes/detail": {"GET": volumes.detail},
    "volumes/{id}": {"GET": volumes.show, "PUT": volumes.update, "DELETE": volumes.remove},
    "volumes/{id}/action": {"POST": volume_actions.act},
    "volumes/{id}/encryption": {"GET": volumes.encryption},
    "os-volume-manage": {"POST": manage.adopt},
    "os-availability-zone": {"GET": catalogue.zones},
    "os-services": {"GET": catalogue.services},
    "types": {"GET": catalogue.types},
    "types/{id}": {"GET": catalogue.volume_type},
    "limits": {"GET": catalogue.limits},
    "volumes/{id}/metadata": {
        "GET": metadata.index,
        "POST": metadata.merge,
        "PUT": metadata.replace,
    },
    "volumes/{id}/metadata/{key}": {
        "GET": metadata.show,
        "PUT": metadata.update,
        "DELETE": metadata.remove,
    },
    "os-quota-sets/{id}": {"GET": quotas.show, "PUT": quotas.update, "DELETE": quotas.remove},
    "os-quota-sets/{id}/defaults": {"GET": quotas.defaults},
    "os-quota-class-sets/{id}": {"GET": quotas.class_show, "PUT": quotas.class_update},
    "os-vendor-volumes/{id}/tags": {"GET": tags.index, "POST": tags.merge, "PUT": tags.replace},
    "os-vendor-volumes/{id}/tags/action": {"POST": tags.act},
    "os-vendor-volumes/{id}/tags/{key}": {"GET": tags.show, "PUT": tags.update, "DELETE": tags.remove},
    "os-vendor-volumes/tags": {"GET": tag_search.index},
    "os-vendor-tags/volumes": {"GET": tag_search.index},
    # In front of what takes any id.
    "os-vendor-tags/volumes/resource_instances": {"GET": tag_search.search},
    "os-vendor-tags/volumes/{id}": {"GET": tags.index, "POST": tags.merge, "PUT": tags.replace},
    "os-vendor-tags/volumes/{id}/action": {"POST": tags.act},
    "os-vendor-tags/volumes/{id}/{key}": {"GET": tags.show, "PUT": tags.update, "DELETE": tags.remove},
}
# Of block storage v3 alone.
ONLY_V3: Paths = {
    "volumes/summary": {"GET": volumes.summary},
    "attachments": {"POST": attachments.create, "GET": attachments.index},
    "attachments/detail": {"GET": attachments.detail},
    "attachments/{id}": {
        "GET": attachments.show,
        "PUT": attachments.update,
        "DELETE": attachments.remove,
    },
    "attachments/{id}/action": {"POST": attachments.act},
}


def build_app(parts: Parts, passwords: Passwords) -> Gate:
    """Everything below the port.

    :raises KeyFileError: the authenticating proxy's secret can't be read.
    :raises OSError: the audit log can't be written.
    """
    metrics = Metrics(parts.config.controller_name)
    router = Router(build_routes(parts, passwords, metrics), redirect_slashes=False, default=_unknown_path)
    secret_file = parts.config.api.proxy_secret_file
    proxy_secret = None if secret_file is None else read_proxy_secret(secret_file)
    audit = AuditLog(parts.config.audit_file)
    return Gate(router, parts.config.limits, metrics, audit, proxy_secret)


def build_routes(parts: Parts, passwords: Passwords, metrics: Metrics) -> list[BaseRoute]:
    """All paths, the one among them at which they are described."""
    routes = [
        *version_routes(parts),
        *health_routes(parts, metrics),
        *_identity_routes(parts, passwords),
        *internal_routes(parts),
        *_project_routes(parts, "v2", {**REPLICATION, **VOLUMES}),
        *_project_routes(parts, "v3", {**ONLY_V3, **VOLUMES}),
    ]
    return [*routes, openapi_route(routes)]


def _identity_routes(parts: Parts, passwords: Passwords) -> list[BaseRoute]:
    if parts.keystone is None:
        return identity_routes(Identity(parts, Login(parts.database, passwords, parts.config.identity)))
    url = parts.keystone.url

    async def elsewhere(request: Request) -> Response:
        raise Problem(404, f"who may call is known to Keystone here: ask {url}")

    path = "/identity{rest:path}"
    return [Route(path, OpenPath(path, dict.fromkeys(not_yet.ANY_METHOD, elsewhere)))]


def _project_routes(parts: Parts, version: str, paths: Paths) -> list[BaseRoute]:
    # What is unknown in a project is told only to whoever may look into that project.
    rest: Paths = {"{rest:path}": dict.fromkeys(not_yet.ANY_METHOD, _unknown_in_project)}
    found: list[BaseRoute] = []
    for path, methods in {**paths, **not_yet.paths(version), **rest}.items():
        full = f"/{version}/{{project_id}}/{path}"
        found.append(Route(full, Resource(parts, version, full, methods)))
    return found


async def _unknown_in_project(call: Call) -> Response:
    raise Problem(404, "there is nothing at this path: docs/api.md lists what there is")


async def _unknown_path(scope: Scope, receive: Receive, send: Send) -> None:
    raise Problem(404, f"there is nothing at {Request(scope).url.path[:200]}")
