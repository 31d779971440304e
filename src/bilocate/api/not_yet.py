"""Calls of the API that this release does not have. They answer 501 and say so; everything unknown is 404.

Where clients list things of which there can be none here, the list is empty and one of them is 404, as they expect.
"""

from collections.abc import Mapping, Sequence

from starlette.responses import JSONResponse, Response

from bilocate.api.codes import Problem, not_yet
from bilocate.api.context import Call, Handler

ANY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE")

# (version or "" for both, path below the project, what it is)
PATHS: Sequence[tuple[str, str, str]] = (("", "os-vendor-tags/{rest:path}", "tags of anything but volumes"),)
# (version or "" for both, path below the project, the list's key, what it is)
NONE_OF: Sequence[tuple[str, str, str, str]] = (
    ("", "snapshots", "snapshots", "snapshots"),
    ("", "snapshots/detail", "snapshots", "snapshots"),
    ("", "backups", "backups", "backups"),
    ("", "backups/detail", "backups", "backups"),
    ("", "os-volume-transfer", "transfers", "volume transfers"),
    ("", "os-volume-transfer/detail", "transfers", "volume transfers"),
    ("", "qos-specs", "qos_specs", "quality-of-service specifications"),
    ("", "extensions", "extensions", "extensions"),
    ("v3", "groups", "groups", "generic volume groups"),
    ("v3", "groups/detail", "groups", "generic volume groups"),
    ("v3", "group_types", "group_types", "generic volume groups"),
    ("v3", "messages", "messages", "user messages"),
)


def paths(version: str) -> Mapping[str, Mapping[str, Handler]]:
    """All of them below a project of this version, each with a handler for every method."""
    lists = [kind for kind in NONE_OF if kind[0] in ("", version)]
    found = {path: _refused(what) for only, path, what in PATHS if only in ("", version)}
    found |= {path: {**_refused(what), "GET": _EmptyList(key)} for _, path, key, what in lists}
    # After all others, for the first route that fits is taken.
    single = [(path, what) for _, path, _, what in lists if not path.endswith("/detail")]
    found |= {f"{path}/{{rest:path}}": {**_refused(what), "GET": _Nobody(what)} for path, what in single}
    return found


def _refused(what: str) -> dict[str, Handler]:
    return dict.fromkeys(ANY_METHOD, _Refusal(what))


def is_not_yet(handler: object) -> bool:
    """Whether that is all it says."""
    return isinstance(handler, _Refusal) or getattr(handler, "__name__", "") == "not_yet"


class _Refusal:
    def __init__(self, what: str) -> None:
        self._what = what

    async def __call__(self, call: Call) -> Response:
        raise not_yet(self._what)


class _EmptyList:
    def __init__(self, key: str) -> None:
        self._key = key

    async def __call__(self, call: Call) -> Response:
        return JSONResponse({self._key: []})


class _Nobody:
    def __init__(self, what: str) -> None:
        self._what = what

    async def __call__(self, call: Call) -> Response:
        raise Problem(404, f"there are no {self._what} in this release: docs/api.md lists what there is")
