"""Make a group of pairs: creating → available, or error.

    join    one session of all pairs takes the place of theirs     undo: each has its own again
    push    both sites' agents take it up
    finish  available

An unwind ends in `error`; the pairs are as they were, under new epochs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import Invalid, failure_named
from bilocate.domain.group_states import GroupEvent, GroupStatus
from bilocate.operations.quotas import require_group
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.verb import Json, Request, Run, Step, Verb
from bilocate.operations.verbs._members import claim, find_pairs, push_sessions, require_joinable, unclaim
from bilocate.operations.verbs._shared import require_agents
from bilocate.store.journal_models import TargetKind
from bilocate.store.membership import close_session, join, leave
from bilocate.store.models import Group, Pair
from bilocate.store.transitions import blame, lock, move_group


@dataclass(frozen=True, slots=True)
class Args:
    """At least one pair, and the site of production, which is theirs too, or its zone."""

    pair_ids: list[str]
    priority_site: str
    name: str = ""
    description: str = ""


class CreateGroup(Verb[Args]):
    """Make a group."""

    name = "create_group"
    target = TargetKind.GROUP
    args_type = Args
    point_of_no_return = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (
            Step("join", commit=_join, undo_commit=_leave),
            Step("push", do=_push),
            Step("finish", commit=_finish),
        )

    async def check(self, request: Request[Args]) -> None:
        """Pairs that fit each other, and two sites that answer."""
        args = request.args
        if not args.pair_ids or len(set(args.pair_ids)) != len(args.pair_ids):
            raise Invalid("a group is made of at least one pair, each named once")
        async with request.context.database.reading() as db:
            pairs = await find_pairs(db, args.pair_ids, request.project_id, locked=False)
        require_joinable(pairs, _production(request, pairs), None)
        request.facts.update(production=pairs[0].priority_site, other_site=pairs[0].secondary_site)
        await require_agents(request.context, [pairs[0].first_site, pairs[0].second_site])

    async def enter(self, request: Request[Args], db: AsyncSession, operation_id: str) -> None:
        """The group's row, and its claim on the pairs."""
        args = request.args
        pairs = await find_pairs(db, args.pair_ids, request.project_id, locked=True)
        production, other = _production(request, pairs), str(request.facts["other_site"])
        require_joinable(pairs, production, None)
        await require_group(db, pairs[0].project_id, request.context.settings.zones, production, other)
        group = Group(
            id=request.target_id,
            project_id=pairs[0].project_id,
            name=args.name,
            description=args.description,
            status=GroupStatus.CREATING,
            priority_site=production,
            operation_id=operation_id,
        )
        db.add(group)
        await claim(db, group, args.pair_ids)

    async def undone(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """The pairs are free; the group tells why it is none."""
        group = await lock(db, Group, run.target_id)
        await unclaim(db, group.id, run.args.pair_ids)
        await close_session(db, group.id)
        move_group(group, GroupEvent.CREATE_FAILED)
        blame(group, failure_named(error.kind), str(error))


def _production(request: Request[Args], pairs: Sequence[Pair]) -> str:
    """The site that is named, or that the first pair has in the zone that is named."""
    asked = request.args.priority_site
    return request.context.settings.zones.named(asked, (pairs[0].first_site, pairs[0].second_site)) or asked


def _sites(run: Run[Args]) -> tuple[str, str]:
    return str(run.facts.get("production", run.args.priority_site)), str(run.facts["other_site"])


async def _join(run: Run[Args], db: AsyncSession) -> Json | None:
    await join(db, run.target_id, *_sites(run), run.args.pair_ids)
    return None


async def _leave(run: Run[Args], db: AsyncSession) -> Json | None:
    await leave(db, run.target_id, run.args.pair_ids)
    return None


async def _push(run: Run[Args]) -> Json | None:
    await push_sessions(run.context, run.target_id, [], _sites(run))
    return None


async def _finish(run: Run[Args], db: AsyncSession) -> Json | None:
    move_group(await lock(db, Group, run.target_id), GroupEvent.CREATE_DONE)
    return None
