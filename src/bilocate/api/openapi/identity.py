"""The identity service's calls; its words are Keystone's."""

from bilocate.api.identity import login, projects, roles, users
from bilocate.api.identity.admin_path import PREFIX
from bilocate.api.identity.passwords import PASSWORD_BYTES_MAX
from bilocate.api.identity.values import DESCRIPTION_BYTES_MAX
from bilocate.api.identity.views import INTERFACES, SERVICES
from bilocate.api.openapi.calls import STATE, Methods, Table, Told
from bilocate.api.openapi.shapes import (
    BOOLEAN,
    KEYSTONE_TIME,
    NULL,
    STRING,
    Json,
    a_text,
    asked,
    constant,
    list_of,
    maybe_text,
    or_null,
    ref,
    told,
    within,
    words,
)

_NAMED = told({"id": STRING, "name": STRING})
_IN_DOMAIN = told({"id": STRING, "name": STRING, "domain": _NAMED})
_LINKS = told({"self": STRING, "previous": NULL, "next": or_null(STRING)})
_SELF = told({"self": STRING})
_ENDPOINT = told(
    {"id": STRING, "interface": words(INTERFACES), "region": STRING, "region_id": STRING, "url": STRING}
)
_CATALOG = list_of(
    told(
        {
            "id": STRING,
            "type": words(kind for kind, _, _ in SERVICES),
            "name": STRING,
            "endpoints": list_of(_ENDPOINT),
        }
    )
)
_COMMON = {"id": STRING, "name": STRING, "description": STRING, "options": told({}), "links": _SELF}
_WITH_TAGS = {**_COMMON, "enabled": BOOLEAN, "tags": list_of(STRING, maxItems=0)}
_VERSION = told(
    {
        "id": STRING,
        "status": STRING,
        "updated": STRING,
        "links": list_of(told({"rel": STRING, "href": STRING})),
        "media-types": list_of(told({"base": STRING, "type": STRING})),
    }
)
# A thing that an assignment names: its id, and its name and domain where names are wanted.
_THING = told({"id": STRING, "name": STRING, "domain": _NAMED}, optional=["name", "domain"])
_IN_PROJECT, _IN_A_DOMAIN = told({"project": _THING}), told({"domain": _THING})

SCHEMAS: dict[str, Json] = {
    "Token": told(
        {
            "methods": list_of(words(login.METHODS)),
            "user": told({"id": STRING, "name": STRING, "domain": _NAMED, "password_expires_at": NULL}),
            "audit_ids": list_of(STRING, minItems=1, maxItems=2),
            "issued_at": KEYSTONE_TIME,
            "expires_at": KEYSTONE_TIME,
            "project": _IN_DOMAIN,
            "is_domain": constant(False),
            "domain": _NAMED,
            "roles": list_of(_NAMED),
            "catalog": _CATALOG,
        },
        optional=["project", "is_domain", "domain", "roles", "catalog"],
    ),
    "Project": told({**_WITH_TAGS, "domain_id": STRING, "parent_id": STRING, "is_domain": constant(False)}),
    "User": told(
        {
            **_COMMON,
            "domain_id": STRING,
            "default_project_id": or_null(STRING),
            "email": or_null(STRING),
            "enabled": BOOLEAN,
            "password_expires_at": NULL,
        }
    ),
    "Role": told({**_COMMON, "domain_id": NULL}),
    "Domain": told(_WITH_TAGS),
    "RoleAssignment": told(
        {
            "role": _THING,
            "user": _THING,
            "scope": {"oneOf": [_IN_PROJECT, _IN_A_DOMAIN]},
            "links": told({"assignment": STRING}),
        }
    ),
}

# --- what is asked ---

_SOME = a_text(4096, least=1)  # names, ids and secrets of a login
_DOMAIN = {"anyOf": [asked({key: _SOME}, [key]) for key in ("id", "name")]}
_WHO = {
    "anyOf": [
        asked({"id": _SOME, "password": _SOME}, ["id", "password"]),
        asked({"name": _SOME, "domain": _DOMAIN, "password": _SOME}, ["name", "domain", "password"]),
    ]
}
_PROJECT = {
    "anyOf": [asked({"id": _SOME}, ["id"]), asked({"name": _SOME, "domain": _DOMAIN}, ["name", "domain"])]
}
_BY_PASSWORD = asked({"user": _WHO}, ["user"])
_BY_TOKEN = asked({"id": _SOME}, ["id"])
_IDENTITY = {
    "anyOf": [
        asked(
            {"methods": list_of(constant(method), minItems=1), method: given},
            ["methods", method],
        )
        for method, given in (("password", _BY_PASSWORD), ("token", _BY_TOKEN))
    ]
}
_SCOPE = {
    "anyOf": [
        NULL,
        constant("unscoped"),
        asked({"unscoped": {}}, ["unscoped"]),
        {**asked({"project": _PROJECT}, ["project"]), "maxProperties": 1},
        {**asked({"domain": _DOMAIN}, ["domain"]), "maxProperties": 1},
    ]
}
_LOGIN = within("auth", asked({"identity": _IDENTITY, "scope": _SCOPE}, ["identity"]))
_NAME = a_text(least=1)
_VALUES = {
    "name": _NAME,
    "description": maybe_text(DESCRIPTION_BYTES_MAX),
    "enabled": or_null(BOOLEAN),
    "domain_id": maybe_text(),
    "parent_id": maybe_text(),
    "email": maybe_text(),
    "default_project_id": maybe_text(),
    "password": or_null(a_text(PASSWORD_BYTES_MAX, least=1)),
}
_OWN_PASSWORD = within(
    "user",
    asked(
        {"password": a_text(PASSWORD_BYTES_MAX, least=1), "original_password": a_text(PASSWORD_BYTES_MAX)},
        ["password", "original_password"],
    ),
)
_PAGE = {
    "name": STRING,
    "marker": STRING,
    "limit": {"type": "integer", "minimum": 1, "maximum": 99_999_999},
}
_FLAG = {**STRING, "description": "false, 0, no and off mean no, all else yes"}
_FORBIDDEN, _GONE = frozenset({403}), frozenset({404})
_SUBJECT = {"X-Subject-Token": STRING}


def _managed(kind: str, known: tuple[str, ...], filters: dict[str, Json]) -> dict[str, Methods]:
    """The five calls of one kind of thing."""
    one, word = told({kind: ref(kind.capitalize())}), kind.capitalize()
    values = {key: _VALUES[key] for key in known}
    of_one = (f"show{word}", f"update{word}", f"delete{word}")
    return {
        f"{PREFIX}/{kind}s": {
            "POST": Told(
                f"create{word}",
                {201: one},
                body=within(kind, asked(values, ["name"])),
                refusals=STATE | _GONE,
                leads_to=of_one,
                by={"id": f"/{kind}/id"},
            ),
            "GET": _listed(f"list{word}s", f"{kind}s", word, {**_PAGE, **filters}),
        },
        f"{PREFIX}/{kind}s/{{id}}": {
            "GET": Told(of_one[0], {200: one}),
            "PATCH": Told(of_one[1], {200: one}, body=within(kind, asked(values)), refusals=STATE),
            "DELETE": Told(of_one[2], {204: None}, refusals=STATE),
        },
    }


def _listed(name: str, key: str, row: str, query: dict[str, Json]) -> Told:
    return Told(name, {200: told({key: list_of(ref(row)), "links": _LINKS})}, query=query)


def _granted(place: str) -> dict[str, Methods]:
    """The roles of a user at one kind of place."""
    word = place.capitalize()
    path = f"{PREFIX}/{place}s/{{{place}_id}}/users/{{user_id}}/roles"
    return {
        path: {"GET": _listed(f"listRolesOn{word}", "roles", "Role", {})},
        f"{path}/{{id}}": {
            "PUT": Told(f"giveRoleOn{word}", {204: None}, refusals=STATE),
            "GET": Told(f"checkRoleOn{word}", {204: None}),
            "HEAD": Told(f"checkRoleOn{word}ByHead", {204: None}),
            "DELETE": Told(f"takeRoleOn{word}", {204: None}, refusals=STATE),
        },
    }


_ONE_TOKEN = told({"token": ref("Token")})
_SECRET = {"X-Subject-Token": {**STRING, "description": "the token: what goes into X-Auth-Token"}}
_NO_CATALOG = {
    "nocatalog": {**STRING, "description": "there, with whatever value: no catalogue in the answer"}
}
_VERSIONS = told({"versions": told({"values": list_of(_VERSION)})})

CALLS: Table = {
    "/identity": {"GET": Told("listIdentityVersions", {300: _VERSIONS})},
    PREFIX: {"GET": Told("showIdentityVersion", {200: told({"version": _VERSION})})},
    f"{PREFIX}/auth/tokens": {
        "POST": Told(
            "createToken",
            {201: _ONE_TOKEN},
            body=_LOGIN,
            query=_NO_CATALOG,
            refusals=frozenset({401, 501}),
            headers=_SECRET,
        ),
        "GET": Told(
            "showToken",
            {200: _ONE_TOKEN},
            query=_NO_CATALOG,
            refusals=_FORBIDDEN | _GONE,
            headers=_SECRET,
            needs=_SUBJECT,
        ),
        "HEAD": Told("checkToken", {200: None}, refusals=_FORBIDDEN | _GONE, headers=_SECRET, needs=_SUBJECT),
        "DELETE": Told("revokeToken", {204: None}, refusals=_FORBIDDEN | _GONE, needs=_SUBJECT),
    },
    f"{PREFIX}/auth/projects": {"GET": _listed("listOwnProjects", "projects", "Project", {})},
    f"{PREFIX}/auth/catalog": {
        "GET": Told("showCatalog", {200: told({"catalog": _CATALOG, "links": _LINKS})})
    },
    **_managed(
        "project",
        projects.KNOWN,
        {"domain_id": STRING, "parent_id": STRING, "enabled": _FLAG, "is_domain": _FLAG},
    ),
    **_managed("user", users.KNOWN, {"domain_id": STRING, "enabled": _FLAG}),
    f"{PREFIX}/users/{{id}}/password": {
        "POST": Told("changePassword", {204: None}, body=_OWN_PASSWORD),
    },
    f"{PREFIX}/users/{{id}}/projects": {"GET": _listed("listProjectsOfUser", "projects", "Project", {})},
    **_managed("role", roles.KNOWN, {"domain_id": STRING}),
    f"{PREFIX}/role_assignments": {
        "GET": _listed(
            "listRoleAssignments",
            "role_assignments",
            "RoleAssignment",
            {
                **dict.fromkeys(
                    ("user.id", "role.id", "scope.project.id", "scope.domain.id", "group.id", "scope.system"),
                    STRING,
                ),
                "include_names": _FLAG,
            },
        )
    },
    **_granted("project"),
    **_granted("domain"),
    f"{PREFIX}/domains": {"GET": _listed("listDomains", "domains", "Domain", {**_PAGE, "enabled": _FLAG})},
    f"{PREFIX}/domains/{{id}}": {"GET": Told("showDomain", {200: told({"domain": ref("Domain")})})},
}
