"""Whole lists, page by page, and one thing by its id or its name."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from bilocate.client.errors import AmbiguousName, NoSuchName, NotFound
from bilocate.client.exchange import Place, Request, Steps, ask
from bilocate.client.resources import Named, Resource

PAGE = 1000  # the most that one answer lists

R = TypeVar("R", bound=Resource)
N = TypeVar("N", bound=Named)


def every(
    path: str,
    key: str,
    read: Callable[[Mapping[str, Any]], R],
    filters: Mapping[str, str],
    place: Place = Place.V2,
    microversion: str = "",
) -> Steps[list[R]]:
    """All that fit, with as many requests as that takes."""
    found: list[R] = []
    params = {**filters, "limit": str(PAGE)}
    while True:
        answer = yield from ask(Request("GET", path, None, dict(params), place, microversion))
        page = answer[key]
        found += [read(each) for each in page]
        if len(page) < PAGE:
            return found
        params["marker"] = page[-1]["id"]


def find(
    kind: str, id_or_name: str, show: Callable[[str], Steps[N]], search: Callable[..., Steps[list[N]]]
) -> Steps[N]:
    """By its id, or by a name that only one thing has.

    :raises NoSuchName:
    :raises AmbiguousName:
    """
    if is_id(id_or_name):
        try:
            return (yield from show(id_or_name))
        except NotFound:
            pass  # it may still be a name: nothing stops a person from using an id as one
    found = [each for each in (yield from search(name=id_or_name)) if each.name == id_or_name]
    if not found:
        raise NoSuchName(kind, id_or_name)
    if len(found) > 1:
        raise AmbiguousName(kind, id_or_name, sorted(each.id for each in found))
    return found[0]


def is_id(text: str) -> bool:
    """Whether a text has the form of an id."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True
