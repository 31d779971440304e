"""A volume's exports as the ledger keeps them: those by which hosts may only read have a list of their own.

An agent of a release before them takes no notice of that list, and serves them to nobody.
"""

from collections.abc import Iterable, Mapping
from typing import Any

# Name, attachment id, and whether its host may only read.
WantedExport = tuple[str, str, bool]
WRITABLE, READ_ONLY = "exports", "read_only_exports"


def exports_to_wish(exports: Iterable[WantedExport]) -> dict[str, list[tuple[str, str]]]:
    """Both lists, by their keys."""
    found: dict[str, list[tuple[str, str]]] = {WRITABLE: [], READ_ONLY: []}
    for name, attachment_id, read_only in exports:
        found[READ_ONLY if read_only else WRITABLE].append((name, attachment_id))
    return found


def exports_of_wish(wish: Mapping[str, Any]) -> list[WantedExport]:
    """Back from the ledger."""
    return [
        (name, attachment_id, key == READ_ONLY)
        for key in (WRITABLE, READ_ONLY)
        for name, attachment_id in wish.get(key, ())
    ]
