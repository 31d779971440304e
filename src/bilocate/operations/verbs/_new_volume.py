"""What verbs that make a volume share: its row, and how they end."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import Invalid, UnknownSite, failure_named
from bilocate.domain.volume_states import VolumeEvent, VolumeStatus
from bilocate.operations.quotas import require_volume
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.verb import Json, Request, Run
from bilocate.operations.verbs._shared import require_agents
from bilocate.store.models import Volume
from bilocate.store.transitions import blame, lock, move_volume


@dataclass(frozen=True, slots=True)
class NewVolume:
    """What a volume is to be. `size_gib`: in GiB."""

    size_gib: int
    volume_type: str
    site: str
    name: str = ""
    description: str = ""
    multiattach: bool = False
    bootable: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    user_id: str | None = None


async def require_place(request: Request[Any]) -> None:
    """:raises UnknownSite, Invalid, OutOfReach: its site is none, or does not answer; it has no size or no owner."""
    settings = request.context.settings
    args: NewVolume = request.args
    if args.site not in settings.sites:
        raise UnknownSite(args.site, settings.zones.names)
    if args.size_gib < 1:
        raise Invalid(f"a volume of {args.size_gib} GiB can't be made: the least is 1 GiB")
    if request.project_id is None:
        raise Invalid("a volume belongs to a project: name one")
    await require_agents(request.context, [args.site])


async def add_row(request: Request[Any], db: AsyncSession, operation_id: str, **more: Any) -> None:
    """The row, if the project has room for it."""
    args: NewVolume = request.args
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
            operation_id=operation_id,
            **more,
        )
    )


async def made(run: Run[Any], db: AsyncSession) -> Json | None:
    """Its site has made it."""
    volume = await lock(db, Volume, run.target_id)
    volume.made = True
    move_volume(volume, VolumeEvent.CREATE_DONE)
    return None


async def remove(run: Run[Any]) -> Json | None:
    """Its site removes what there is of it."""
    await run.context.agents.delete_volume(run.args.site, run.target_id)
    return None


async def not_made(run: Run[Any], db: AsyncSession, error: RecordedError) -> None:
    """It stays as a row in error, for its owner to see and delete."""
    volume = await lock(db, Volume, run.target_id)
    move_volume(volume, VolumeEvent.CREATE_FAILED)
    blame(volume, failure_named(error.kind), str(error))
