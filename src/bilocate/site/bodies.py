"""The bodies of control calls, checked before anything is done with them."""

import re
from dataclasses import dataclass
from typing import Any, TypeGuard

from bilocate.site.errors import MalformedBody
from bilocate.site.wish import READ_ONLY, WRITABLE, WantedExport

# Ids become file names and parts of log lines.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_EXPORT_NAME_BYTES_MAX = 1024  # the protocol allows 4096; ours are random words
_EXPORTS_MAX = 1024
_SOURCE_CHARACTERS_MAX = 4096
_NUMBER_MAX = 2**63 - 1
_SIZE_BYTES_MAX = 1 << 60  # beyond any file system; offsets stay within 63 bits


@dataclass(frozen=True, slots=True)
class WantedVolume:
    """What the controller wants of a volume. `exports`: (name, attachment id, whether its host may only read).

    `in_no_session`: the controller says so; a body without `session_id` says nothing. `source`: the path of the
    device or file that it was adopted from.
    """

    size_bytes: int
    create: bool
    revision: int
    exports: tuple[WantedExport, ...]
    session_id: str | None
    in_no_session: bool
    source: str | None = None

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "WantedVolume":
        """:raises MalformedBody: naming what is wrong, and never an export's name."""
        # Those of the second kind have a list of their own: an agent that does not know it serves them to nobody.
        exports = _exports(body, WRITABLE)
        if READ_ONLY in body:
            exports += _exports(body, READ_ONLY)
        if len({name for name, _, _ in exports}) < len(exports):
            raise MalformedBody("an export name is there twice")
        session_id = body.get("session_id")
        size_bytes = _size_bytes(body)
        if not isinstance(body.get("create"), bool):
            raise MalformedBody("create must be true or false")
        return cls(
            size_bytes=size_bytes,
            create=body["create"],
            revision=whole(body, "revision"),
            exports=exports,
            session_id=None if session_id is None else checked_id(session_id),
            in_no_session="session_id" in body and session_id is None,
            source=None if body.get("source") is None else checked_source(body),
        )


@dataclass(frozen=True, slots=True)
class WantedCopy:
    """A new volume that is to begin as a copy of another one of this site; beyond the source's end it is zeros."""

    source_volume_id: str
    size_bytes: int
    revision: int

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "WantedCopy":
        """:raises MalformedBody: naming what is wrong."""
        return cls(checked_id(body.get("source_volume_id")), _size_bytes(body), whole(body, "revision"))


def _size_bytes(body: dict[str, Any]) -> int:
    size_bytes = whole(body, "size_bytes")
    if not 0 < size_bytes <= _SIZE_BYTES_MAX:
        raise MalformedBody("size_bytes must be positive, and a size that a disk can have")
    return size_bytes


def checked_id(value: object) -> str:
    """An id of a volume, a session or an attachment.

    :raises MalformedBody: for what can't be one.
    """
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise MalformedBody("an id has 1 to 128 letters, digits, dots, dashes and underscores")
    return value


def checked_source(body: dict[str, Any]) -> str:
    """The path of a device or file.

    :raises MalformedBody: for what can't be one.
    """
    value = body.get("source")
    if not _is_text(value) or not 0 < len(value) <= _SOURCE_CHARACTERS_MAX or "\0" in value:
        raise MalformedBody(f"source must be a path of at most {_SOURCE_CHARACTERS_MAX} characters")
    return value


def whole(body: dict[str, Any], name: str) -> int:
    """A number that is whole, not negative, and within 63 bits.

    :raises MalformedBody: for anything else.
    """
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _NUMBER_MAX:
        raise MalformedBody(f"{name} must be a whole number from 0 to {_NUMBER_MAX}")
    return value


def _exports(body: dict[str, Any], key: str) -> tuple[WantedExport, ...]:
    exports = body.get(key)
    if not isinstance(exports, list) or len(exports) > _EXPORTS_MAX:
        raise MalformedBody(f"{key} must be a list of at most {_EXPORTS_MAX}")
    return tuple((*_export(export), key == READ_ONLY) for export in exports)


def _export(export: object) -> tuple[str, str]:
    if not isinstance(export, dict):
        raise MalformedBody("an export is an object with name and attachment_id")
    name = export.get("name")
    if not _is_text(name) or not 0 < len(name.encode()) <= _EXPORT_NAME_BYTES_MAX:
        raise MalformedBody(f"an export's name has 1 to {_EXPORT_NAME_BYTES_MAX} bytes")
    return name, checked_id(export.get("attachment_id"))


def _is_text(value: object) -> TypeGuard[str]:
    """A text without half a surrogate pair, which no file name and no answer can carry."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
