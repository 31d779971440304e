"""From what a person typed to an id: ids are taken as they are, names when only one thing has them."""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from bilocate.cli.client import Client, Group, Pair, Volume
from bilocate.cli.errors import NotFound, UsageProblem

T = TypeVar("T", Volume, Pair, Group)


def find_volume(client: Client, id_or_name: str) -> Volume:
    """The volume of this id or unambiguous name."""
    return _find("volume", id_or_name, client.volume, client.volumes)


def find_pair(client: Client, id_or_name: str) -> Pair:
    """The pair of this id or unambiguous name."""
    return _find("pair", id_or_name, client.pair, client.pairs)


def find_group(client: Client, id_or_name: str) -> Group:
    """The group of this id or unambiguous name."""
    return _find("group", id_or_name, client.group, client.groups)


def _find(kind: str, id_or_name: str, show: Callable[[str], T], search: Callable[..., list[T]]) -> T:
    if is_id(id_or_name):
        try:
            return show(id_or_name)
        except NotFound:
            pass  # it may still be a name: nothing stops a person from using an id as one
    found = [item for item in search(name=id_or_name) if item["name"] == id_or_name]
    if not found:
        raise NotFound(
            f"There is no {kind} with the id or name {id_or_name!r}: `bilocate {kind} list` shows all."
        )
    if len(found) > 1:
        ids = ", ".join(sorted(item["id"] for item in found))
        raise UsageProblem(
            f"{len(found)} {kind}s are named {id_or_name!r}: give the id of one of them: {ids}."
        )
    return found[0]


def is_id(text: str) -> bool:
    """Whether a text has the form of an id."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True
