"""Take back what an ended operation left at an agent that did not answer then. Begun by the reconciler.

    begin   there is no way back to a hold                point of no return
    let_go  the secondary takes hellos again, the primary lets hosts go on
    finish  whoever was told is held no more

The status stays. It holds the group meanwhile, so that no reversal holds anew what this lets go. A site that is
still away is left to a later settling: it may be the one that a failover is about to leave.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import AgentRefused, OutOfReach, SessionNotReady
from bilocate.operations.verb import Json, NoArgs, Request, Run, Step, Verb
from bilocate.operations.verbs._shared import locked_session, read_group
from bilocate.store.journal_models import TargetKind
from bilocate.store.models import Group, Session
from bilocate.store.sequences import next_epoch
from bilocate.store.transitions import lock, take

# Longer than an answer takes; a site that is away is tried again by the next settling.
PATIENCE_SECONDS = 0.5
# Such a session has no hold of this one there.
NOTHING_HELD = ("older_epoch", "unknown_session", "not_primary", "not_secondary")


class Settle(Verb[NoArgs]):
    """Take leftovers back."""

    name = "settle"
    target = TargetKind.GROUP
    args_type = NoArgs
    point_of_no_return = "begin"

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (
            Step("begin", commit=_begin),
            Step("let_go", do=_let_go, patience_seconds=PATIENCE_SECONDS),
            Step("finish", commit=_finish),
        )

    async def check(self, request: Request[NoArgs]) -> None:
        """Something is left."""
        _, session, _ = await read_group(request.context, request.target_id, request.project_id)
        _require_left(session)

    async def enter(self, request: Request[NoArgs], db: AsyncSession, operation_id: str) -> None:
        """The operation holds the group."""
        take(await lock(db, Group, request.target_id, request.project_id), operation_id)
        _require_left(await locked_session(db, request.target_id))


def _require_left(session: Session) -> None:
    if not session.held and not session.quiesced:
        raise SessionNotReady(session.primary_site, session.id)


async def _begin(run: Run[NoArgs], db: AsyncSession) -> Json | None:
    return {"attempt": await next_epoch(db)}  # later than all whose holds may be left (LATE)


async def _let_go(run: Run[NoArgs]) -> Json | None:
    _, session, _ = await read_group(run.context, run.target_id, None)
    agents, seconds = run.context.agents, run.context.settings.timing.tell_seconds
    attempt = int(run.results["begin"]["attempt"])
    calls = []
    if session.held:
        calls.append(("held", session.secondary_site, agents.release))
    if session.quiesced:
        calls.append(("quiesced", session.primary_site, agents.resume))
    told: Json = {}  # by column of the session's row
    silent: OutOfReach | None = None
    for what, site, call in calls:
        try:
            await call(site, session.id, session.epoch, attempt, seconds)
        except AgentRefused as refused:
            if refused.code not in NOTHING_HELD:
                raise
        except OutOfReach as error:
            silent = error
            continue
        told[what] = site
    if silent is not None and not told:
        raise silent
    return told


async def _finish(run: Run[NoArgs], db: AsyncSession) -> Json | None:
    session = await locked_session(db, run.target_id)
    for what in run.results["let_go"]:
        setattr(session, what, False)
    return None
