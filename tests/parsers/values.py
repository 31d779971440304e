"""What somebody might send: any JSON, and right documents with a few places spoilt."""

import copy
import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EDITS_MAX = 4
LETTERS_MAX = 300

# Numbers that no column keeps, words that no encoding has, and the values that Python takes for others.
JUNK: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [
            None,
            True,
            False,
            0,
            -1,
            1.5,
            float("inf"),
            float("nan"),
            2**31,
            2**63,
            2**64,
            10**400,
            "",
            "0",
            "-1",
            "\0",
            "\ud800",
            "\u0661",
            "a" * LETTERS_MAX,
            "../..",
            [],
            {},
            [[]],
            [None],
            [{}],
            {"": None},
        ]
    ),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=8),
)
ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    JUNK,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def property_test(examples: int) -> Callable[[Any], Any]:
    """The same examples at every run, so that what is found in CI is found at home; BILOCATE_EXAMPLES=100 tries a
    hundred times as many, each time others."""
    times = int(os.environ.get("BILOCATE_EXAMPLES", "1"))
    return settings(
        max_examples=examples * times,
        deadline=None,
        derandomize=times == 1,
        print_blob=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def spoilt(draw: st.DrawFn, right: Any, words: Iterable[str] = ()) -> Any:
    """A right document in which some values are replaced, taken away, or stand under a key that is not theirs."""
    document = copy.deepcopy(right)
    keys = sorted({*words, *_keys(document), "unknown"})
    for _ in range(draw(st.integers(0, EDITS_MAX))):
        places = list(_places(document))
        if not places:
            return _drawn(draw)
        holder, key = draw(st.sampled_from(places))
        edit = draw(st.sampled_from(("replace", "replace", "remove", "add")))
        if edit == "replace":
            holder[key] = _drawn(draw)
        elif edit == "remove":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw(st.sampled_from(keys))] = _drawn(draw)
        else:
            holder.append(copy.deepcopy(draw(st.sampled_from(holder))) if holder else _drawn(draw))
    return document


@st.composite
def cut_up(draw: st.DrawFn, right: bytes, pieces: Iterable[bytes]) -> bytes:
    """Right bytes in which stretches are taken away, doubled, or replaced by one of the pieces or by anything."""
    document = right
    for _ in range(draw(st.integers(0, EDITS_MAX))):
        start = draw(st.integers(0, len(document)))
        end = draw(st.integers(start, min(len(document), start + 40)))
        put = draw(st.one_of(st.just(b""), st.binary(max_size=8), st.sampled_from(sorted(pieces))))
        document = document[:start] + put + document[end:]
    return document


def as_sent(document: Any) -> bytes:
    """The bytes of a JSON document. A number may be too large for a float without being spelt as infinite."""
    return json.dumps(document).replace("Infinity", "1e999").encode()


def _drawn(draw: st.DrawFn) -> Any:
    """A copy: what is drawn may be spoilt too, and must not be the next time's beginning."""
    return copy.deepcopy(draw(ANY_JSON))


def _places(document: Any) -> Iterable[tuple[Any, Any]]:
    """Every place of a value below the top: what holds it, and its key there."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(items):
        yield document, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _keys(document: Any) -> Iterable[str]:
    if isinstance(document, dict):
        yield from document
        for value in document.values():
            yield from _keys(value)
    elif isinstance(document, list):
        for value in document:
            yield from _keys(value)
