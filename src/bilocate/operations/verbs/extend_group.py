"""Grow pairs of a group while it replicates: the status stays, and so does what replication does (GROWTH).

    room       both sites' disks get longer; nobody sees it yet     no undo: a disk is never made smaller
    secondary  the secondary's volumes have the new size            point of no return
    primary    its agent has taken it up; then the primary's volumes have it
    finish     its agent has taken it up too; then the pairs have it

A site that dies behind the point of no return leaves the secondary ahead, which harms nothing: it is repeated, or,
after a failover, the other site follows (`change_production`). Failovers wait for this verb, so it is not patient.
"""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import (
    AgentBusy,
    AgentRefused,
    NotFound,
    Settling,
    failure_named,
)
from bilocate.domain.errors_volumes import (
    AdoptedNotExtended,
    DiskCannotGrow,
    NotInGroup,
    NotLarger,
    ReplicationFailed,
)
from bilocate.domain.geometry import GIB
from bilocate.domain.group_states import GROUP, GroupEvent
from bilocate.domain.observed import Replication
from bilocate.operations.quotas import require_gigabytes
from bilocate.operations.reconcile import OVERTAKEN
from bilocate.operations.rows import volume_row
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.truth import observe_session
from bilocate.operations.verb import Json, Request, Run, Step, Verb
from bilocate.operations.verbs._shared import locked_session, read_group, require_agents, require_status
from bilocate.store.columns import db_now
from bilocate.store.journal_models import TargetKind
from bilocate.store.membership import members_of
from bilocate.store.models import Group, Pair, Session, Volume
from bilocate.store.transitions import blame, lock, move_group, require_free, take

PATIENCE_SECONDS = 2.0
NO_ROOM = "volume_unusable"  # an agent's word: the disk is not there, or can't get longer


@dataclass(frozen=True, slots=True)
class Args:
    """By pair: the size that its volumes are to have, in GiB."""

    sizes_gib: dict[str, int]


class ExtendGroup(Verb[Args]):
    """Grow volumes of a group's pairs."""

    name = "extend_group"
    target = TargetKind.GROUP
    args_type = Args
    point_of_no_return = "secondary"

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (
            Step("room", do=_make_room, patience_seconds=PATIENCE_SECONDS),
            Step("secondary", commit=_grow_secondary),
            Step("primary", do=_tell_secondary, commit=_grow_primary, patience_seconds=PATIENCE_SECONDS),
            Step("finish", do=_tell_primary, commit=_finish, patience_seconds=PATIENCE_SECONDS),
        )

    async def check(self, request: Request[Args]) -> None:
        """Available, its pairs, larger, nothing broken; both sites answer."""
        context = request.context
        group, session, members = await read_group(context, request.target_id, request.project_id)
        _require_growing(group, session, members, request.args)
        observed = await observe_session(context, group.id)
        if observed is not None and observed.replication is Replication.ERROR:
            raise ReplicationFailed(group.id, observed.message)
        await require_agents(context, [session.primary_site, session.secondary_site])

    async def enter(self, request: Request[Args], db: AsyncSession, operation_id: str) -> None:
        """The status stays; the operation holds the group."""
        group = await lock(db, Group, request.target_id, request.project_id)
        require_free(group, operation_id)
        session = await locked_session(db, group.id)
        _require_growing(group, session, list(await members_of(db, group.id)), request.args)
        growing = await _growing(db, session, request.args)
        more_gib = sum(
            2 * each.size_gib - each.primary.size_gib - each.secondary.size_gib for each in growing
        )
        await require_gigabytes(db, group.project_id, more_gib)
        take(group, operation_id)  # from here on it counts as what is being added
        move_group(group, GroupEvent.EXTEND)

    async def failed(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """It goes on replicating; the secondary's volumes may be larger."""
        group = await lock(db, Group, run.target_id)
        blame(group, failure_named(error.kind), str(error))


def _require_growing(group: Group, session: Session, members: list[Pair], args: Args) -> None:
    remedy = "wait for what is going on, or settle it (reprotect, or repeat what failed)"
    require_status("group", group.id, group.status, GROUP, GroupEvent.EXTEND, remedy)
    if session.held or session.quiesced:
        raise Settling(group.id)
    by_id = {pair.id: pair for pair in members}
    for pair_id, size_gib in args.sizes_gib.items():
        if pair_id not in by_id:
            raise NotInGroup(pair_id, group.id)
        if size_gib <= by_id[pair_id].size_gib:
            raise NotLarger("pair", pair_id, by_id[pair_id].size_gib, size_gib)


@dataclass(frozen=True, slots=True)
class _Growing:
    """A pair that grows, its two volumes, and what both are to have: never less than one of them has."""

    pair: Pair
    primary: Volume
    secondary: Volume
    size_gib: int


async def _growing(db: AsyncSession, session: Session, args: Args) -> list[_Growing]:
    """The rows as they are now. The group is held, so nothing else makes them grow."""
    pairs = [pair for pair in await members_of(db, session.id) if pair.id in args.sizes_gib]
    ids = [pair.volume_at(site) for pair in pairs for site in (session.primary_site, session.secondary_site)]
    query = select(Volume).where(Volume.id.in_(ids)).order_by(Volume.id).with_for_update()
    found = {
        volume.id: volume for volume in await db.scalars(query.execution_options(populate_existing=True))
    }
    growing = []
    for pair in pairs:
        sides = [pair.volume_at(site) for site in (session.primary_site, session.secondary_site)]
        for volume_id in sides:
            if volume_id not in found:
                raise NotFound("volume", volume_id)
        primary, secondary = (found[volume_id] for volume_id in sides)
        for volume in (primary, secondary):
            if volume.source is not None:
                raise AdoptedNotExtended(volume.id, pair.id)
        size_gib = max(args.sizes_gib[pair.id], primary.size_gib, secondary.size_gib)
        growing.append(_Growing(pair, primary, secondary, size_gib))
    return growing


async def _make_room(run: Run[Args]) -> Json | None:
    async with run.context.database.writing() as db:
        growing = await _growing(db, await locked_session(db, run.target_id), run.args)
        asked = [(each.size_gib, side.id) for each in growing for side in (each.secondary, each.primary)]
    for size_gib, volume_id in asked:
        async with run.context.database.reading() as db:
            found = await volume_row(db, volume_id)
        if found is None:
            raise NotFound("volume", volume_id)
        site, wanted = found
        try:
            await run.context.agents.put_volume(site, volume_id, {**wanted, "size_bytes": size_gib * GIB})
        except AgentRefused as refused:
            if refused.code == NO_ROOM:
                raise DiskCannotGrow(volume_id, site, str(refused)) from refused
            if refused.code not in (*OVERTAKEN, "in_session"):
                raise
            # Its exports are being changed, or it is on its way into this session: that comes first.
            await run.context.reconciler.round(site)
            raise AgentBusy(site, f"volume {volume_id} is being changed") from refused
    return None


async def _grow_secondary(run: Run[Args], db: AsyncSession) -> Json | None:
    session = await locked_session(db, run.target_id)
    for each in await _growing(db, session, run.args):
        _resize(each.secondary, each.size_gib)
    session.revision += 1
    return None


async def _tell_secondary(run: Run[Args]) -> Json | None:
    _, session, _ = await read_group(run.context, run.target_id, None)
    await _tell(run, session.secondary_site)
    return None


async def _grow_primary(run: Run[Args], db: AsyncSession) -> Json | None:
    session = await locked_session(db, run.target_id)
    for each in await _growing(db, session, run.args):
        _resize(each.primary, each.size_gib)
    session.revision += 1
    return None


async def _tell_primary(run: Run[Args]) -> Json | None:
    _, session, _ = await read_group(run.context, run.target_id, None)
    await _tell(run, session.primary_site)
    return None


async def _finish(run: Run[Args], db: AsyncSession) -> Json | None:
    for each in await _growing(db, await locked_session(db, run.target_id), run.args):
        each.pair.size_gib = each.size_gib
        each.pair.updated_at = db_now()  # the database's clock
    return None


def _resize(volume: Volume, size_gib: int) -> None:
    if volume.size_gib != size_gib:
        volume.size_gib = size_gib
        volume.wanted_revision += 1
        volume.updated_at = db_now()  # the database's clock


async def _tell(run: Run[Args], site: str) -> None:
    """The agent has taken up what the rows say, durably."""
    try:
        await run.context.reconciler.push_session(site, run.target_id)
    except AgentRefused as refused:
        if refused.code in OVERTAKEN:
            return  # another push was faster, with nothing older
        if refused.code == NO_ROOM:
            raise DiskCannotGrow(run.target_id, site, str(refused)) from refused
        raise
