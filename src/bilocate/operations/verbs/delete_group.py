"""End an empty group: available or an error state → deleting → gone.

remove  its session's row and its own go
"""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import GroupNotEmpty, failure_named
from bilocate.domain.group_states import GROUP, GroupEvent
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.verb import Json, NoArgs, Request, Run, Step, Verb
from bilocate.operations.verbs._shared import read_group, require_status
from bilocate.store.journal_models import TargetKind
from bilocate.store.membership import close_session
from bilocate.store.models import Group, Pair
from bilocate.store.transitions import blame, lock, move_group, take


class DeleteGroup(Verb[NoArgs]):
    """End a group."""

    name = "delete_group"
    target = TargetKind.GROUP
    args_type = NoArgs
    point_of_no_return = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (Step("remove", commit=_remove),)

    async def check(self, request: Request[NoArgs]) -> None:
        """Empty, and settled. No site is needed."""
        group, _, _ = await read_group(request.context, request.target_id, request.project_id)
        async with request.context.database.reading() as db:
            await _require_free(db, group)

    async def enter(self, request: Request[NoArgs], db: AsyncSession, operation_id: str) -> None:
        """Deleting."""
        group = await lock(db, Group, request.target_id, request.project_id)
        take(group, operation_id)
        await _require_free(db, group)
        move_group(group, GroupEvent.DELETE)

    async def undone(self, run: Run[NoArgs], db: AsyncSession, error: RecordedError) -> None:
        """It can be deleted again."""
        group = await lock(db, Group, run.target_id)
        move_group(group, GroupEvent.DELETE_FAILED)
        blame(group, failure_named(error.kind), str(error))


async def _require_free(db: AsyncSession, group: Group) -> None:
    remedy = "wait for what is going on, or settle it first (reprotect)"
    require_status("group", group.id, group.status, GROUP, GroupEvent.DELETE, remedy)
    count = await db.scalar(select(func.count()).where(Pair.group_id == group.id))
    if count:
        raise GroupNotEmpty(group.id, count)


async def _remove(run: Run[NoArgs], db: AsyncSession) -> Json | None:
    await close_session(db, run.target_id)
    await db.delete(await lock(db, Group, run.target_id))
    return None
