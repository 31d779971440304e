"""How much a project may have: limits that an admin has set, what is used, and the refusal beyond.

Where a project has no limit of its own the default class decides, and where that has none nothing is limited. The row
that decides is locked while something is made under it: of two calls at once the second sees what the first has taken.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_volumes import GroupQuotaExceeded, QuotaExceeded
from bilocate.domain.failures import Failure
from bilocate.domain.volume_states import VolumeStatus
from bilocate.domain.zones import Zones
from bilocate.store.journal_models import Operation
from bilocate.store.models import Group, Pair, Quota, Session, Volume

UNLIMITED = -1
# Where a project's id stands, for the limits of all who have none of their own: no id has a colon in it.
DEFAULT_CLASS = "class:default"
# In one statement, which both databases know: two admins at once both succeed.
_SET = text(
    "INSERT INTO quotas (project_id, resource, hard_limit) VALUES (:project, :resource, :limit) "
    "ON CONFLICT (project_id, resource) DO UPDATE SET hard_limit = excluded.hard_limit"
)


class Resource(Enum):
    """What is counted."""

    VOLUMES = "volumes"
    GIGABYTES = "gigabytes"
    GROUPS = "replication_consistency_groups"  # in each availability zone


async def limits_of(db: AsyncSession, project_id: str) -> dict[Resource, int]:
    """The project's limits, all of them: its own, or the default class's."""
    rows = await db.scalars(select(Quota).where(Quota.project_id.in_((project_id, DEFAULT_CLASS))))
    found = {(row.project_id, Resource(row.resource)): row.hard_limit for row in rows}
    return {
        resource: found.get((project_id, resource), found.get((DEFAULT_CLASS, resource), UNLIMITED))
        for resource in Resource
    }


async def used_by(db: AsyncSession, project_id: str, zones: Zones) -> dict[Resource, int]:
    """What the project has. Of groups: as many as in the zone that has the most."""
    groups = [await _groups_in(db, project_id, zones.sites(zone)) for zone in zones.names]
    return {
        Resource.VOLUMES: await _volumes(db, project_id),
        Resource.GIGABYTES: await _gigabytes(db, project_id),
        Resource.GROUPS: max(groups, default=0),
    }


async def set_limits(db: AsyncSession, project_id: str, limits: Mapping[Resource, int]) -> None:
    """Change some of the limits. What a project has beyond one stays; it gets no more."""
    for resource, limit in limits.items():
        values = {"project": project_id, "resource": resource.value, "limit": limit}
        await db.execute(_SET, values)


async def clear_limits(db: AsyncSession, project_id: str) -> None:
    """The project has none of its own any more."""
    await db.execute(delete(Quota).where(Quota.project_id == project_id))


async def require_volume(db: AsyncSession, project_id: str, size_gib: int) -> None:
    """Room for one more volume of that size.

    :raises QuotaExceeded:
    """
    limit = await _locked(db, project_id, Resource.VOLUMES)
    if limit != UNLIMITED:
        _require(project_id, Resource.VOLUMES, await _volumes(db, project_id), 1, limit)
    await require_gigabytes(db, project_id, size_gib)


async def require_gigabytes(db: AsyncSession, project_id: str, more_gib: int) -> None:
    """Room for that much more.

    :raises QuotaExceeded:
    """
    limit = await _locked(db, project_id, Resource.GIGABYTES)
    if limit != UNLIMITED:
        _require(project_id, Resource.GIGABYTES, await _gigabytes(db, project_id), more_gib, limit)


async def require_group(db: AsyncSession, project_id: str, zones: Zones, production: str, other: str) -> None:
    """Room for one more group in the zones of both sites.

    :raises GroupQuotaExceeded:
    """
    limit = await _locked(db, project_id, Resource.GROUPS)
    if limit == UNLIMITED:
        return
    for site, failure in (
        (production, Failure.PRODUCTION_GROUP_QUOTA),
        (other, Failure.DR_GROUP_QUOTA),
    ):
        zone = zones.of(site)
        used = await _groups_in(db, project_id, zones.sites(zone))
        if used >= limit:
            raise GroupQuotaExceeded(project_id, zone, used, limit, failure)


def _require(project_id: str, resource: Resource, used: int, more: int, limit: int) -> None:
    if used + more > limit:
        raise QuotaExceeded(project_id, resource.value, used, more, limit)


async def _locked(db: AsyncSession, project_id: str, resource: Resource) -> int:
    for owner in (project_id, DEFAULT_CLASS):
        key = (owner, resource.value)
        row = await db.get(Quota, key, with_for_update=True, populate_existing=True)
        if row is not None:
            return int(row.hard_limit)
    return UNLIMITED


async def _volumes(db: AsyncSession, project_id: str) -> int:
    query = select(func.count()).select_from(Volume).where(Volume.project_id == project_id)
    return int((await db.execute(query)).scalar_one())


async def _gigabytes(db: AsyncSession, project_id: str) -> int:
    """With what the extensions under way will add."""
    sizes = select(func.coalesce(func.sum(Volume.size_gib), 0)).where(Volume.project_id == project_id)
    growing = select(Volume.size_gib, Operation.args).join(Operation, Operation.id == Volume.operation_id)
    growing = growing.where(Volume.project_id == project_id, Volume.status == VolumeStatus.EXTENDING)
    more: int = sum(max(0, args.get("new_size_gib", size) - size) for size, args in await db.execute(growing))
    return int((await db.execute(sizes)).scalar_one()) + more + await _growing_pairs(db, project_id)


async def _growing_pairs(db: AsyncSession, project_id: str) -> int:
    """What the extensions of groups that are under way will add."""
    query = select(Group.id, Operation.args).join(Operation, Operation.id == Group.operation_id)
    query = query.where(Group.project_id == project_id, Operation.verb == "extend_group")
    wanted: dict[str, int] = {}
    for _, args in await db.execute(query):
        wanted |= args.get("sizes_gib", {})
    sizes = select(Volume.pair_id, Volume.size_gib).where(Volume.pair_id.in_(wanted))
    return sum(max(0, wanted[str(pair_id)] - size) for pair_id, size in await db.execute(sizes))


async def _groups_in(db: AsyncSession, project_id: str, sites: Sequence[str]) -> int:
    """A group is in both of its zones; one without pairs is where its session is. `sites`: those of a zone."""
    of_session = or_(Session.primary_site.in_(sites), Session.secondary_site.in_(sites))
    of_pair = or_(Pair.first_site.in_(sites), Pair.second_site.in_(sites))
    here: ColumnElement[bool] = or_(
        Group.priority_site.in_(sites),
        exists().where(Session.id == Group.id, of_session),
        exists().where(Pair.group_id == Group.id, of_pair),
    )
    query = select(func.count()).select_from(Group).where(Group.project_id == project_id, here)
    return int((await db.execute(query)).scalar_one())
