"""Where a new volume goes, in a zone that has several sites."""

from sqlalchemy import func, select

from bilocate.domain.zones import Zones
from bilocate.store.database import Database
from bilocate.store.models import Volume


async def place(database: Database, zones: Zones, name: str, project_id: str) -> str:
    """The site for a new volume of a project's, in the zone `name`. A name that is no zone's stays as it is.

    :raises DatabaseUnavailable:
    """
    sites = zones.sites(name)
    if len(sites) < 2:
        return zones.place(name, project_id, {})
    count = select(Volume.site, func.count()).where(Volume.project_id == project_id, Volume.site.in_(sites))
    async with database.reading() as db:
        used = {site: int(volumes) for site, volumes in await db.execute(count.group_by(Volume.site))}
    return zones.place(name, project_id, used)
