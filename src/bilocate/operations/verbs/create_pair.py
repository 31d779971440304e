"""Make a pair of two volumes: creating → available, or error.

    open    the pair's own session, paused        undo: the session ends
    push    both sites' agents take it up
    finish  available

An unwind ends in `error`; the volumes are free again and keep their data.
"""

from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import (
    Invalid,
    NotFound,
    PriorityElsewhere,
    SameSite,
    SizesDiffer,
    TypesDiffer,
    VolumeAttached,
    VolumePaired,
    WrongStatus,
    failure_named,
)
from bilocate.domain.failures import Failure
from bilocate.domain.pair_states import PairEvent, PairStatus
from bilocate.domain.volume_states import VolumeStatus
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.verb import Json, Request, Run, Step, Verb
from bilocate.operations.verbs._shared import live_attachments, require_agents
from bilocate.store.journal_models import TargetKind
from bilocate.store.membership import close_session, open_session
from bilocate.store.models import Pair, Volume
from bilocate.store.transitions import blame, lock, move_pair, take


@dataclass(frozen=True, slots=True)
class Args:
    """Two volumes, and the site of the one that is production, or its zone."""

    volume_ids: list[str]
    priority_site: str
    name: str = ""
    description: str = ""


class CreatePair(Verb[Args]):
    """Make a pair."""

    name = "create_pair"
    target = TargetKind.PAIR
    args_type = Args
    point_of_no_return = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (
            Step("open", commit=_open, undo_commit=_close),
            Step("push", do=_push),
            Step("finish", commit=_finish),
        )

    async def check(self, request: Request[Args]) -> None:
        """Two volumes that fit, both free, and two sites that answer."""
        async with request.context.database.reading() as db:
            volumes = [await db.get(Volume, volume_id) for volume_id in request.args.volume_ids]
            await _require_fit(db, request, volumes)
        await require_agents(request.context, [volume.site for volume in volumes if volume is not None])

    async def enter(self, request: Request[Args], db: AsyncSession, operation_id: str) -> None:
        """The pair's row, and its claim on both volumes. They are locked in one order by everyone."""
        for volume_id in sorted(request.args.volume_ids):
            await lock(db, Volume, volume_id, request.project_id)
        volumes = [await lock(db, Volume, volume_id) for volume_id in request.args.volume_ids]
        primary = await _require_fit(db, request, volumes)
        first, second = volumes
        for volume in volumes:
            volume.pair_id = request.target_id
        pair = Pair(
            id=request.target_id,
            project_id=first.project_id,
            name=request.args.name,
            description=request.args.description,
            status=PairStatus.CREATING,
            first_volume_id=first.id,
            second_volume_id=second.id,
            first_site=first.site,
            second_site=second.site,
            priority_site=primary,
            size_gib=first.size_gib,
            volume_type=first.volume_type,
            multiattach=first.multiattach,
        )
        take(pair, operation_id)
        db.add(pair)

    async def undone(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """The volumes are free; the pair tells why it is none."""
        pair = await lock(db, Pair, run.target_id)
        for volume_id in sorted(run.args.volume_ids):
            volume = await lock(db, Volume, volume_id)
            if volume.pair_id == pair.id:
                volume.pair_id = None
        move_pair(pair, PairEvent.CREATE_FAILED)
        blame(pair, failure_named(error.kind), str(error))


async def _require_fit(
    db: AsyncSession, request: Request[Args], found: list[Volume | None] | list[Volume]
) -> str:
    """The site of production."""
    args, zones = request.args, request.context.settings.zones
    if len(set(args.volume_ids)) != 2 or len(args.volume_ids) != 2:
        raise Invalid("a pair is made of exactly two different volumes")
    volumes: list[Volume] = []
    for volume_id, volume in zip(args.volume_ids, found, strict=True):
        if volume is None or request.project_id not in (None, volume.project_id):
            raise NotFound("volume", volume_id)
        volumes.append(volume)
    for one, other in pairwise(volumes):
        if zones.of(one.site) == zones.of(other.site):
            raise SameSite(zones.of(one.site))
        if one.size_gib != other.size_gib:
            raise SizesDiffer(one.size_gib, other.size_gib)
        if one.volume_type != other.volume_type:
            raise TypesDiffer(one.volume_type, other.volume_type)
    sites = [volume.site for volume in volumes]
    primary = zones.named(args.priority_site, sites)
    if primary is None:
        raise PriorityElsewhere(args.priority_site, [zones.of(site) for site in sites])
    for volume in volumes:
        await _require_free(db, volume, volume.site == primary)
    return primary


async def _require_free(db: AsyncSession, volume: Volume, production: bool) -> None:
    if volume.pair_id is not None:
        failure = Failure.PRODUCTION_VOLUME_PAIRED if production else Failure.DR_VOLUME_PAIRED
        raise VolumePaired(volume.id, volume.pair_id, failure)
    settled = [VolumeStatus.AVAILABLE, VolumeStatus.IN_USE]
    if volume.status not in settled:
        remedy = "wait for what is going on, or choose another volume"
        raise WrongStatus("volume", volume.id, volume.status, settled, remedy)
    attached = volume.status is VolumeStatus.IN_USE or await live_attachments(db, [volume.id])
    if attached and not production:
        raise VolumeAttached(volume.id, "it would become the DR copy, which no host may use")


async def _open(run: Run[Args], db: AsyncSession) -> Json | None:
    pair = await lock(db, Pair, run.target_id)
    # Whoever makes the pair says which volume's data is the truth, also when its ledger knows nothing of it.
    await open_session(db, pair.id, pair.priority_site, pair.secondary_site, [pair], trust_blank=True)
    return None


async def _close(run: Run[Args], db: AsyncSession) -> Json | None:
    await close_session(db, run.target_id)
    return None


async def _push(run: Run[Args]) -> Json | None:
    async with run.context.database.reading() as db:
        pair = await db.get(Pair, run.target_id)
    if pair is None:
        raise NotFound("pair", run.target_id)
    for site in (pair.priority_site, pair.secondary_site):
        await run.context.reconciler.push_session(site, pair.id)
    return None


async def _finish(run: Run[Args], db: AsyncSession) -> Json | None:
    pair = await lock(db, Pair, run.target_id)
    rows = {
        each: await lock(db, Volume, each) for each in sorted((pair.first_volume_id, pair.second_volume_id))
    }
    production = rows[pair.volume_at(pair.priority_site)]
    # What hosts may do with production they may do at the other site, should it be there one day.
    rows[pair.volume_at(pair.secondary_site)].read_only = production.read_only
    move_pair(pair, PairEvent.CREATE_DONE)
    return None
