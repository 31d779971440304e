"""What the document says of one call: its answers, its refusals, what may be sent, and where an answer leads."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bilocate.api.lists import LIMIT_MAX, OFFSET_MAX
from bilocate.api.openapi.shapes import ID, STRING, Json, words

# What any call may be answered on its way in.
AT_THE_GATE = frozenset({400, 406, 407, 429, 500, 503})
# Where a state may be in the way, what is not built, and where a site's agent is asked as well.
STATE = frozenset({409})
NOT_YET = frozenset({501})
AGENT = frozenset({409, 502, 504})


@dataclass(frozen=True, slots=True)
class Told:
    """One method of one path.

    `answers` are those that are no errors, by status, None for one without a body; `refusals` the errors beyond those
    that every call of its kind may have. `leads_to` names operations, and `by` tells which parts of their paths are
    found where in this one's answer.
    """

    name: str
    answers: Mapping[int, Json | None]
    body: Json | None = None
    query: Mapping[str, Json] = field(default_factory=dict)
    refusals: frozenset[int] = frozenset()
    leads_to: tuple[str, ...] = ()
    by: Mapping[str, str] = field(default_factory=dict)  # a path's variable -> a JSON pointer
    headers: Mapping[str, Json] = field(default_factory=dict)  # of the answer
    needs: Mapping[str, Json] = field(default_factory=dict)  # headers of the request
    said: str = ""  # where the handler says nothing of itself


# By method, of one path; and the paths of one part of the API.
Methods = Mapping[str, Told]
Table = Mapping[str, Methods]


def page(sort_keys: Mapping[str, object], least: int, most: int) -> dict[str, Json]:
    """The queries by which a list is ordered and cut into pages."""
    return {
        "limit": {"type": "integer", "minimum": least, "maximum": most},
        "offset": {"type": "integer", "minimum": 0, "maximum": OFFSET_MAX},
        "marker": {**ID, "description": "the id of the last row that was seen"},
        "sort_key": words(sort_keys),
        "sort_dir": words(("asc", "desc")),
    }


def replication_list(sort_keys: Mapping[str, object]) -> dict[str, Json]:
    """Of pairs and groups."""
    return page(sort_keys, 1, LIMIT_MAX)


def volume_list(sort_keys: Mapping[str, object]) -> dict[str, Json]:
    """By block storage's manners."""
    order = {
        **STRING,
        "description": f"key:direction, several with commas; keys: {', '.join(sorted(sort_keys))}",
    }
    return {**page(sort_keys, 0, OFFSET_MAX), "sort": order}


CHANGES_SINCE: Json = {
    **STRING,
    "description": "ISO 8601; without a zone it is UTC",
    "examples": ["2026-01-31T12:00:00"],
}
