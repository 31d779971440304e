"""Take the old production site back in as the secondary: failed_over → available; what differs is copied (rule 25).

unpause  replication is wanted from here on     point of no return
push     both sites' agents are told            available
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import (
    DataWouldBeLost,
    GroupEmpty,
    OperationError,
    SiteNotBack,
    VolumeAttached,
)
from bilocate.domain.group_states import GROUP, GroupEvent
from bilocate.operations.context import Context
from bilocate.operations.verb import Json, Request, Run, Step, Verb
from bilocate.operations.verbs._shared import (
    live_attachments,
    locked_session,
    push_if_possible,
    read_group,
    require_status,
)
from bilocate.operations.verbs._wishes import want
from bilocate.store.journal_models import TargetKind
from bilocate.store.membership import members_of
from bilocate.store.models import Group, Pair, Session
from bilocate.store.transitions import lock, move_group, take


@dataclass(frozen=True, slots=True)
class Args:
    """`allow_data_loss`: what the old production site alone holds since a forced failover is overwritten."""

    allow_data_loss: bool = False


class Reprotect(Verb[Args]):
    """Protect a group again."""

    name = "reprotect"
    target = TargetKind.GROUP
    args_type = Args
    point_of_no_return = "unpause"

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (Step("unpause", commit=_unpause), Step("push", do=_push, commit=_finish))

    async def check(self, request: Request[Args]) -> None:
        """The old production site is back, with its volumes; nobody holds them; nothing of worth is lost."""
        context = request.context
        group, session, members = await read_group(context, request.target_id, request.project_id)
        _require_status(group)
        if not members:
            raise GroupEmpty(group.id)
        await _require_back(context, session, members)
        async with context.database.reading() as db:
            await _require_no_hosts(db, group.id, session.secondary_site)
        if session.forced and not request.args.allow_data_loss:
            await _require_nothing_alone(context, session)

    async def enter(self, request: Request[Args], db: AsyncSession, operation_id: str) -> None:
        """The status stays until both sites have been told."""
        group = await lock(db, Group, request.target_id, request.project_id)
        take(group, operation_id)
        _require_status(group)
        session = await locked_session(db, group.id)
        await _require_no_hosts(db, group.id, session.secondary_site)
        move_group(group, GroupEvent.REPROTECT)

    async def undone(self, run: Run[Args], db: AsyncSession, error: object) -> None:
        """Still failed over."""


def _require_status(group: Group) -> None:
    remedy = "a reprotect takes the old production site back in after a failover: fail the group over first"
    require_status("group", group.id, group.status, GROUP, GroupEvent.REPROTECT, remedy)


async def _require_back(context: Context, session: Session, members: list[Pair]) -> None:
    site = session.secondary_site
    report = await context.observer.fresh(site)
    if not report.answered:
        raise SiteNotBack(session.id, site, str(report.error or "its agent does not answer"))
    for pair in members:
        volume_id = pair.volume_at(site)
        found = report.volume(volume_id)
        if found is None or not found.get("present", False):
            raise SiteNotBack(session.id, site, f"its volume {volume_id} is missing")
        if found.get("error"):
            raise SiteNotBack(session.id, site, f"its volume {volume_id} has an error: {found['error']}")


async def _require_no_hosts(db: AsyncSession, group_id: str, site: str) -> None:
    volume_ids = [pair.volume_at(site) for pair in await members_of(db, group_id)]
    for attachment in await live_attachments(db, volume_ids):
        raise VolumeAttached(attachment.volume_id, f"it is in {site}, whose content a reprotect overwrites")


async def _require_nothing_alone(context: Context, session: Session) -> None:
    """What the old primary alone holds is counted once it has heard that it is no primary any more."""
    site = session.secondary_site
    try:
        actual = await context.reconciler.push_session(site, session.id)
    except OperationError as error:
        raise SiteNotBack(session.id, site, str(error)) from error
    volumes: list[Json] = actual["volumes"] if actual is not None else []
    alone = sum(int(volume.get("dirty_bytes") or 0) for volume in volumes)
    if alone:
        raise DataWouldBeLost(session.id, site, alone)


async def _unpause(run: Run[Args], db: AsyncSession) -> Json | None:
    want(await locked_session(db, run.target_id), paused=False, forced=False)
    return None


async def _push(run: Run[Args]) -> Json | None:
    _, session, _ = await read_group(run.context, run.target_id, None)
    await push_if_possible(run.context, session.id, [session.primary_site, session.secondary_site])
    return None


async def _finish(run: Run[Args], db: AsyncSession) -> Json | None:
    move_group(await lock(db, Group, run.target_id), GroupEvent.REPROTECT_DONE)
    return None
