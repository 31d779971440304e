"""Change a group's name, description or pairs: available → updating → available.

    apply   names and membership, in one transaction (MEMBERS)     undo: the same, back
    push    both sites' agents take it up
    finish  available

An unwind ends in `available`, with everything as it was, under new epochs.
"""

from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import NotAMember, NotPaused, Settling
from bilocate.domain.group_states import GROUP, GroupEvent
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.verb import Json, Request, Run, Step, Verb
from bilocate.operations.verbs._members import claim, find_pairs, push_sessions, require_joinable, unclaim
from bilocate.operations.verbs._shared import locked_session, read_group, require_agents, require_status
from bilocate.store.journal_models import TargetKind
from bilocate.store.membership import join, leave
from bilocate.store.models import Group, Pair, Session
from bilocate.store.transitions import lock, move_group, take


@dataclass(frozen=True, slots=True)
class Args:
    """What is to change; None and empty: nothing."""

    name: str | None = None
    description: str | None = None
    add: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)


class UpdateGroup(Verb[Args]):
    """Change a group."""

    name = "update_group"
    target = TargetKind.GROUP
    args_type = Args
    point_of_no_return = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (
            Step("apply", commit=_apply, undo_commit=_take_back),
            Step("push", do=_push),
            Step("finish", commit=_finish),
        )

    async def check(self, request: Request[Args]) -> None:
        """Settled; paused and within reach of both sites when the membership changes."""
        group, session, members = await read_group(request.context, request.target_id, request.project_id)
        _require_status(group)
        args = request.args
        request.facts.update(sites=[session.primary_site, session.secondary_site])
        if not args.add and not args.remove:
            return
        async with request.context.database.reading() as db:
            joining = await find_pairs(db, args.add, request.project_id, locked=False)
        _require_changeable(group, session, members, joining, args)
        await require_agents(request.context, [session.primary_site, session.secondary_site])

    async def enter(self, request: Request[Args], db: AsyncSession, operation_id: str) -> None:
        """Updating, with a claim on the pairs that join."""
        args = request.args
        group = await lock(db, Group, request.target_id, request.project_id)
        take(group, operation_id)
        _require_status(group)
        joining = await find_pairs(db, args.add, request.project_id, locked=True)
        if args.add or args.remove:
            session = await locked_session(db, group.id)
            members = await find_pairs(db, args.remove, request.project_id, locked=True)
            _require_changeable(group, session, members, joining, args)
        move_group(group, GroupEvent.UPDATE)
        await claim(db, group, args.add)

    async def undone(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """As it was."""
        group = await lock(db, Group, run.target_id)
        await unclaim(db, group.id, run.args.add)
        move_group(group, GroupEvent.UPDATE_UNDONE)


def _require_status(group: Group) -> None:
    remedy = "wait for what is going on, or settle it (reprotect, or repeat what failed)"
    require_status("group", group.id, group.status, GROUP, GroupEvent.UPDATE, remedy)


def _require_changeable(
    group: Group, session: Session, members: list[Pair], joining: list[Pair], args: Args
) -> None:
    if not session.paused:
        raise NotPaused(group.id)
    if session.held or session.quiesced:
        raise Settling(group.id)
    inside = {pair.id for pair in members if pair.group_id == group.id}
    for pair_id in args.remove:
        if pair_id not in inside:
            raise NotAMember(pair_id, group.id)
    require_joinable(joining, group.priority_site, {session.primary_site, session.secondary_site})


async def _apply(run: Run[Args], db: AsyncSession) -> Json | None:
    args = run.args
    group = await lock(db, Group, run.target_id)
    old = {"name": group.name, "description": group.description}
    group.name = group.name if args.name is None else args.name
    group.description = group.description if args.description is None else args.description
    await _change_members(run, db, args.add, args.remove)
    await unclaim(db, group.id, args.remove)
    return old


async def _take_back(run: Run[Args], db: AsyncSession) -> Json | None:
    group = await lock(db, Group, run.target_id)
    old = run.results.get("apply", {})
    group.name = old.get("name", group.name)
    group.description = old.get("description", group.description)
    await claim(db, group, run.args.remove)
    await _change_members(run, db, run.args.remove, run.args.add)
    return None


async def _change_members(run: Run[Args], db: AsyncSession, add: list[str], remove: list[str]) -> None:
    primary, secondary = run.facts["sites"]
    # Joining first: so the epochs of those that leave are the highest, and agents hear of them first.
    await join(db, run.target_id, primary, secondary, add)
    await leave(db, run.target_id, remove)


async def _push(run: Run[Args]) -> Json | None:
    if run.args.add or run.args.remove:
        await push_sessions(run.context, run.target_id, run.args.remove, run.facts["sites"])
    return None


async def _finish(run: Run[Args], db: AsyncSession) -> Json | None:
    move_group(await lock(db, Group, run.target_id), GroupEvent.UPDATE_DONE)
    return None
