"""Fail a group over to its secondary site; nothing is needed from the primary's (rule 22).

available or error_reversing → failing_over → failed_over, or error_failing_over, which can be repeated.

    look      the row, with its version, BEFORE the check           undo: nothing is held any more
    precheck  the secondary lets go, holds, and says what it has     undo: it takes hellos again
    commit    the row, if it is still that version                   point of no return
    promote   the new primary's agent is told
    serve     it serves                                              failed_over

An unwind ends in the status it came from. A primary that is alive may win the race for the row: then all
of it begins anew, a few times, as soon as both copies are in step again.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.arbiter import Ask, Call, Refusal, RowState
from bilocate.domain.errors_operations import (
    AgentRefused,
    GroupEmpty,
    MomentsDiffer,
    ProductionAlive,
    PromotionRefused,
    SecondaryBehind,
    SecondaryInconsistent,
    SessionNotReady,
    failure_named,
)
from bilocate.domain.group_states import GROUP, GroupEvent, GroupStatus
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.verb import Json, Request, Run, Step, Verb
from bilocate.operations.verbs._failover_check import how_far_behind, require_promotable, wait_for_in_sync
from bilocate.operations.verbs._shared import (
    change_production,
    locked_session,
    read_group,
    require_agents,
    require_status,
    wait_for_half,
)
from bilocate.operations.verbs._wishes import want
from bilocate.store.arbiter import call_within
from bilocate.store.journal_models import TargetKind
from bilocate.store.models import Group
from bilocate.store.sequences import next_epoch
from bilocate.store.transitions import blame, lock, move_group, take


@dataclass(frozen=True, slots=True)
class Args:
    """`allow_data_loss`: go on with a secondary that may lack answered writes. The old production site, if it
    lives in isolation, may go on answering hosts until it hears of this; what it then holds alone is shown
    before a reprotect overwrites it. `allow_mixed_moments`: also where its volumes are not known to be of one
    moment (MOMENT)."""

    allow_data_loss: bool = False
    allow_mixed_moments: bool = False


class Failover(Verb[Args]):
    """Fail a group over."""

    name = "failover"
    target = TargetKind.GROUP
    args_type = Args
    point_of_no_return = "commit"
    lost_race = (ProductionAlive,)
    rounds_most = 3

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (
            Step("look", do=_wait_after_lost_race, commit=_look, undo_commit=_not_held),
            Step("precheck", do=_precheck, undo=_release),
            Step("commit", commit=_commit),
            Step("promote", do=_promote),
            Step("serve", do=_serve, commit=_served),
        )

    async def check(self, request: Request[Args]) -> None:
        """The secondary answers and may be promoted. The primary is not asked."""
        context, facts = request.context, request.facts
        group, session, members = await read_group(context, request.target_id, request.project_id)
        _require_status(group)
        if not members:
            raise GroupEmpty(group.id)
        facts["came_from"] = group.status.value
        facts["repeat"] = group.status is GroupStatus.ERROR_FAILING_OVER
        if facts["repeat"]:
            facts.update(to_site=session.primary_site, from_site=session.secondary_site)
            await require_agents(context, [session.primary_site])
            return
        facts.update(to_site=session.secondary_site, from_site=session.primary_site)
        args = request.args
        await require_promotable(context, session, args.allow_data_loss, args.allow_mixed_moments)
        if args.allow_data_loss:
            facts["behind"] = await how_far_behind(context, session)

    async def enter(self, request: Request[Args], db: AsyncSession, operation_id: str) -> None:
        """Failing over."""
        group = await lock(db, Group, request.target_id, request.project_id)
        take(group, operation_id)
        _require_status(group)
        move_group(group, GroupEvent.FAIL_OVER)

    async def undone(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """As it was."""
        reversing = run.facts["came_from"] == GroupStatus.ERROR_REVERSING.value
        event = GroupEvent.FAIL_OVER_UNDONE_REVERSING if reversing else GroupEvent.FAIL_OVER_UNDONE
        group = await lock(db, Group, run.target_id)
        move_group(group, event)
        if reversing:
            blame(group, failure_named(error.kind), str(error))

    async def failed(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """It can be repeated."""
        group = await lock(db, Group, run.target_id)
        move_group(group, GroupEvent.FAIL_OVER_FAILED)
        blame(group, failure_named(error.kind), str(error))


def _require_status(group: Group) -> None:
    remedy = (
        "wait for what is going on; a group that was failed over is reprotected before it fails over again"
    )
    require_status("group", group.id, group.status, GROUP, GroupEvent.FAIL_OVER, remedy)


async def _wait_after_lost_race(run: Run[Args]) -> Json | None:
    if run.operation.rounds and not run.args.allow_data_loss:
        await wait_for_in_sync(run.context, run.target_id)
    return None


async def _look(run: Run[Args], db: AsyncSession) -> Json | None:
    session = await locked_session(db, run.target_id)
    if run.facts["repeat"]:
        return {"version": session.version, "epoch": session.epoch}
    if session.state is not RowState.IN_SYNC and not run.args.allow_data_loss:
        raise SecondaryBehind(session.id, session.state.value, session.primary_site, session.secondary_site)
    # Said before the agent is told: whoever finds it later knows that a hold may be there.
    session.held = True
    return {
        "version": session.version,
        "epoch": session.epoch,
        "state": session.state.value,
        "attempt": await next_epoch(db),  # the epoch that comes of it, and what its calls are known by (LATE)
    }


async def _not_held(run: Run[Args], db: AsyncSession) -> Json | None:
    if run.facts.get("released"):
        (await locked_session(db, run.target_id)).held = False
    return None


async def _precheck(run: Run[Args]) -> Json | None:
    if run.facts["repeat"]:
        return None
    site, epoch = str(run.facts["to_site"]), int(run.results["look"]["epoch"])
    try:
        found = await run.context.agents.precheck(site, run.target_id, epoch, run.results["look"]["attempt"])
    except AgentRefused as refused:
        raise PromotionRefused(site, str(refused)) from refused
    if found.epoch != epoch:
        raise SessionNotReady(site, run.target_id)
    if not found.consistent or found.blank:
        raise SecondaryInconsistent(run.target_id, site)
    if not found.one_moment and not run.args.allow_mixed_moments:
        raise MomentsDiffer(run.target_id, site)
    if found.dirty_bytes and not run.args.allow_data_loss:
        behind = f"{found.dirty_bytes} bytes unsure after a restart"
        raise SecondaryBehind(run.target_id, behind, str(run.facts["from_site"]), site)
    return {"dirty_bytes": found.dirty_bytes, "behind_seconds": found.behind_seconds}


async def _release(run: Run[Args]) -> Json | None:
    if not run.facts["repeat"] and "look" in run.results:
        site, look = str(run.facts["to_site"]), run.results["look"]
        await run.context.agents.release(site, run.target_id, look["epoch"], look["attempt"])
    run.facts["released"] = True
    return None


async def _commit(run: Run[Args], db: AsyncSession) -> Json | None:
    if run.facts["repeat"]:
        if run.args.allow_data_loss:
            # Also of a ledger that was lost since the commit: no other verb could vouch for this copy now (rule 17).
            want(await locked_session(db, run.target_id), allow_dirty=True, trust_blank=True, forced=True)
        return None
    old, new, seen = str(run.facts["from_site"]), str(run.facts["to_site"]), run.results["look"]
    forced = run.args.allow_data_loss
    ask = Ask(
        Call.FAIL_OVER,
        version=int(seen["version"]),
        new_epoch=int(seen["attempt"]),
        allow_data_loss=forced,
    )
    answer = await call_within(db, run.target_id, ask)
    if answer is Refusal.CHANGED:
        raise ProductionAlive(run.target_id, old)
    if isinstance(answer, Refusal):
        raise SecondaryBehind(run.target_id, str(seen["state"]), old, new)
    session = await locked_session(db, run.target_id)
    lossy = seen["state"] != RowState.IN_SYNC.value or bool(run.results["precheck"]["dirty_bytes"])
    want(session, paused=True, allow_dirty=forced and lossy, trust_blank=False, forced=forced and lossy)
    # Holds are of an epoch: whatever was left of an earlier operation is over too.
    session.held = session.quiesced = False
    await change_production(db, run.target_id, old, new)
    return {"epoch": answer.epoch}


async def _promote(run: Run[Args]) -> Json | None:
    site = str(run.facts["to_site"])
    try:
        await run.context.reconciler.push_session(site, run.target_id)
    except AgentRefused as refused:
        if refused.code not in ("older_epoch", "older_revision"):
            raise PromotionRefused(site, str(refused)) from refused
    return None


async def _serve(run: Run[Args]) -> Json | None:
    site, session_id = str(run.facts["to_site"]), run.target_id
    _, session, _ = await read_group(run.context, session_id, None)

    def serves(actual: Json) -> bool:
        return actual["epoch"] == session.epoch and actual["role"] == "primary" and bool(actual["serving"])

    seconds = run.context.settings.timing.forward_patience_seconds
    await wait_for_half(run.context, site, session_id, f"serving at {site}", serves, seconds)
    return None


async def _served(run: Run[Args], db: AsyncSession) -> Json | None:
    move_group(await lock(db, Group, run.target_id), GroupEvent.FAIL_OVER_DONE)
    return None
