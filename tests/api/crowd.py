"""A database full of pairs, written at once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, text

from bilocate.domain.arbiter import RowState
from bilocate.domain.group_states import GroupStatus
from bilocate.domain.pair_states import PairStatus
from bilocate.domain.volume_states import VolumeStatus
from bilocate.store.database import Database
from bilocate.store.models import Group, Pair, Session, Volume

PAIRS_IN_A_GROUP = 10
SITES = ("az1", "az2")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def identifier(kind: int, number: int) -> str:
    """An id that tells what it is."""
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


def pair_id(number: int) -> str:
    return identifier(1, number)


def group_id(number: int) -> str:
    return identifier(2, number)


def volume_id(number: int, site: str) -> str:
    return identifier(3 + SITES.index(site), number)


async def fill(database: Database, project_id: str, pairs: int) -> None:
    """So many pairs of two volumes each, ten to a group."""
    groups = range(pairs // PAIRS_IN_A_GROUP)
    common = {"project_id": project_id, "description": "", "volume_type": "bilocate", "size_gib": 1}
    rows: dict[type[Any], list[dict[str, Any]]] = {
        Session: [_session(number) for number in groups],
        Group: [{**_named(project_id, "g", number), **_group(number)} for number in groups],
        Pair: [{**common, **_named(project_id, "p", number), **_pair(number)} for number in range(pairs)],
        Volume: [
            {**common, **_named(project_id, f"v-{site}", number), **_volume(number, site)}
            for number in range(pairs)
            for site in SITES
        ],
    }
    async with database.writing() as db:
        for model, values in rows.items():
            await db.execute(insert(model), values)
    if not database.is_sqlite:
        async with database.writing() as db:
            await db.execute(text("ANALYZE"))  # which the server does by itself, a minute later


def _named(project_id: str, prefix: str, number: int) -> dict[str, Any]:
    # Several have the same time, as in an installation that a script has made.
    made = BEGAN + timedelta(seconds=number // 7)
    changed = made + timedelta(days=1) if number % 2 else None
    return {
        "project_id": project_id,
        "name": f"{prefix}{number}",
        "description": f"number {number}",
        "created_at": made,
        "updated_at": changed,
    }


def _session(number: int) -> dict[str, Any]:
    return {
        "id": group_id(number),
        "epoch": number + 1,
        "primary_site": "az1",
        "secondary_site": "az2",
        "state": RowState.IN_SYNC,
        "paused": False,
    }


def _group(number: int) -> dict[str, Any]:
    return {"id": group_id(number), "status": GroupStatus.AVAILABLE, "priority_site": SITES[number % 2]}


def _pair(number: int) -> dict[str, Any]:
    group = group_id(number // PAIRS_IN_A_GROUP)
    return {
        "id": pair_id(number),
        "status": PairStatus.AVAILABLE,
        "first_volume_id": volume_id(number, "az1"),
        "second_volume_id": volume_id(number, "az2"),
        "first_site": "az1",
        "second_site": "az2",
        "priority_site": SITES[number // PAIRS_IN_A_GROUP % 2],
        "group_id": group,
        "session_id": group,
    }


def _volume(number: int, site: str) -> dict[str, Any]:
    return {
        "id": volume_id(number, site),
        "site": site,
        "status": VolumeStatus.AVAILABLE,
        "pair_id": pair_id(number),
        "made": True,
        "user_metadata": {},
    }
