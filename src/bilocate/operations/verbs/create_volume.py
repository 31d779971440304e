"""Make a volume at a site: creating → available, or error when its site can't.

    make    the site's agent makes it           undo: the agent removes it

An unwind ends in `error`; nothing is left at the site if it can be reached, and `delete` removes the rest.
"""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import Invalid, UnknownSite, failure_named
from bilocate.domain.volume_states import VolumeEvent, VolumeStatus
from bilocate.operations.quotas import require_volume
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.verb import Json, Request, Run, Step, Verb
from bilocate.operations.verbs._shared import require_agents
from bilocate.store.journal_models import TargetKind
from bilocate.store.models import Volume
from bilocate.store.transitions import blame, lock, move_volume


@dataclass(frozen=True, slots=True)
class Args:
    """What the volume is to be. `size_gib`: in GiB. `source`: the device or file of the site that it is made of as it
    is, which must have that size; None: a new disk of zeros."""

    size_gib: int
    volume_type: str
    site: str
    name: str = ""
    description: str = ""
    multiattach: bool = False
    bootable: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    user_id: str | None = None
    source: str | None = None


class CreateVolume(Verb[Args]):
    """Make a volume."""

    name = "create_volume"
    target = TargetKind.VOLUME
    args_type = Args
    point_of_no_return = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (Step("make", do=_make, commit=_made, undo=_remove),)

    async def check(self, request: Request[Args]) -> None:
        """The site exists and answers; the volume has an owner."""
        sites = request.context.settings.sites
        if request.args.site not in sites:
            raise UnknownSite(request.args.site, list(sites))
        if request.args.size_gib < 1:
            raise Invalid(f"a volume of {request.args.size_gib} GiB can't be made: the least is 1 GiB")
        if request.project_id is None:
            raise Invalid("a volume belongs to a project: name one")
        await require_agents(request.context, [request.args.site])

    async def enter(self, request: Request[Args], db: AsyncSession, operation_id: str) -> None:
        """The row, if the project has room for it."""
        args = request.args
        await require_volume(db, str(request.project_id), args.size_gib)
        db.add(
            Volume(
                id=request.target_id,
                project_id=request.project_id,
                name=args.name,
                description=args.description,
                size_gib=args.size_gib,
                volume_type=args.volume_type,
                site=args.site,
                status=VolumeStatus.CREATING,
                multiattach=args.multiattach,
                bootable=args.bootable,
                user_metadata=args.metadata,
                user_id=args.user_id,
                source=args.source,
                operation_id=operation_id,
            )
        )

    async def undone(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """It stays as a row in error, for its owner to see and delete."""
        volume = await lock(db, Volume, run.target_id)
        move_volume(volume, VolumeEvent.CREATE_FAILED)
        blame(volume, failure_named(error.kind), str(error))


async def _make(run: Run[Args]) -> Json | None:
    await run.context.reconciler.push_volume(run.target_id)
    return None


async def _made(run: Run[Args], db: AsyncSession) -> Json | None:
    volume = await lock(db, Volume, run.target_id)
    volume.made = True
    move_volume(volume, VolumeEvent.CREATE_DONE)
    return None


async def _remove(run: Run[Args]) -> Json | None:
    await run.context.agents.delete_volume(run.args.site, run.target_id)
    return None
