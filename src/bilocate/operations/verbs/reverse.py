"""Change the direction of a group that is in step; nothing is copied (rule 23).

available → reversing → available, or error_reversing, which can be repeated.

    mark      it is said that hosts may be held                         undo: nothing is held any more
    quiesce   the primary holds its hosts, both sites are equal          undo: hosts go on
    commit    the row, if it is still the version the primary knew       point of no return
    demote    the old primary is told (one that died meanwhile: when it is back)
    promote   the new one is told
    in_step   both copies are in step                                    available

An unwind ends in `available`, with everything as it was.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.arbiter import Ask, Call, Refusal
from bilocate.domain.errors_operations import (
    AgentBusy,
    AgentRefused,
    GroupEmpty,
    HostsAttached,
    NotInStep,
    OutOfReach,
    Settling,
    SwitchoverOvertaken,
    failure_named,
)
from bilocate.domain.group_states import GROUP, GroupEvent, GroupStatus
from bilocate.domain.observed import Replication
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.truth import observe_session
from bilocate.operations.verb import Json, Request, Run, Step, Verb
from bilocate.operations.verbs._shared import (
    change_production,
    live_attachments,
    locked_session,
    read_group,
    require_agents,
    require_status,
    unless_silent,
    wait_for_half,
)
from bilocate.operations.verbs._wishes import want
from bilocate.store.arbiter import call_within
from bilocate.store.journal_models import TargetKind
from bilocate.store.membership import members_of
from bilocate.store.models import Group
from bilocate.store.sequences import next_epoch
from bilocate.store.transitions import blame, lock, move_group, take

# A primary that dies here is to be failed over from, and not to be waited for.
QUIESCE_PATIENCE_SECONDS = 1.0
# A new primary that is silent so long ends the reversal in an error, from which there is a failover back.
SILENCE_SECONDS = 10.0
# A trip in the middle of it starts it again: the link may be back in a moment.
LOST_STEP = ("lost_link", "not_in_step")


@dataclass(frozen=True, slots=True)
class Args:
    """`force`: hosts that are attached at the old production site are disconnected, after the drain."""

    force: bool = False


class Reverse(Verb[Args]):
    """Change the direction."""

    name = "reverse"
    target = TargetKind.GROUP
    args_type = Args
    point_of_no_return = "commit"

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (
            Step("mark", commit=_mark, undo_commit=_unmark),
            Step("quiesce", do=_quiesce, undo=_resume, patience_seconds=QUIESCE_PATIENCE_SECONDS),
            Step("commit", commit=_commit),
            Step("demote", do=_demote),
            Step("promote", do=_promote, patience_seconds=SILENCE_SECONDS),
            Step("in_step", do=_in_step, commit=_finish),
        )

    async def check(self, request: Request[Args]) -> None:
        """In step, no host attached (or force), both sites answer."""
        context, facts = request.context, request.facts
        group, session, members = await read_group(context, request.target_id, request.project_id)
        _require_status(group)
        if not members:
            raise GroupEmpty(group.id)
        await require_agents(context, [session.primary_site, session.secondary_site])
        facts["repeat"] = group.status is GroupStatus.ERROR_REVERSING
        if facts["repeat"]:
            facts.update(from_site=session.secondary_site, to_site=session.primary_site)
            return
        facts.update(from_site=session.primary_site, to_site=session.secondary_site)
        if session.held or session.quiesced:
            raise Settling(group.id)
        observed = await observe_session(context, group.id)
        if observed is None or observed.replication is not Replication.ACTIVE:
            raise NotInStep(group.id, Replication.INACTIVE if observed is None else observed.replication)
        async with context.database.reading() as db:
            await _require_no_hosts(db, group.id, session.primary_site, request.args)

    async def enter(self, request: Request[Args], db: AsyncSession, operation_id: str) -> None:
        """Reversing."""
        group = await lock(db, Group, request.target_id, request.project_id)
        take(group, operation_id)
        _require_status(group)
        if not request.facts["repeat"]:
            await _require_no_hosts(db, group.id, group.priority_site, request.args)
        move_group(group, GroupEvent.REVERSE)

    async def undone(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """As it was."""
        move_group(await lock(db, Group, run.target_id), GroupEvent.REVERSE_UNDONE)

    async def failed(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """It can be repeated."""
        group = await lock(db, Group, run.target_id)
        move_group(group, GroupEvent.REVERSE_FAILED)
        blame(group, failure_named(error.kind), str(error))


def _require_status(group: Group) -> None:
    remedy = "wait for what is going on; a group that was failed over is reprotected first"
    require_status("group", group.id, group.status, GROUP, GroupEvent.REVERSE, remedy)


async def _require_no_hosts(db: AsyncSession, group_id: str, site: str, args: Args) -> None:
    volume_ids = [pair.volume_at(site) for pair in await members_of(db, group_id)]
    attached = sorted({attachment.volume_id for attachment in await live_attachments(db, volume_ids)})
    if attached and not args.force:
        raise HostsAttached(group_id, attached)


async def _mark(run: Run[Args], db: AsyncSession) -> Json | None:
    session = await locked_session(db, run.target_id)
    if run.facts["repeat"]:
        return {"epoch": session.epoch}
    session.quiesced = True
    # The attempt is the epoch that comes of it, and what its calls are known by (LATE).
    return {"epoch": session.epoch, "attempt": await next_epoch(db)}


async def _unmark(run: Run[Args], db: AsyncSession) -> Json | None:
    if run.facts.get("resumed"):
        (await locked_session(db, run.target_id)).quiesced = False
    return None


async def _quiesce(run: Run[Args]) -> Json | None:
    if run.facts["repeat"]:
        return None
    site, mark = str(run.facts["from_site"]), run.results["mark"]
    call = run.context.agents.quiesce(site, run.target_id, mark["epoch"], mark["attempt"])
    try:
        return {"version": await unless_silent(run.context, site, call)}
    except AgentRefused as refused:
        if refused.code in LOST_STEP:
            raise AgentBusy(site, str(refused)) from refused
        raise


async def _resume(run: Run[Args]) -> Json | None:
    if not run.facts["repeat"] and "mark" in run.results:
        site, mark = str(run.facts["from_site"]), run.results["mark"]
        seconds = (
            run.context.settings.timing.tell_seconds
        )  # what hangs is left to settling: a failover may wait
        await run.context.agents.resume(site, run.target_id, mark["epoch"], mark["attempt"], seconds)
    run.facts["resumed"] = True
    return None


async def _commit(run: Run[Args], db: AsyncSession) -> Json | None:
    if run.facts["repeat"]:
        want(await locked_session(db, run.target_id), paused=False)  # it ends in step: a stop since is over
        return None
    version = int(run.results["quiesce"]["version"])
    ask = Ask(Call.SWITCH_OVER, version=version, new_epoch=int(run.results["mark"]["attempt"]))
    answer = await call_within(db, run.target_id, ask)
    if isinstance(answer, Refusal):
        raise SwitchoverOvertaken(run.target_id)
    session = await locked_session(db, run.target_id)
    session.quiesced = False
    session.revision += 1
    await change_production(db, run.target_id, str(run.facts["from_site"]), str(run.facts["to_site"]))
    return {"epoch": answer.epoch}


async def _demote(run: Run[Args]) -> Json | None:
    site = str(run.facts["from_site"])
    try:
        await _push(run, site, run.context.settings.timing.tell_seconds)
    except OutOfReach:
        # The new primary needs nothing of it; it is told when it is back.
        run.context.reconciler.kick(site)
    return None


async def _promote(run: Run[Args]) -> Json | None:
    await _push(run, str(run.facts["to_site"]))
    return None


async def _push(run: Run[Args], site: str, seconds: float | None = None) -> None:
    try:
        await run.context.reconciler.push_session(site, run.target_id, seconds)
    except AgentRefused as refused:
        if refused.code not in ("older_epoch", "older_revision"):
            raise


async def _in_step(run: Run[Args]) -> Json | None:
    site, session_id = str(run.facts["to_site"]), run.target_id
    _, session, _ = await read_group(run.context, session_id, None)

    def in_step(actual: Json) -> bool:
        return actual["epoch"] == session.epoch and bool(actual["in_step"])

    seconds = run.context.settings.timing.forward_patience_seconds
    await wait_for_half(run.context, site, session_id, "being in step", in_step, seconds, SILENCE_SECONDS)
    return None


async def _finish(run: Run[Args], db: AsyncSession) -> Json | None:
    move_group(await lock(db, Group, run.target_id), GroupEvent.REVERSE_DONE)
    return None
