"""The identity service's answers: its words are Keystone's, and none of them is used elsewhere."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bilocate.api.identity.tokens import TokenView
from bilocate.store.identity_models import Domain, Project, Role, User

Json = dict[str, Any]

# Where each service of the catalogue lives below the controller's address; {p} is the project.
SERVICES: Sequence[tuple[str, str, str]] = (
    ("identity", "bilocate-identity", "/identity/v3"),
    ("volumev2", "bilocate-v2", "/v2/{p}"),
    ("volumev3", "bilocate-v3", "/v3/{p}"),
    ("block-storage", "bilocate", "/v3/{p}"),
    ("evs", "bilocate-evs", "/v2/{p}"),
)
INTERFACES = ("public", "internal", "admin")


def token_view(view: TokenView, catalog: list[Json] | None) -> Json:
    """The body that describes a token; its secret is not in it."""
    token = view.token
    audit_ids = [token.audit_id] + ([token.parent_audit_id] if token.parent_audit_id else [])
    body: Json = {
        "methods": list(token.methods),
        "user": {
            "id": view.user.id,
            "name": view.user.name,
            "domain": _domain(view.user_domain),
            "password_expires_at": None,
        },
        "audit_ids": audit_ids,
        "issued_at": utc_time(token.issued_at),
        "expires_at": utc_time(token.expires_at),
    }
    if view.project is not None and view.project_domain is not None:
        body["project"] = {
            "id": view.project.id,
            "name": view.project.name,
            "domain": _domain(view.project_domain),
        }
        body["is_domain"] = False
    if view.domain is not None:
        body["domain"] = _domain(view.domain)
    if view.project is not None or view.domain is not None:
        body["roles"] = [{"id": role.id, "name": role.name} for role in view.roles]
        if catalog is not None:
            body["catalog"] = catalog
    return {"token": body}


def catalog_view(public_url: str, region: str, project_id: str | None) -> list[Json]:
    """Every service with its addresses; those of a project only where there is one."""
    found = []
    for kind, name, path in SERVICES:
        if "{p}" in path and project_id is None:
            continue
        url = public_url + path.replace("{p}", project_id or "")
        endpoints = [
            {
                "id": f"{kind}-{interface}",
                "interface": interface,
                "region": region,
                "region_id": region,
                "url": url,
            }
            for interface in INTERFACES
        ]
        found.append({"id": kind, "type": kind, "name": name, "endpoints": endpoints})
    return found


def projects_view(projects: Sequence[Project], base_url: str, path: str = "auth/projects") -> Json:
    """The projects a user may ask a token for."""
    return {
        "projects": [project_view(project, base_url) for project in projects],
        "links": {"self": f"{base_url}/{path}", "previous": None, "next": None},
    }


def project_view(project: Project, base_url: str) -> Json:
    """One project."""
    return {
        "id": project.id,
        "name": project.name,
        "domain_id": project.domain_id,
        "parent_id": project.domain_id,
        "description": project.description,
        "enabled": project.enabled,
        "is_domain": False,
        "tags": [],
        "options": {},
        "links": {"self": f"{base_url}/projects/{project.id}"},
    }


def user_view(user: User, base_url: str) -> Json:
    """One user; nothing of the password."""
    return {
        "id": user.id,
        "name": user.name,
        "domain_id": user.domain_id,
        "default_project_id": user.default_project_id,
        "description": user.description,
        "email": user.email,
        "enabled": user.enabled,
        "password_expires_at": None,
        "options": {},
        "links": {"self": f"{base_url}/users/{user.id}"},
    }


def role_view(role: Role, base_url: str) -> Json:
    """One role; roles are of no domain."""
    return {
        "id": role.id,
        "name": role.name,
        "domain_id": None,
        "description": role.description,
        "options": {},
        "links": {"self": f"{base_url}/roles/{role.id}"},
    }


def domain_view(domain: Domain, base_url: str) -> Json:
    """One domain."""
    return {
        "id": domain.id,
        "name": domain.name,
        "description": domain.description,
        "enabled": domain.enabled,
        "tags": [],
        "options": {},
        "links": {"self": f"{base_url}/domains/{domain.id}"},
    }


def assignment_view(
    role: Role,
    user: User,
    project: Project | None,
    domain: Domain | None,
    domains: Mapping[str, Domain] | None,
    base_url: str,
) -> Json:
    """Who has which role where; with names when the `domains` by their ids are given."""
    place, kind = (project, "project") if project is not None else (domain, "domain")
    assert place is not None
    told_role: Json = {"id": role.id}
    told_user: Json = {"id": user.id}
    told_place: Json = {"id": place.id}
    if domains is not None:
        told_role["name"], told_user["name"], told_place["name"] = role.name, user.name, place.name
        told_user["domain"] = _domain(domains[user.domain_id])
        if isinstance(place, Project):
            told_place["domain"] = _domain(domains[place.domain_id])
    url = f"{base_url}/{kind}s/{place.id}/users/{user.id}/roles/{role.id}"
    return {"role": told_role, "user": told_user, "scope": {kind: told_place}, "links": {"assignment": url}}


def version_view(base_url: str) -> Json:
    """What is offered here, for clients that discover it."""
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{base_url}/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


def utc_time(value: datetime) -> str:
    """ISO 8601 in microseconds with a Z, which this service's clients insist on."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _domain(domain: Domain) -> Json:
    return {"id": domain.id, "name": domain.name}
