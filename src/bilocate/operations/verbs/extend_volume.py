"""Grow a volume that is in no pair: available, in-use or error_extending → extending → as before, or error_extending.

    grow    the site's agent grows it           no undo: a disk is never made smaller
    finish  the row has the new size

After a failure the disk may or may not have grown, which is why it is an error status: a repeat that succeeds ends it.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import (
    AgentBusy,
    AgentRefused,
    NotFound,
    StillInSession,
    failure_named,
)
from bilocate.domain.errors_volumes import NotLarger, PairedNotExtended
from bilocate.domain.geometry import GIB
from bilocate.domain.volume_states import VOLUME, VolumeEvent
from bilocate.operations.quotas import require_gigabytes
from bilocate.operations.reconcile import OVERTAKEN
from bilocate.operations.rows import volume_row
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.verb import Json, Request, Run, Step, Verb
from bilocate.operations.verbs._shared import live_attachments, require_agents, require_status
from bilocate.operations.verbs.create_copy import require_not_copied
from bilocate.store.journal_models import TargetKind
from bilocate.store.models import AttachmentKind, Volume
from bilocate.store.transitions import blame, lock, move_volume, take


@dataclass(frozen=True, slots=True)
class Args:
    """The size that the volume is to have, in GiB."""

    new_size_gib: int


class ExtendVolume(Verb[Args]):
    """Grow a volume."""

    name = "extend_volume"
    target = TargetKind.VOLUME
    args_type = Args
    point_of_no_return = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (Step("grow", do=_grow), Step("finish", commit=_finish))

    async def check(self, request: Request[Args]) -> None:
        """It is in no pair, smaller than wanted, and its site answers."""
        async with request.context.database.reading() as db:
            volume = await db.get(Volume, request.target_id)
        if volume is None or request.project_id not in (None, volume.project_id):
            raise NotFound("volume", request.target_id)
        _require_growing(volume, request.args.new_size_gib)
        await require_agents(request.context, [volume.site])

    async def enter(self, request: Request[Args], db: AsyncSession, operation_id: str) -> None:
        """Extending."""
        volume = await lock(db, Volume, request.target_id, request.project_id)
        take(volume, operation_id)
        _require_growing(volume, request.args.new_size_gib)
        await require_not_copied(db, volume.id)
        await require_gigabytes(db, volume.project_id, request.args.new_size_gib - volume.size_gib)
        move_volume(volume, VolumeEvent.EXTEND)

    async def undone(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """Its size is what it was; its disk may be larger."""
        volume = await lock(db, Volume, run.target_id)
        move_volume(volume, VolumeEvent.EXTEND_FAILED)
        blame(volume, failure_named(error.kind), str(error))


def _require_growing(volume: Volume, new_size_gib: int) -> None:
    if volume.pair_id is not None:
        raise PairedNotExtended(volume.id, volume.pair_id)
    remedy = "wait for what is going on, or detach it first"
    require_status("volume", volume.id, volume.status, VOLUME, VolumeEvent.EXTEND, remedy)
    if new_size_gib <= volume.size_gib:
        raise NotLarger("volume", volume.id, volume.size_gib, new_size_gib)


async def _grow(run: Run[Args]) -> Json | None:
    async with run.context.database.reading() as db:
        found = await volume_row(db, run.target_id)
    if found is None:
        raise NotFound("volume", run.target_id)
    site, wanted = found
    larger = {**wanted, "size_bytes": run.args.new_size_gib * GIB}
    try:
        actual = await run.context.agents.put_volume(site, run.target_id, larger)
    except AgentRefused as refused:
        if refused.code in OVERTAKEN:
            # Something else of this volume was just changed, and put without the new size.
            raise AgentBusy(site, "the volume's exports are being changed") from refused
        if refused.code != "in_session":
            raise
        # The pair is gone, its session's end has not reached that site yet: bring it there.
        await run.context.reconciler.round(site)
        raise StillInSession(site, run.target_id) from refused
    # An extension that failed, as it seemed, may have made the disk larger than is asked now.
    size_bytes = actual.get("size_bytes")
    grown = size_bytes // GIB if isinstance(size_bytes, int) else 0
    return {"size_gib": max(run.args.new_size_gib, grown)}


async def _finish(run: Run[Args], db: AsyncSession) -> Json | None:
    volume = await lock(db, Volume, run.target_id)
    volume.size_gib = int(run.results["grow"]["size_gib"])
    live = await live_attachments(db, [volume.id])
    in_use = any(each.kind is AttachmentKind.ATTACHMENT for each in live)
    move_volume(volume, VolumeEvent.EXTEND_DONE_IN_USE if in_use else VolumeEvent.EXTEND_DONE)
    return None
