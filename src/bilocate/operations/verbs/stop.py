"""Stop a group's replication: the status stays. The secondary keeps one moment of all volumes (rule 26).

    pause   no replication is wanted from here on     point of no return
    let_go  both sites' agents are told, and the primary has let its link go (one that is away: when it is back)

Repeating it changes nothing. What it leaves is told by the sites: equal, or with differences.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.group_states import GROUP, GroupEvent
from bilocate.operations.verb import Json, NoArgs, Request, Run, Step, Verb
from bilocate.operations.verbs._shared import read_group, require_status
from bilocate.operations.verbs._wishes import let_go, want
from bilocate.store.journal_models import TargetKind
from bilocate.store.models import Group, Session
from bilocate.store.transitions import lock, move_group, take


class Stop(Verb[NoArgs]):
    """Stop replication."""

    name = "stop"
    target = TargetKind.GROUP
    args_type = NoArgs
    point_of_no_return = "pause"

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (Step("pause", commit=_pause), Step("let_go", do=_let_go))

    async def check(self, request: Request[NoArgs]) -> None:
        """Any settled status will do, and no site is needed."""
        group, _, _ = await read_group(request.context, request.target_id, request.project_id)
        _require_status(group)

    async def enter(self, request: Request[NoArgs], db: AsyncSession, operation_id: str) -> None:
        """The status stays; the operation holds the group."""
        group = await lock(db, Group, request.target_id, request.project_id)
        take(group, operation_id)
        _require_status(group)
        failure, message = group.failure, group.failure_message
        move_group(group, GroupEvent.STOP)
        # An error that is there stays told.
        group.failure, group.failure_message = failure, message


def _require_status(group: Group) -> None:
    remedy = "wait for what is going on"
    require_status("group", group.id, group.status, GROUP, GroupEvent.STOP, remedy)


async def _pause(run: Run[NoArgs], db: AsyncSession) -> Json | None:
    session = await db.get(Session, run.target_id, with_for_update=True)
    if session is not None:  # a group that was never made has none
        want(session, paused=True)
    return None


async def _let_go(run: Run[NoArgs]) -> Json | None:
    _, session, members = await read_group(run.context, run.target_id, None)
    if members and session.epoch:
        await let_go(run.context, session)
    return None
