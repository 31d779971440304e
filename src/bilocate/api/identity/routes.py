"""The identity service's paths."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bilocate.api.audit import note
from bilocate.api.bodies import read_object
from bilocate.api.codes import BAD_TOKEN, NO_ROLE, Problem, not_yet
from bilocate.api.context import Parts
from bilocate.api.identity.admin_path import PREFIX
from bilocate.api.identity.login import Login, claimed_names
from bilocate.api.identity.management import managed_paths
from bilocate.api.identity.tokens import TokenView, find_token, projects_of, revoke_token
from bilocate.api.identity.views import (
    catalog_view,
    projects_view,
    token_view,
    version_view,
)
from bilocate.api.open_path import OpenHandler, OpenPath

# Anyone may send one: a name, a password and a project.
LOGIN_BYTES_MAX = 64 * 1024
# What this service has no use for; domains can be looked at.
NOT_YET = ("groups", "services", "endpoints", "regions")


@dataclass(frozen=True, slots=True)
class Identity:
    """The handlers."""

    parts: Parts
    login: Login

    @property
    def base_url(self) -> str:
        """The address of the service."""
        return self.parts.public_url + PREFIX

    async def versions(self, request: Request) -> Response:
        """GET /identity: which versions there are."""
        return JSONResponse({"versions": {"values": [version_view(self.base_url)]}}, 300)

    async def version(self, request: Request) -> Response:
        """GET /identity/v3."""
        return JSONResponse({"version": version_view(self.base_url)})

    async def issue(self, request: Request) -> Response:
        """POST auth/tokens: 201, the secret in a header."""
        body = await read_object(request, self.parts.config.limits, LOGIN_BYTES_MAX)
        note(request, **claimed_names(body))
        secret = await self.login.authenticate(body)
        view = await self._valid(secret)
        note(request, user_id=view.user.id, user_name=view.user.name, audit_id=view.token.audit_id)
        return self._described(request, view, secret, 201)

    async def validate(self, request: Request) -> Response:
        """GET and HEAD auth/tokens: is the token in X-Subject-Token valid, and what is it for?"""
        asking = await self._asking(request)
        secret, view = await self._subject(request, asking)
        return self._described(request, view, secret, 200)

    async def revoke(self, request: Request) -> Response:
        """DELETE auth/tokens: the token in X-Subject-Token ends now."""
        asking = await self._asking(request)
        _, view = await self._subject(request, asking)
        async with self.parts.database.writing() as db:
            await revoke_token(db, view.token)
        note(request, revoked_audit_id=view.token.audit_id)
        return Response(status_code=204)

    async def projects(self, request: Request) -> Response:
        """GET auth/projects: where the caller has a role."""
        asking = await self._asking(request)
        async with self.parts.database.reading() as db:
            found = await projects_of(db, asking.user.id)
        return JSONResponse(projects_view(found, self.base_url))

    async def catalog(self, request: Request) -> Response:
        """GET auth/catalog."""
        asking = await self._asking(request)
        links = {"self": f"{self.base_url}/auth/catalog", "previous": None, "next": None}
        return JSONResponse({"catalog": self._catalog(asking), "links": links})

    async def not_yet(self, request: Request) -> Response:
        """What can't be managed here."""
        await self._asking(request)
        raise not_yet("managing groups, services, endpoints, regions and further domains")

    def _described(self, request: Request, view: TokenView, secret: str, status: int) -> Response:
        catalog = None if "nocatalog" in request.query_params else self._catalog(view)
        headers = {"X-Subject-Token": secret, "Vary": "X-Auth-Token"}
        return JSONResponse(token_view(view, catalog), status, headers)

    def _catalog(self, view: TokenView) -> list[dict[str, Any]]:
        project_id = view.project.id if view.project else None
        return catalog_view(self.parts.public_url, self.parts.config.region, project_id)

    async def _asking(self, request: Request) -> TokenView:
        view = await self._valid(request.headers.get("x-auth-token"))
        note(request, user_id=view.user.id, user_name=view.user.name)
        return view

    async def _valid(self, secret: str | None) -> TokenView:
        view = None if not secret else await find_token(self.parts.database, secret)
        if view is None:
            headers = {"WWW-Authenticate": f'Keystone uri="{self.base_url}"'}
            raise Problem(401, "no valid token in X-Auth-Token", BAD_TOKEN, headers)
        return view

    async def _subject(self, request: Request, asking: TokenView) -> tuple[str, TokenView]:
        """The token that is asked about: one's own, or any for an admin."""
        secret = request.headers.get("x-subject-token", "")
        view = await find_token(self.parts.database, secret) if secret else None
        is_admin = any(role.name == "admin" for role in asking.roles)
        if view is not None and view.user.id != asking.user.id and not is_admin:
            raise Problem(403, "this is another user's token: that needs the role admin", NO_ROLE)
        if view is None:
            raise Problem(404, "there is no valid token in X-Subject-Token")
        return secret, view


def identity_routes(identity: Identity) -> list[BaseRoute]:
    """All paths below /identity."""
    tokens = {
        "POST": identity.issue,
        "GET": identity.validate,
        "DELETE": identity.revoke,
    }
    table: Mapping[str, Mapping[str, OpenHandler]] = {
        "/identity": {"GET": identity.versions},
        "/identity/": {"GET": identity.versions},
        PREFIX: {"GET": identity.version},
        f"{PREFIX}/": {"GET": identity.version},
        f"{PREFIX}/auth/tokens": tokens,
        f"{PREFIX}/auth/projects": {"GET": identity.projects},
        f"{PREFIX}/auth/catalog": {"GET": identity.catalog},
    }
    later = dict.fromkeys(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), identity.not_yet)
    unbuilt = {f"{PREFIX}/{noun}{rest}": later for noun in NOT_YET for rest in ("", "/{rest:path}")}
    managed: dict[str, dict[str, OpenHandler]] = {
        f"{PREFIX}/{path}": dict(methods)
        for path, methods in managed_paths(identity.parts, identity.login).items()
    }
    for path, methods in (("domains", ("POST",)), ("domains/{id}", ("PATCH", "DELETE"))):
        managed[f"{PREFIX}/{path}"] |= dict.fromkeys(methods, identity.not_yet)
    return [Route(path, OpenPath(path, methods)) for path, methods in {**table, **managed, **unbuilt}.items()]
