"""Let a group replicate: the status stays (available, or error_reversing); the agents do the rest by themselves.

    pause    only when extents have failed: a resync must be forced, and that takes a stop first     undo: the stop
    let_go   the primary's agent has let its link go
    unpause  replication is wanted from here on     point of no return
    push     both sites' agents are told (one that is away: when it is back)

Repeating it, or calling it on a group that replicates, changes nothing.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import GroupEmpty
from bilocate.domain.group_states import GROUP, GroupEvent, GroupStatus
from bilocate.domain.observed import Replication
from bilocate.operations.truth import observe_session
from bilocate.operations.verb import Json, Request, Run, Step, Verb
from bilocate.operations.verbs._shared import locked_session, push_if_possible, read_group, require_status
from bilocate.operations.verbs._wishes import let_go, want
from bilocate.store.journal_models import TargetKind
from bilocate.store.models import Group
from bilocate.store.transitions import lock, move_group, take


@dataclass(frozen=True, slots=True)
class Args:
    """`trust_primary`: an operator says that the primary's data is the truth, whatever its ledger lacks
    (rule 17)."""

    trust_primary: bool = False


class Sync(Verb[Args]):
    """Let a group replicate."""

    name = "sync"
    target = TargetKind.GROUP
    args_type = Args
    point_of_no_return = "unpause"

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (
            Step("pause", commit=_pause, undo_commit=_go_on),
            Step("let_go", do=_let_go),
            Step("unpause", commit=_unpause),
            Step("push", do=_push),
        )

    async def check(self, request: Request[Args]) -> None:
        """Settled, and not empty. No site is needed: one that is away is told when it is back."""
        group, session, members = await read_group(request.context, request.target_id, request.project_id)
        _require_status(group)
        if not members:
            raise GroupEmpty(group.id)
        observed = await observe_session(request.context, group.id)
        failed = observed is not None and observed.replication is Replication.ERROR
        request.facts["force_resync"] = failed and not session.paused

    async def enter(self, request: Request[Args], db: AsyncSession, operation_id: str) -> None:
        """The status stays; the operation holds the group."""
        group = await lock(db, Group, request.target_id, request.project_id)
        take(group, operation_id)
        _require_status(group)
        status, failure, message = group.status, group.failure, group.failure_message
        move_group(group, GroupEvent.SYNC)
        if status is not GroupStatus.AVAILABLE:  # a reversal that failed is told until it is repeated
            group.failure, group.failure_message = failure, message


def _require_status(group: Group) -> None:
    remedy = "wait for what is going on; a group that was failed over is reprotected instead"
    require_status("group", group.id, group.status, GROUP, GroupEvent.SYNC, remedy)


async def _pause(run: Run[Args], db: AsyncSession) -> Json | None:
    if run.facts["force_resync"]:
        want(await locked_session(db, run.target_id), paused=True)
    return None


async def _go_on(run: Run[Args], db: AsyncSession) -> Json | None:
    if run.facts["force_resync"]:
        want(await locked_session(db, run.target_id), paused=False)
    return None


async def _let_go(run: Run[Args]) -> Json | None:
    if run.facts["force_resync"]:
        _, session, _ = await read_group(run.context, run.target_id, None)
        await let_go(run.context, session)
    return None


async def _unpause(run: Run[Args], db: AsyncSession) -> Json | None:
    session = await locked_session(db, run.target_id)
    want(session, paused=False, trust_blank=run.args.trust_primary or session.trust_blank)
    return None


async def _push(run: Run[Args]) -> Json | None:
    _, session, _ = await read_group(run.context, run.target_id, None)
    await push_if_possible(run.context, session.id, [session.primary_site, session.secondary_site])
    return None
