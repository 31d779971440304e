"""What a failover wants to know before it begins, and between its rounds."""

import asyncio

from sqlalchemy import select

from bilocate.domain.arbiter import RowState
from bilocate.domain.errors_operations import (
    AgentRefused,
    MomentsDiffer,
    SecondaryBehind,
    SecondaryInconsistent,
    SessionNotReady,
)
from bilocate.domain.generations import of_one_moment
from bilocate.operations.context import Context
from bilocate.operations.verb import Json
from bilocate.store.columns import db_now
from bilocate.store.models import Session

# After a lost race the two sites resync what was written meanwhile; a loaded machine takes a second or two.
IN_SYNC_SECONDS = 5.0
LOOK_EVERY_SECONDS = 0.02


async def require_promotable(
    context: Context, session: Session, allow_data_loss: bool, allow_mixed_moments: bool
) -> None:
    """The secondary's agent answers, knows the session as it is now, and holds what may be shown to hosts.

    What an earlier operation has left held is in no failover's way: the secondary is checked, and held, anew,
    and hosts that are held at the primary are left behind with it.

    :raises SecondaryBehind, SecondaryInconsistent, MomentsDiffer, SessionNotReady, AgentUnavailable, AgentTimeout,
        AgentBusy:
    """
    site = session.secondary_site
    if session.state is not RowState.IN_SYNC and not allow_data_loss:
        raise SecondaryBehind(session.id, session.state.value, session.primary_site, site)
    try:
        actual = await context.agents.session(site, session.id)
    except AgentRefused as refused:
        raise SessionNotReady(site, session.id) from refused
    if actual is None or actual["epoch"] != session.epoch or actual["role"] != "secondary":
        context.reconciler.kick(site)
        raise SessionNotReady(site, session.id)
    volumes: list[Json] = actual["volumes"]
    if any(not volume.get("consistent") or volume.get("blank") for volume in volumes):
        raise SecondaryInconsistent(session.id, site)
    generations = (str(volume.get("generation") or "") for volume in volumes)
    if not allow_mixed_moments and not of_one_moment(generations):
        raise MomentsDiffer(session.id, site)
    unsure = sum(int(v.get("dirty_bytes") or 0) + int(v.get("failed_bytes") or 0) for v in volumes)
    if unsure and not allow_data_loss:
        raise SecondaryBehind(
            session.id, f"{unsure} bytes unsure after a restart", session.primary_site, site
        )


async def how_far_behind(context: Context, session: Session) -> Json:
    """For the journal: by how many seconds and bytes the secondary may be behind at most, and who knew it.
    None: nobody knows."""
    seconds: float | None = 0.0
    if session.state is not RowState.IN_SYNC:
        async with context.database.reading() as db:
            now = (await db.execute(select(db_now()))).scalar_one()
        seconds = None if session.behind_since is None else (now - session.behind_since).total_seconds()
    answer = context.observer.last_answer(session.primary_site)
    actual = answer.session(session.id) if answer is not None else None
    if actual is None or answer is None:
        return {"seconds": seconds, "bytes": None}
    return {
        "seconds": seconds,
        "bytes": sum(int(volume.get("dirty_bytes") or 0) for volume in actual.get("volumes", [])),
        "bytes_known_seconds_ago": round(context.clock() - answer.asked_at, 3),
    }


async def wait_for_in_sync(context: Context, session_id: str) -> None:
    """Returns as soon as the row is in sync, or after a while all the same."""
    deadline = context.clock() + IN_SYNC_SECONDS
    query = select(Session.state).where(Session.id == session_id)
    while context.clock() < deadline:
        async with context.database.reading() as db:
            if (await db.execute(query)).scalar_one_or_none() is RowState.IN_SYNC:
                return
        await asyncio.sleep(LOOK_EVERY_SECONDS)
