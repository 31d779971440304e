"""Which pairs may join a group, and how they are claimed: shared by the making and the updating of groups."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import (
    DirectionsDiffer,
    NotFound,
    PairInGroup,
    SitesDiffer,
    TargetBusy,
    WrongStatus,
)
from bilocate.domain.pair_states import PairStatus
from bilocate.operations.context import Context
from bilocate.store.models import Group, Pair


async def find_pairs(
    db: AsyncSession, pair_ids: Sequence[str], project_id: str | None, locked: bool
) -> list[Pair]:
    """The pairs, in the order of their ids.

    :raises NotFound: one does not exist, or is another project's.
    """
    query = select(Pair).where(Pair.id.in_(pair_ids)).order_by(Pair.id)
    if locked:
        query = query.with_for_update().execution_options(populate_existing=True)
    found = {pair.id: pair for pair in await db.scalars(query)}
    for pair_id in pair_ids:
        if pair_id not in found or project_id not in (None, found[pair_id].project_id):
            raise NotFound("pair", pair_id)
    return list(found.values())


def require_joinable(
    pairs: Sequence[Pair], site: str, sites: set[str] | None, group_id: str | None = None
) -> None:
    """Every pair may join a group whose production is at `site`, between `sites` (None: whichever they share).

    :raises Conflict, Invalid: the first that may not.
    """
    for pair in pairs:
        if pair.group_id not in (None, group_id):
            raise PairInGroup(pair.id, str(pair.group_id), "remove it from that group first")
        if pair.status is not PairStatus.AVAILABLE:
            remedy = "wait until it is, or delete it and make it anew"
            raise WrongStatus("pair", pair.id, pair.status, [PairStatus.AVAILABLE], remedy)
        if pair.operation_id is not None:
            raise TargetBusy("pair", pair.id, pair.operation_id)
        mine = {pair.first_site, pair.second_site}
        sites = sites or mine
        if mine != sites:
            raise SitesDiffer(pair.id, sorted(mine), sorted(sites))
        if pair.priority_site != site:
            raise DirectionsDiffer(pair.id, pair.priority_site, site)


async def claim(db: AsyncSession, group: Group, pair_ids: Sequence[str]) -> None:
    """The pairs are this group's from now on, as everyone sees it."""
    await db.flush()
    for pair in await find_pairs(db, pair_ids, None, locked=True):
        pair.group_id = group.id


async def unclaim(db: AsyncSession, group_id: str, pair_ids: Sequence[str]) -> None:
    """They are not, if they were."""
    query = select(Pair).where(Pair.id.in_(pair_ids), Pair.group_id == group_id).with_for_update()
    for pair in await db.scalars(query.execution_options(populate_existing=True)):
        pair.group_id = None


async def push_sessions(
    context: Context, group_id: str, leaving: Sequence[str], sites: Sequence[str]
) -> None:
    """Tell both sites. Pairs that left first: they take their volumes along before the group lets go of them."""
    for site in sites:
        for session_id in (*leaving, group_id):
            await context.reconciler.push_session(site, session_id)
