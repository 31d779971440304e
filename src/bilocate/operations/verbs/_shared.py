"""What several verbs need: asking sites, reading members, moving roles, waiting for an agent."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from enum import Enum
from typing import Any, TypeVar

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import NotFound, OperationError, OutOfReach, WrongStatus
from bilocate.domain.table import Table
from bilocate.operations.context import Context
from bilocate.operations.runner_errors import StepTimedOut
from bilocate.operations.verb import Json
from bilocate.store.columns import db_now
from bilocate.store.membership import members_of
from bilocate.store.models import Attachment, AttachmentKind, Group, Pair, Session, Volume

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)
T = TypeVar("T")


def require_status(kind: str, target_id: str, status: S, table: Table[S, E], event: E, remedy: str) -> None:
    """:raises WrongStatus: the table does not allow the event now."""
    if not table.allows(status, event):
        needed = [state for state in table.states if table.allows(state, event)]
        raise WrongStatus(kind, target_id, status, needed, remedy)


async def require_agents(context: Context, sites: Iterable[str]) -> None:
    """What needs an agent that does not answer is refused at the call.

    :raises UnknownSite, AgentUnavailable, AgentTimeout, AgentNonsense: the first site that does not answer.
    """
    await asyncio.gather(*(context.agents.health(site) for site in sorted(set(sites))))


async def read_group(
    context: Context, group_id: str, project_id: str | None
) -> tuple[Group, Session, list[Pair]]:
    """A group, its session and its pairs, as they are now, without locks.

    :raises NotFound: there is no such group, or it is another project's.
    """
    async with context.database.reading() as db:
        group = await db.get(Group, group_id)
        if group is None or (project_id is not None and group.project_id != project_id):
            raise NotFound("group", group_id)
        session = await db.get(Session, group_id)
        members = await members_of(db, group_id)
    if session is None:
        # Only while it is being made or removed: the status says so, and the verbs' check has said it.
        session = Session(id=group_id, epoch=0, primary_site="", secondary_site="", version=0)
    return group, session, list(members)


async def locked_session(db: AsyncSession, session_id: str) -> Session:
    """A session's row, locked against agents' calls.

    :raises NotFound: it has ended.
    """
    session = await db.get(Session, session_id, with_for_update=True, populate_existing=True)
    if session is None:
        raise NotFound("session", session_id)
    return session


async def live_attachments(db: AsyncSession, volume_ids: Sequence[str]) -> list[Attachment]:
    """The attachments of volumes that have not been ended."""
    query = select(Attachment).where(Attachment.volume_id.in_(volume_ids), Attachment.ended_at.is_(None))
    return list(await db.scalars(query))


async def change_production(db: AsyncSession, group_id: str, old: str, new: str) -> None:
    """Production of a group and its pairs is at another site. Bare connections to the old production volumes
    are revoked: their exports are never served again. What a compute service attached stays until it ends it.
    """
    members = await members_of(db, group_id)
    volume_ids = [pair.volume_at(site) for pair in members for site in (old, new)]
    old_ids = [pair.volume_at(old) for pair in members]
    # Read back by whoever looks next; the rows were locked with their group.
    quietly: Any = {"synchronize_session": False}
    # First: whoever is just connecting holds its volume's lock until its attachment can be seen here.
    await db.execute(
        update(Volume)
        .where(Volume.id.in_(volume_ids))
        .values(wanted_revision=Volume.wanted_revision + 1)
        .execution_options(**quietly)
    )
    await db.execute(
        update(Attachment)
        .where(
            Attachment.volume_id.in_(old_ids),
            Attachment.kind == AttachmentKind.CONNECTION,
            Attachment.ended_at.is_(None),
        )
        .values(ended_at=db_now(), ended_because="production moved")
        .execution_options(**quietly)
    )
    await db.execute(
        update(Pair).where(Pair.session_id == group_id).values(priority_site=new).execution_options(**quietly)
    )
    await db.execute(
        update(Group).where(Group.id == group_id).values(priority_site=new).execution_options(**quietly)
    )
    await _level(db, members)


async def _level(db: AsyncSession, pairs: Sequence[Pair]) -> None:
    """GROWTH: an extension that did not come to its end has left the new production volumes larger: the other
    site's follow."""
    sizes: dict[str, int] = {}
    query = select(Volume.pair_id, Volume.size_gib).where(Volume.pair_id.in_([pair.id for pair in pairs]))
    for pair_id, size_gib in await db.execute(query):
        sizes[str(pair_id)] = max(size_gib, sizes.get(str(pair_id), 0))
    quietly: Any = {"synchronize_session": False}
    for pair in pairs:
        size_gib = sizes.get(pair.id, pair.size_gib)
        if size_gib > pair.size_gib:
            for model, column in ((Volume, Volume.pair_id), (Pair, Pair.id)):
                grown = update(model).where(column == pair.id).values(size_gib=size_gib)
                await db.execute(grown.execution_options(**quietly))


async def wait_for_half(
    context: Context,
    site: str,
    session_id: str,
    what: str,
    condition: Callable[[Json], bool],
    seconds: float,
    silence_seconds: float | None = None,
) -> Json:
    """The half at `site`, as soon as `condition` holds of it.

    :raises StepTimedOut: it did not within `seconds`, or its agent was silent for `silence_seconds`.
    """
    timing = context.settings.timing
    began = heard = now = context.clock()
    silence = seconds if silence_seconds is None else silence_seconds
    pause = timing.wait_poll_seconds
    seen = "no answer"
    while True:
        try:
            actual = await context.agents.session(site, session_id)
            heard = context.clock()
            if actual is not None and condition(actual):
                return actual
            seen = describe(actual)
        except OutOfReach as error:
            seen = str(error)
        now = context.clock()
        if now - began >= seconds or now - heard >= silence:
            raise StepTimedOut(what, round(now - began, 1), seen)
        await asyncio.sleep(pause)
        pause = min(1.5 * pause, timing.wait_poll_most_seconds)


async def unless_silent(context: Context, site: str, call: Coroutine[Any, Any, T]) -> T:
    """What a call gives that may take an agent long, as long as the agent answers others meanwhile.

    :raises OutOfReach: it does not; the call may be carried out all the same.
    """
    timing, task = context.settings.timing, asyncio.create_task(call)
    try:
        while not (await asyncio.wait({task}, timeout=timing.tell_seconds))[0]:
            await context.agents.health(site, timing.observe_timeout_seconds)
        return await task
    finally:
        task.cancel()


async def push_if_possible(context: Context, session_id: str, sites: Iterable[str]) -> set[str]:
    """Put a session's wanted state, and say which sites have taken it. One that does not answer soon is told
    when it does, by the reconciler: it must not keep whoever wants to fail over from it waiting."""

    async def push(site: str) -> str | None:
        try:
            await context.reconciler.push_session(site, session_id, context.settings.timing.tell_seconds)
        except OperationError:
            context.reconciler.kick(site)
            return None
        return site

    return {site for site in await asyncio.gather(*(push(site) for site in sites)) if site is not None}


def describe(actual: Json | None) -> str:
    """A half in a few words, for messages."""
    if actual is None:
        return "the agent knows no such session"
    why = f", {actual['refusal']}" if actual.get("refusal") else ""
    return f"{actual.get('role')} of epoch {actual.get('epoch')}, state {actual.get('state')}{why}"
