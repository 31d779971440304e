"""Calls of the API that this release does not have. They answer 501 and say so; everything unknown is 404."""

from collections.abc import Sequence

from starlette.responses import Response

from bilocate.api.codes import not_yet
from bilocate.api.context import Call

ANY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE")

# (version or "" for both, path below the project, what it is)
PATHS: Sequence[tuple[str, str, str]] = (
    ("", "volumes/{id}/metadata", "volume metadata by calls of its own"),
    ("", "volumes/{id}/metadata/{key}", "volume metadata by calls of its own"),
    ("", "volumes/{id}/encryption", "encrypted volumes"),
    ("", "os-quota-sets/{id}", "quotas"),
    ("", "os-quota-sets/{id}/defaults", "quotas"),
    ("", "os-quota-class-sets/{id}", "quotas"),
    ("", "os-vendor-volumes/{id}/tags", "tags"),
    ("", "os-vendor-tags/{rest:path}", "tags"),
    ("", "snapshots", "snapshots"),
    ("", "snapshots/{rest:path}", "snapshots"),
    ("", "backups", "backups"),
    ("", "backups/{rest:path}", "backups"),
    ("", "os-volume-transfer", "volume transfers"),
    ("", "os-volume-transfer/{rest:path}", "volume transfers"),
    ("", "os-volume-manage", "adopting an existing device or file"),
    ("", "os-services", "the list of services"),
    ("", "extensions", "the list of extensions"),
    ("", "qos-specs", "quality-of-service specifications"),
    ("", "qos-specs/{rest:path}", "quality-of-service specifications"),
    ("v3", "attachments", "attachments"),
    ("v3", "attachments/{rest:path}", "attachments"),
    ("v3", "groups", "generic volume groups"),
    ("v3", "groups/{rest:path}", "generic volume groups"),
    ("v3", "group_types", "generic volume groups"),
    ("v3", "messages", "user messages"),
    ("v3", "messages/{rest:path}", "user messages"),
)


def refuse(what: str) -> "_Refusal":
    """A handler that says it."""
    return _Refusal(what)


class _Refusal:
    def __init__(self, what: str) -> None:
        self._what = what

    async def __call__(self, call: Call) -> Response:
        raise not_yet(self._what)
