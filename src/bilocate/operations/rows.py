"""Reading, in one go, what is wanted of a site or of a session."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.volume_states import VolumeStatus
from bilocate.operations.settings import Settings
from bilocate.operations.wanted import Json, wanted_session, wanted_volume
from bilocate.store.membership import members_of
from bilocate.store.models import Attachment, Group, Pair, Session, Volume


@dataclass(frozen=True, slots=True)
class SiteRows:
    """What a site should have: by volume id, by session id. `leftovers`: sessions that are held at this site,
    and no operation is under way that would take that back."""

    volumes: dict[str, Json]
    sessions: dict[str, Json]
    leftovers: list[str]


async def site_rows(db: AsyncSession, site: str, settings: Settings) -> SiteRows:
    """Everything that one site should have. Volumes that an operation is making or deleting are left to it;
    of one whose deletion failed half-way nothing is wanted any more."""
    going = (VolumeStatus.DELETING, VolumeStatus.ERROR_DELETING)
    volumes = (
        await db.scalars(select(Volume).where(Volume.site == site, Volume.made, Volume.status.not_in(going)))
    ).all()
    sizes = {volume.id: volume.size_gib for volume in volumes}
    sessions = await db.scalars(
        select(Session).where(or_(Session.primary_site == site, Session.secondary_site == site))
    )
    by_session: dict[str, list[Pair]] = defaultdict(list)
    for pair in await db.scalars(select(Pair).where(Pair.session_id.is_not(None))):
        by_session[str(pair.session_id)].append(pair)
    wanted: dict[str, Json] = {}
    holding: list[str] = []
    for session in sessions:
        members = by_session[session.id]
        if members:
            wanted[session.id] = _session(session, members, site, settings, sizes)
        if (session.held and session.secondary_site == site) or (
            session.quiesced and session.primary_site == site
        ):
            holding.append(session.id)
    return SiteRows(await _volumes(db, volumes), wanted, await _idle(db, holding))


async def note_holds(db: AsyncSession, told: Mapping[str, Json]) -> None:
    """A session that an agent tells to be held, and whose group nothing is going on with, has a leftover.

    A call of a check or a quiesce may be carried out long after its caller gave up, and after the hold was taken back:
    nobody would lift it then. It is noted like any other leftover, and settled like one.
    """
    for session_id, found in told.items():
        group = await db.get(Group, session_id, with_for_update=True, populate_existing=True)
        session = await db.get(Session, session_id, with_for_update=True, populate_existing=True)
        if group is None or group.operation_id is not None or session is None:
            continue
        if session.epoch == found.get("epoch"):
            session.held = session.held or bool(found.get("holds_hello"))
            session.quiesced = session.quiesced or bool(found.get("quiesced"))


async def session_row(db: AsyncSession, session_id: str, site: str, settings: Settings) -> Json | None:
    """What is wanted of one session at one site; None when it has ended, has no pairs, or is not there."""
    session = await db.get(Session, session_id)
    if session is None or site not in (session.primary_site, session.secondary_site):
        return None
    members = await members_of(db, session_id)
    ids = [pair.volume_at(site) for pair in members]
    sizes = {
        row.id: row.size_gib
        for row in await db.execute(select(Volume.id, Volume.size_gib).where(Volume.id.in_(ids)))
    }
    return _session(session, members, site, settings, sizes) if members else None


async def volume_row(db: AsyncSession, volume_id: str) -> tuple[str, Json] | None:
    """A volume's site and what is wanted of it there."""
    volume = await db.get(Volume, volume_id)
    if volume is None:
        return None
    return volume.site, (await _volumes(db, [volume]))[volume_id]


def _session(
    session: Session, members: Sequence[Pair], site: str, settings: Settings, sizes_gib: Mapping[str, int]
) -> Json:
    peer = session.secondary_site if session.primary_site == site else session.primary_site
    return wanted_session(session, members, site, settings.sites[peer], sizes_gib)


async def _volumes(db: AsyncSession, volumes: Iterable[Volume]) -> dict[str, Json]:
    found = list(volumes)
    ids = [volume.id for volume in found]
    live: dict[str, list[Attachment]] = defaultdict(list)
    query = select(Attachment).where(Attachment.ended_at.is_(None), Attachment.volume_id.in_(ids))
    for attachment in await db.scalars(query):
        live[attachment.volume_id].append(attachment)
    carried = await _carriers(db, [volume.pair_id for volume in found if volume.pair_id is not None])
    wanted: dict[str, Json] = {}
    for volume in found:
        session_id, primary = carried.get(volume.pair_id or "", (None, volume.site))
        wanted[volume.id] = wanted_volume(volume, live[volume.id], primary == volume.site, session_id)
    return wanted


async def _carriers(db: AsyncSession, pair_ids: list[str]) -> dict[str, tuple[str | None, str]]:
    """By pair: the session that carries it, and the site that may serve hosts."""
    query = select(Pair.id, Pair.session_id, Session.primary_site)
    query = query.join(Session, Session.id == Pair.session_id).where(Pair.id.in_(pair_ids))
    return {row.id: (row.session_id, row.primary_site) for row in await db.execute(query)}


async def _idle(db: AsyncSession, session_ids: list[str]) -> list[str]:
    query = select(Group.id).where(Group.id.in_(session_ids), Group.operation_id.is_(None))
    return list(await db.scalars(query)) if session_ids else []
