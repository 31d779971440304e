"""Reading single values out of a request, each refused with its name and what it must be."""

import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bilocate.api.codes import BAD_ACTION, BAD_BODY, malformed

TEXT_BYTES_MAX = 255
MAP_ENTRIES_MAX = 128
SIZE_GIB_MAX = 65536  # 64 TiB: what one file can be on the file systems of today


def inner_object(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The object under the body's outer key; other keys beside it are not looked at."""
    value = body.get(key)
    if not isinstance(value, dict):
        raise malformed(f"the body must be an object with the object {key!r} in it", BAD_BODY)
    return value


def text(values: Mapping[str, Any], key: str, bytes_max: int = TEXT_BYTES_MAX) -> str | None:
    """A text of at most `bytes_max` bytes in UTF-8; None when it is left out or null."""
    value = values.get(key)
    return None if value is None else checked_text(key, value, bytes_max)


def checked_text(key: str, value: Any, bytes_max: int = TEXT_BYTES_MAX) -> str:
    """`value`, when it is a text that every database can keep."""
    if not isinstance(value, str):
        raise malformed(f"{key} must be a text")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise malformed(f"{key} has half a surrogate pair in it, which is no text") from None
    if "\0" in value:
        raise malformed(f"{key} must not hold a NUL character")
    if size > bytes_max:
        raise malformed(f"{key} has {size} bytes, at most {bytes_max} are possible")
    return value


def required_text(values: Mapping[str, Any], key: str, bytes_max: int = TEXT_BYTES_MAX) -> str:
    """A text that must be there and not empty."""
    found = text(values, key, bytes_max)
    if not found:
        raise malformed(f"{key} is missing")
    return found


def boolean(values: Mapping[str, Any], key: str) -> bool:
    """True or false; false when it is left out or null."""
    value = values.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise malformed(f"{key} must be true or false")
    return value


def identifier(key: str, value: Any, code: str | None = None) -> str:
    """An id in its usual spelling."""
    if isinstance(value, str) and is_identifier(value):
        return value.lower()
    raise malformed(f"{key}: {value!r} is no id", code)


def is_identifier(value: str) -> bool:
    """Whether it could be an id; what can't is never looked up."""
    try:
        return str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False


def identifiers(values: Mapping[str, Any], key: str, code: str | None = None) -> list[str]:
    """A list of ids, none twice; empty when it is left out or null."""
    value = values.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise malformed(f"{key} must be a list of ids", code)
    found = [identifier(key, each, code) for each in value]
    if len(set(found)) != len(found):
        raise malformed(f"{key} names an id twice", code)
    return found


def text_map(values: Mapping[str, Any], key: str) -> dict[str, str]:
    """An object of texts, such as metadata; empty when it is left out or null."""
    value = values.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MAP_ENTRIES_MAX:
        raise malformed(f"{key} must be an object of at most {MAP_ENTRIES_MAX} texts")
    if "" in value:
        raise malformed(f"{key} has an empty key")
    return {
        checked_text(f"a key of {key}", name): checked_text(f"{key}.{name}", each)
        for name, each in value.items()
    }


def size_gib(key: str, value: Any) -> int:
    """A volume's size. Clients send a number, or one as a text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= SIZE_GIB_MAX:
        raise malformed(f"{key} must be a whole number of GiB from 1 to {SIZE_GIB_MAX}")
    return value


def one_action(body: Mapping[str, Any]) -> tuple[str, Any]:
    """:raises Problem: 400 unless the body has exactly one key."""
    if len(body) != 1:
        raise malformed(f"the body has {len(body)} actions in it: exactly one is possible", BAD_ACTION)
    return next(iter(body.items()))


def only(values: Mapping[str, Any], where: str, known: Iterable[str]) -> None:
    """Refuse what nobody would look at: a misspelt opt-in must not be taken for none."""
    for key in values:
        if key not in known:
            offered = ", ".join(sorted(known)) or "nothing"
            raise malformed(f"{where}: {key!r} is not known; there is {offered}")


def time(key: str, value: str) -> datetime:
    """ISO 8601, as the database keeps it: in UTC without a zone. No zone given means UTC."""
    # A plus sign in a query that was not encoded arrives as a space.
    spelled = re.sub(r" (\d\d:?\d\d)$", r"+\1", value.strip())
    try:
        found = datetime.fromisoformat(spelled)
    except ValueError:
        raise malformed(f"{key}: {value!r} is no time: write it like 2026-01-31T12:00:00") from None
    if found.tzinfo is None:
        return found
    try:
        return found.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise malformed(f"{key}: {value!r} is out of range") from None
