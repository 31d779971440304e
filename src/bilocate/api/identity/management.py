"""The paths by which users, projects and roles are managed, and who may use each."""

from collections.abc import Mapping

from bilocate.api.context import Parts
from bilocate.api.identity import domains, projects, roles, users
from bilocate.api.identity.admin_path import AdminCall, AskHandler, admin_calls
from bilocate.api.identity.login import Login

ADMIN, OWN = False, True  # admins alone; or also whoever the thing belongs to
Methods = Mapping[str, tuple[AskHandler, bool]]

_GRANT: Methods = {
    "PUT": (roles.grant, ADMIN),
    "GET": (roles.check, ADMIN),
    "DELETE": (roles.take, ADMIN),
}
_PATHS: Mapping[str, Methods] = {
    "projects": {"POST": (projects.create, ADMIN), "GET": (projects.index, ADMIN)},
    "projects/{id}": {
        "GET": (projects.show, OWN),
        "PATCH": (projects.update, ADMIN),
        "DELETE": (projects.remove, ADMIN),
    },
    "users": {"POST": (users.create, ADMIN), "GET": (users.index, ADMIN)},
    "users/{id}": {
        "GET": (users.show, OWN),
        "PATCH": (users.update, ADMIN),
        "DELETE": (users.remove, ADMIN),
    },
    "users/{id}/password": {"POST": (users.change_password, OWN)},
    "users/{id}/projects": {"GET": (users.projects, OWN)},
    "roles": {"POST": (roles.create, ADMIN), "GET": (roles.index, ADMIN)},
    "roles/{id}": {
        "GET": (roles.show, ADMIN),
        "PATCH": (roles.update, ADMIN),
        "DELETE": (roles.remove, ADMIN),
    },
    "role_assignments": {"GET": (roles.assignments, ADMIN)},
    "projects/{project_id}/users/{user_id}/roles": {"GET": (roles.held, ADMIN)},
    "projects/{project_id}/users/{user_id}/roles/{id}": _GRANT,
    "domains": {"GET": (domains.index, ADMIN)},
    "domains/{id}": {"GET": (domains.show, ADMIN)},
    "domains/{domain_id}/users/{user_id}/roles": {"GET": (roles.held, ADMIN)},
    "domains/{domain_id}/users/{user_id}/roles/{id}": _GRANT,
}


def managed_paths(parts: Parts, login: Login) -> dict[str, dict[str, AdminCall]]:
    """All of them, below the identity service's prefix."""
    return {path: admin_calls(parts, login, methods) for path, methods in _PATHS.items()}
