"""Make a volume that begins as a copy of another one at its site: creating → available, or error when it can't be.

    copy    the site's agent makes the copy, is asked again and again how far it is, and in the end has the volume
            undo: the agent gives the copy up and removes what there is of it

The copy is the source as of one moment between the call and the end; hosts may write to the source meanwhile, and it
may be in a pair (`site/copies.py` says what is copied then, and what is refused). It is neither extended nor deleted
while a copy of it is being made. An agent that has died in the middle begins the copy anew when it is asked again; one
that stays silent for longer than a step's patience behind a point of no return ends it: it may be hours that are lost.
"""

import asyncio
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_copies import (
    CopyElsewhere,
    CopySmaller,
    SourceNotCopyable,
    VolumeBeingCopied,
)
from bilocate.domain.errors_operations import AgentRefused, NotFound, OutOfReach, WrongStatus
from bilocate.domain.geometry import GIB
from bilocate.domain.volume_states import VolumeStatus
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.verb import Json, Request, Run, Step, Verb
from bilocate.operations.verbs._new_volume import NewVolume, add_row, made, not_made, remove, require_place
from bilocate.store.journal_models import TargetKind
from bilocate.store.models import Volume
from bilocate.store.transitions import lock

# In these a volume is whole, whoever is attached or about to be.
COPYABLE = (
    VolumeStatus.AVAILABLE,
    VolumeStatus.RESERVED,
    VolumeStatus.ATTACHING,
    VolumeStatus.IN_USE,
    VolumeStatus.DETACHING,
)


@dataclass(frozen=True, slots=True)
class Args(NewVolume):
    """`source_volume_id`: the volume that is copied, which is at the same site, of the same project, and not larger."""

    source_volume_id: str = field(kw_only=True)


class CreateCopy(Verb[Args]):
    """Make a volume that begins as a copy."""

    name = "create_copy"
    target = TargetKind.VOLUME
    args_type = Args
    point_of_no_return = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (Step("copy", do=_copy, commit=made, undo=remove),)

    async def check(self, request: Request[Args]) -> None:
        """The source is there, whole, at that site, and may be read now."""
        source_id = request.args.source_volume_id
        async with request.context.database.reading() as db:
            source = await db.get(Volume, source_id)
        if source is None or request.project_id not in (None, source.project_id):
            raise NotFound("volume", source_id)
        _require_copyable(source, request.args)
        await require_place(request)
        try:
            await request.context.agents.require_copyable(source.site, source_id)
        except AgentRefused as refused:
            raise SourceNotCopyable(source_id, str(refused)) from refused

    async def enter(self, request: Request[Args], db: AsyncSession, operation_id: str) -> None:
        """The row, if the project has room for it. The source is locked: from here on it stays."""
        source = await lock(db, Volume, request.args.source_volume_id, request.project_id)
        _require_copyable(source, request.args)
        await add_row(
            request, db, operation_id, source_volume_id=source.id, image_metadata=source.image_metadata
        )

    async def undone(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """It stays as a row in error, for its owner to see and delete."""
        await not_made(run, db, error)


async def require_not_copied(db: AsyncSession, volume_id: str) -> None:
    """In a transaction that has locked the volume: no copy of it is being made.

    :raises VolumeBeingCopied: one is.
    """
    query = select(Volume.id).where(
        Volume.source_volume_id == volume_id, Volume.status == VolumeStatus.CREATING
    )
    copy_id = (await db.scalars(query.limit(1))).first()
    if copy_id is not None:
        raise VolumeBeingCopied(volume_id, copy_id)


def _require_copyable(source: Volume, args: Args) -> None:
    if source.status not in COPYABLE:
        raise WrongStatus("volume", source.id, source.status, list(COPYABLE), "wait for what is going on")
    if source.site != args.site:
        raise CopyElsewhere(source.id, source.site, args.site)
    if args.size_gib < source.size_gib:
        raise CopySmaller(source.id, source.size_gib, args.size_gib)


async def _copy(run: Run[Args]) -> Json | None:
    context, args = run.context, run.args
    timing = context.settings.timing
    async with context.database.reading() as db:
        volume = await db.get(Volume, run.target_id)
    if volume is None:
        raise NotFound("volume", run.target_id)
    wanted = {
        "source_volume_id": args.source_volume_id,
        "size_bytes": args.size_gib * GIB,
        "revision": volume.wanted_revision,
    }
    heard, pause = context.clock(), timing.wait_poll_seconds
    while True:
        try:
            if await context.agents.copy_volume(args.site, run.target_id, wanted):
                return None
            heard = context.clock()
        except OutOfReach:
            if context.clock() - heard >= timing.forward_patience_seconds:
                raise
        await asyncio.sleep(pause)
        pause = min(1.5 * pause, timing.backoff_most_seconds)
