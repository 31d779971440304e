"""The contract's calls are all there, and docs/api.md has each call that is there in a table."""

import re
from collections.abc import Iterator

import pytest
from tests.api.contract import document
from tests.api.test_docs import TEXT

# What the replication API, block storage and identity promise their clients: below the project, or whole.
CONTRACT = """
POST GET /v2/{p}/os-vendor-replications
GET DELETE /v2/{p}/os-vendor-replications/{id}
POST GET /v2/{p}/os-vendor-replication-consistency-groups
GET PUT DELETE /v2/{p}/os-vendor-replication-consistency-groups/{id}
POST /v2/{p}/os-vendor-replication-consistency-groups/{id}/action
POST GET /v/{p}/volumes
GET /v/{p}/volumes/detail
GET PUT DELETE /v/{p}/volumes/{id}
GET POST PUT /v/{p}/volumes/{id}/metadata
GET PUT DELETE /v/{p}/volumes/{id}/metadata/{key}
POST /v/{p}/volumes/{id}/action
GET /v/{p}/os-availability-zone
GET /v/{p}/types
GET /v/{p}/types/{id}
GET /v/{p}/limits
GET PUT DELETE /v/{p}/os-quota-sets/{id}
GET POST PUT /v/{p}/os-vendor-volumes/{id}/tags
POST /v/{p}/os-volume-manage
POST GET /v3/{p}/attachments
GET PUT DELETE /v3/{p}/attachments/{id}
POST /v3/{p}/attachments/{id}/action
GET /
GET /v2
GET /v3
GET /identity/v3
POST GET HEAD DELETE /identity/v3/auth/tokens
GET /identity/v3/auth/projects
GET /identity/v3/auth/catalog
POST GET /identity/v3/projects
GET PATCH DELETE /identity/v3/projects/{id}
POST GET /identity/v3/users
GET PATCH DELETE /identity/v3/users/{id}
POST GET /identity/v3/roles
GET PATCH DELETE /identity/v3/roles/{id}
PUT HEAD GET DELETE /identity/v3/projects/{id}/users/{id}/roles/{id}
GET /identity/v3/role_assignments
GET /healthz
GET /readyz
GET /metrics
"""
GROUP_ACTIONS = """
os-sync-replication-consistency-group os-stop-replication-consistency-group os-failover-replication-consistency-group
os-reverse-replication-consistency-group os-reprotect-replication-consistency-group os-extend-replication-volumes
"""
VOLUME_ACTIONS = """
os-extend os-initialize_connection os-terminate_connection os-attach os-detach os-reserve os-unreserve
"""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# Between a controller and its agents, and no part of what clients call.
AGENTS = "/internal/"

Calls = set[tuple[str, str]]


def alike(path: str) -> str:
    """Whatever its variables are called, with or without a slash at its end."""
    return re.sub(r"\{\w+\}", "{}", path).rstrip("/") or "/"


def built() -> Calls:
    """What the document tells of, unless it only ever answers that it is not there."""
    return {
        (method.upper(), alike(path))
        for path, methods in document()["paths"].items()
        for method, call in methods.items()
        if any(status < "400" for status in call["responses"])
    }


def promised() -> Iterator[tuple[str, str]]:
    for line in CONTRACT.split("\n"):
        *methods, path = line.split() or [""]
        for version in ("v2", "v3") if path.startswith("/v/") else ("v",):
            yield from ((method, alike(path.replace("/v/", f"/{version}/"))) for method in methods)


@pytest.mark.parametrize(("method", "path"), sorted(set(promised())))
def test_the_contract_is_there(method: str, path: str) -> None:
    assert (method, path) in built()


@pytest.mark.parametrize(
    ("path", "actions"),
    [
        ("/v2/{project_id}/os-vendor-replication-consistency-groups/{id}/action", GROUP_ACTIONS),
        ("/v2/{project_id}/volumes/{id}/action", VOLUME_ACTIONS),
        ("/v3/{project_id}/volumes/{id}/action", VOLUME_ACTIONS),
    ],
)
def test_the_actions_are_there(path: str, actions: str) -> None:
    body = document()["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    found = {name for each in body["oneOf"] for name in each["required"]}
    assert set(actions.split()) <= found
    for each in found:
        assert f"`{each}`" in TEXT


def told() -> Calls:
    """The calls in the tables of docs/api.md: a table's first cell, below what its heading names."""
    found: Calls = set()
    prefixes = [""]
    for line in TEXT.split("\n"):
        if line.startswith("##"):
            prefixes = re.findall(r"`(/[^`]*)`", line) or [""]
        elif line.startswith("| `"):
            found |= {
                (method, alike(path if path.startswith("/") else f"{prefix}/{path}"))
                for prefix in prefixes
                for method, path in in_cell(line.split(" | ")[0])
            }
    return found


def in_cell(cell: str) -> Iterator[tuple[str, str]]:
    """Methods stand before the path they are of; a path without any has those of the one before it."""
    methods: list[str] = []
    of_a_path = False
    for words in re.findall(r"`([^`]*)`", cell):
        first, _, path = words.partition(" ")
        if first in METHODS:
            methods = [first] if of_a_path else [*methods, first]
            of_a_path = bool(path)
        else:
            path = words
        if path and methods:
            yield from ((method, path) for method in methods)
    if not of_a_path:
        yield from ((method, "") for method in methods)


def test_every_call_is_in_a_table_of_the_docs() -> None:
    there = {call for call in built() if not call[1].startswith(AGENTS)}
    assert there - told() == set()


def test_no_table_of_the_docs_has_a_call_that_is_not_there() -> None:
    # What is below both versions' projects, and only in one of them, is there.
    anywhere = {(method, re.sub("^/v[23]/", "/v/", path)) for method, path in built()}
    assert {(method, re.sub("^/v[23]/", "/v/", path)) for method, path in told()} - anywhere == set()
