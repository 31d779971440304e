"""MEMBERS: which pairs a session carries, changed in one transaction with new epochs.

A session's id is its group's or its pair's. A group's row keeps its place and gets a new epoch, which
retires the old one as a deletion would: no call of the old epoch is accepted any more.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.arbiter import RowState, state_of_successor
from bilocate.store.columns import db_now
from bilocate.store.models import Pair, Session
from bilocate.store.sequences import next_epoch


async def members_of(db: AsyncSession, session_id: str) -> Sequence[Pair]:
    """The pairs of a session, by id."""
    found = await db.scalars(
        select(Pair)
        .where(Pair.session_id == session_id)
        .order_by(Pair.id)
        .execution_options(populate_existing=True)
    )
    return found.all()


async def open_session(
    db: AsyncSession, session_id: str, primary: str, secondary: str, pairs: Sequence[Pair], trust_blank: bool
) -> Session:
    """A first session, paused, over pairs that were in none: nothing is known of the secondary (`syncing`)."""
    session = Session(
        id=session_id,
        epoch=await next_epoch(db),
        primary_site=primary,
        secondary_site=secondary,
        state=RowState.SYNCING if pairs else RowState.STALE,
        paused=True,
        trust_blank=trust_blank,
        behind_since=db_now(),
    )
    db.add(session)
    await db.flush()
    await _point(db, [pair.id for pair in pairs], session_id)
    return session


async def close_session(db: AsyncSession, session_id: str) -> None:
    """End a session for good: whoever still asks for it is *superseded*. Nothing happens when it is gone."""
    await db.execute(update(Pair).where(Pair.session_id == session_id).values(session_id=None))
    await db.execute(delete(Session).where(Session.id == session_id))


async def join(
    db: AsyncSession, group_id: str, primary: str, secondary: str, pair_ids: Sequence[str]
) -> None:
    """Carry pairs in the group's session, which is made when it is not there. Pairs that are in it already
    stay; without a new one nothing changes."""
    group = await _locked(db, group_id)
    old_members = [pair.id for pair in await members_of(db, group_id)]
    joining = await _sessions_of(db, [pair_id for pair_id in pair_ids if pair_id not in old_members])
    if group is not None and not joining:
        return
    contributing = ([group] if group is not None and old_members else []) + list(joining)
    await _succeed(db, group_id, primary, secondary, _inheritance(contributing), group)
    new_members = [pair.id for session in joining for pair in await members_of(db, session.id)]
    await _point(db, new_members, group_id)
    for session in joining:
        await close_session(db, session.id)


async def leave(db: AsyncSession, group_id: str, pair_ids: Sequence[str]) -> None:
    """Give pairs sessions of their own again. Pairs that have left already stay as they are.

    Their epochs are above the group's new one: agents are told of the higher epochs first, so a volume goes
    from session to session and is never without one.
    """
    group = await _locked(db, group_id)
    members = {pair.id: pair for pair in await members_of(db, group_id)}
    leaving = [pair_id for pair_id in sorted(pair_ids) if pair_id in members]
    if group is None or not leaving:
        return
    inheritance = _inheritance([group])
    await _succeed(db, group_id, group.primary_site, group.secondary_site, inheritance, group)
    for pair_id in leaving:
        await _succeed(db, pair_id, group.primary_site, group.secondary_site, inheritance, None)
        await _point(db, [pair_id], pair_id)


def _inheritance(old: Sequence[Session]) -> dict[str, Any]:
    """What a session gets from those that it follows on; it is in sync only by another resync."""
    return {
        "state": state_of_successor([session.state for session in old]),
        "trust_blank": any(session.trust_blank for session in old),
        "allow_dirty": any(session.allow_dirty for session in old),
        "forced": any(session.forced for session in old),
        "behind_since": _earliest(old) or db_now(),
    }


async def _succeed(
    db: AsyncSession,
    session_id: str,
    primary: str,
    secondary: str,
    inheritance: dict[str, Any],
    present: Session | None,
) -> None:
    """Make (or renew) a session, under a new epoch. What the database tells, `behind_since`, is not read back."""
    values = {
        "epoch": await next_epoch(db),
        "primary_site": primary,
        "secondary_site": secondary,
        "paused": True,
        **inheritance,
    }
    if present is None:
        db.add(Session(id=session_id, **values))
    else:
        for name, value in values.items():
            setattr(present, name, value)
        present.version += 1
        present.revision += 1
    await db.flush()


def _earliest(sessions: Sequence[Session]) -> datetime | None:
    return min((s.behind_since for s in sessions if s.behind_since is not None), default=None)


async def _locked(db: AsyncSession, session_id: str) -> Session | None:
    return await db.get(Session, session_id, with_for_update=True, populate_existing=True)


async def _sessions_of(db: AsyncSession, pair_ids: Sequence[str]) -> Sequence[Session]:
    """The sessions that carry these pairs, locked against agents' calls."""
    if not pair_ids:
        return []
    carrying = select(Pair.session_id).where(Pair.id.in_(pair_ids))
    found = await db.scalars(
        select(Session)
        .where(Session.id.in_(carrying))
        .order_by(Session.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.all()


async def _point(db: AsyncSession, pair_ids: Sequence[str], session_id: str) -> None:
    await db.execute(update(Pair).where(Pair.id.in_(pair_ids)).values(session_id=session_id))
