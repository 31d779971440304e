"""Remove a volume with its data: available or an error state → deleting → gone, or error_deleting.

decide  from here on the data may be gone     point of no return
remove  the site's agent removes it, and its row goes
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import (
    AgentRefused,
    NotFound,
    StillInSession,
    VolumeAttached,
    VolumeInPair,
    failure_named,
)
from bilocate.domain.volume_states import VOLUME, VolumeEvent
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.verb import Json, Request, Run, Step, Verb
from bilocate.operations.verbs._shared import live_attachments, require_agents, require_status
from bilocate.operations.verbs.create_copy import require_not_copied
from bilocate.store.journal_models import TargetKind
from bilocate.store.models import Volume
from bilocate.store.transitions import blame, lock, move_volume, take


@dataclass(frozen=True, slots=True)
class Args:
    """`force`: an admin's word, also where a compute service keeps the volume without having attached it."""

    force: bool = False


class DeleteVolume(Verb[Args]):
    """Remove a volume."""

    name = "delete_volume"
    target = TargetKind.VOLUME
    args_type = Args
    point_of_no_return = "decide"

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (Step("decide"), Step("remove", do=_remove, commit=_removed))

    async def check(self, request: Request[Args]) -> None:
        """Nobody needs it, and its site answers."""
        async with request.context.database.reading() as db:
            volume = await db.get(Volume, request.target_id)
            if volume is None or request.project_id not in (None, volume.project_id):
                raise NotFound("volume", request.target_id)
            await _require_free(db, volume, _event(request))
        await require_agents(request.context, [volume.site])

    async def enter(self, request: Request[Args], db: AsyncSession, operation_id: str) -> None:
        """Deleting."""
        volume = await lock(db, Volume, request.target_id, request.project_id)
        take(volume, operation_id)
        await _require_free(db, volume, _event(request))
        move_volume(volume, _event(request))

    async def failed(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """It can be deleted again."""
        volume = await lock(db, Volume, run.target_id)
        move_volume(volume, VolumeEvent.DELETE_FAILED)
        blame(volume, failure_named(error.kind), str(error))

    async def undone(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """The same: nothing was done yet."""
        await self.failed(run, db, error)


def _event(request: Request[Args]) -> VolumeEvent:
    return VolumeEvent.FORCE_DELETE if request.args.force else VolumeEvent.DELETE


async def _require_free(db: AsyncSession, volume: Volume, event: VolumeEvent) -> None:
    remedy = "wait for what is going on, or detach it first"
    require_status("volume", volume.id, volume.status, VOLUME, event, remedy)
    if volume.pair_id is not None:
        raise VolumeInPair(volume.id, volume.pair_id)
    if await live_attachments(db, [volume.id]):
        raise VolumeAttached(volume.id, "it has a connection")
    await require_not_copied(db, volume.id)


async def _remove(run: Run[Args]) -> Json | None:
    async with run.context.database.reading() as db:
        volume = await db.get(Volume, run.target_id)
    if volume is None:
        return None
    try:
        await run.context.agents.delete_volume(volume.site, volume.id)
    except AgentRefused as refused:
        if refused.code != "in_session":
            raise
        # The pair is gone, its session's end has not reached that site yet: bring it there.
        await run.context.reconciler.round(volume.site)
        raise StillInSession(volume.site, volume.id) from refused
    return None


async def _removed(run: Run[Args], db: AsyncSession) -> Json | None:
    await db.delete(await lock(db, Volume, run.target_id))
    return None
