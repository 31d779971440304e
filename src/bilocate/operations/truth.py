"""Gathers what `domain.observed` judges: the rows, and what both agents last said."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select

from bilocate.domain.group_states import GroupStatus
from bilocate.domain.observed import HalfReport, Observed, Wanted, observe
from bilocate.operations.context import Context
from bilocate.operations.observer import SiteReport
from bilocate.store.models import Group, Pair, Session

Json = dict[str, Any]


async def observe_sessions(
    context: Context, session_ids: Iterable[str], seconds: float | None = None
) -> dict[str, Observed]:
    """What is true now of each of the sessions; those that don't exist are left out. `seconds`: how long a site
    that should be asked anew is waited for; None: as long as a site is asked at all."""
    ids = list(session_ids)
    async with context.database.reading() as db:
        sessions = (await db.scalars(select(Session).where(Session.id.in_(ids)))).all()
        counts = (
            select(Pair.session_id, func.count()).where(Pair.session_id.in_(ids)).group_by(Pair.session_id)
        )
        members: dict[str | None, int] = {row[0]: row[1] for row in await db.execute(counts)}
        failed_over = set(
            await db.scalars(
                select(Group.id).where(Group.id.in_(ids), Group.status == GroupStatus.FAILED_OVER)
            )
        )
    await _refresh(context, [session for session in sessions if members.get(session.id)], seconds)
    return {
        session.id: _observe(context, session, members.get(session.id, 0), session.id in failed_over)
        for session in sessions
    }


async def observe_session(context: Context, session_id: str) -> Observed | None:
    """The same for one session."""
    return (await observe_sessions(context, [session_id])).get(session_id)


async def unlinked(context: Context) -> list[str]:
    """The groups that are to replicate and whose production site has no link to the other one now."""
    carried = select(Pair.session_id).where(Pair.session_id.is_not(None))
    query = select(Session).where(Session.paused.is_(False), Session.id.in_(carried)).order_by(Session.id)
    async with context.database.reading() as db:
        sessions = (await db.scalars(query)).all()
    return [session.id for session in sessions if not _is_linked(context, session)]


def dirty_bytes(context: Context, session_id: str) -> int:
    """What may differ, by the site that knows of more; a site that does not answer is left out."""
    reports = (context.observer.last(site) for site in context.settings.sites)
    halves = (half_report(report, session_id) for report in reports)
    return max((half.dirty_bytes for half in halves if half is not None), default=0)


def _is_linked(context: Context, session: Session) -> bool:
    primary = half_report(context.observer.last(session.primary_site), session.id)
    return primary is not None and primary.epoch == session.epoch and primary.link_up


def _observe(context: Context, session: Session, members: int, failed_over: bool) -> Observed:
    lossless = failed_over and not session.forced
    wanted = Wanted(session.epoch, session.state, session.paused, members, lossless)
    halves = [
        half_report(context.observer.last(site), session.id)
        for site in (session.primary_site, session.secondary_site)
    ]
    return observe(wanted, halves[0], halves[1])


async def _refresh(context: Context, sessions: Iterable[Session], seconds: float | None) -> None:
    """Ask a site anew whose last report is older than the session or its row: it would be taken for silence, or for
    what was true before."""
    stale = {
        site
        for session in sessions
        for site in (session.primary_site, session.secondary_site)
        if _is_behind(context.observer.last(site), session)
    }
    await context.observer.freshen(sorted(stale), 0.0, seconds)


def _is_behind(report: SiteReport, session: Session) -> bool:
    if not report.answered:
        return report.asked_at == float("-inf")
    found = report.session(session.id)
    if found is None:
        return True
    if (int(found.get("epoch", 0)), int(found.get("revision", 0))) < (session.epoch, session.revision):
        return True
    # The primary's agent changes the row by its own calls, the last one when it is in step: who looks then must not
    # be shown what was before. It is behind, too, when another's change has not reached it yet; then it is asked
    # each time, and answers.
    row = found.get("row")
    return isinstance(row, dict) and int(row.get("version", 0)) < session.version


def half_report(report: SiteReport, session_id: str) -> HalfReport | None:
    """One site's half; None when the agent did not answer or knows no such session."""
    actual = report.session(session_id)
    if actual is None:
        return None
    volumes = [volume for volume in actual.get("volumes", []) if isinstance(volume, dict)]
    link, resync = actual.get("link"), actual.get("resync")
    resync = resync if isinstance(resync, dict) else None
    return HalfReport(
        epoch=int(actual.get("epoch", 0)),
        primary=actual.get("role") == "primary",
        in_step=bool(actual.get("in_step")),
        serving=bool(actual.get("serving")),
        link_up=isinstance(link, dict) and bool(link.get("up")),
        refusal=actual.get("refusal"),
        consistent=all(bool(volume.get("consistent")) for volume in volumes),
        blank=any(bool(volume.get("blank")) for volume in volumes),
        generations=tuple(str(volume.get("generation") or "") for volume in _by_pair(volumes)),
        dirty_bytes=sum(int(volume.get("dirty_bytes") or 0) for volume in volumes),
        failed_bytes=sum(int(volume.get("failed_bytes") or 0) for volume in volumes),
        storage_error=_storage_error(report, volumes),
        resync_total_bytes=int(resync.get("total_bytes") or 0) if resync is not None else None,
        resync_done_bytes=int(resync.get("done_bytes") or 0) if resync is not None else 0,
    )


def _by_pair(volumes: list[Json]) -> list[Json]:
    return sorted(volumes, key=lambda volume: str(volume.get("pair_id")))


def _storage_error(report: SiteReport, volumes: list[Json]) -> str | None:
    for volume in volumes:
        found = report.volume(str(volume.get("volume_id")))
        if found is None:
            continue
        if found.get("error"):
            return f"volume {volume.get('volume_id')}: {found['error']}"
        if found.get("present") is False:
            return f"volume {volume.get('volume_id')} is gone"
    return None
