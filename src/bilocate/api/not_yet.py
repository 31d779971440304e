"""Calls of the API that this release does not have. They answer 501 and say so; everything unknown is 404."""

from collections.abc import Sequence

from starlette.responses import Response

from bilocate.api.codes import not_yet
from bilocate.api.context import Call

ANY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE")

# (version or "" for both, path below the project, what it is)
PATHS: Sequence[tuple[str, str, str]] = (
    ("", "volumes/{id}/encryption", "encrypted volumes"),
    ("", "os-quota-class-sets/{id}", "quotas of classes"),
    ("", "os-vendor-tags/{rest:path}", "tags of anything but volumes, and looking for volumes by tags"),
    ("", "snapshots", "snapshots"),
    ("", "snapshots/{rest:path}", "snapshots"),
    ("", "backups", "backups"),
    ("", "backups/{rest:path}", "backups"),
    ("", "os-volume-transfer", "volume transfers"),
    ("", "os-volume-transfer/{rest:path}", "volume transfers"),
    ("", "os-services", "the list of services"),
    ("", "extensions", "the list of extensions"),
    ("", "qos-specs", "quality-of-service specifications"),
    ("", "qos-specs/{rest:path}", "quality-of-service specifications"),
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
