"""Take back what an ended operation left at an agent that did not answer then. Begun by the reconciler.

    begin   there is no way back to a hold                point of no return
    let_go  the secondary takes hellos again, the primary lets hosts go on; then it is not held any more

The status stays. It holds the group meanwhile, so that no failover or reversal holds anew what this lets go.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import AgentRefused, SessionNotReady
from bilocate.operations.verb import Json, NoArgs, Request, Run, Step, Verb
from bilocate.operations.verbs._shared import locked_session, read_group
from bilocate.store.journal_models import TargetKind
from bilocate.store.models import Group, Session
from bilocate.store.transitions import lock, take

# Longer than an answer takes; a site that is away is tried again by the next settling.
PATIENCE_SECONDS = 0.5


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
            Step("begin"),
            Step("let_go", do=_let_go, commit=_settled, patience_seconds=PATIENCE_SECONDS),
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


async def _let_go(run: Run[NoArgs]) -> Json | None:
    _, session, _ = await read_group(run.context, run.target_id, None)
    agents = run.context.agents
    try:
        if session.held:
            await agents.release(session.secondary_site, session.id, session.epoch)
        if session.quiesced:
            await agents.resume(session.primary_site, session.id, session.epoch)
    except AgentRefused as refused:
        # A session of another epoch there has no hold of this one.
        if refused.code not in ("older_epoch", "unknown_session"):
            raise
    return None


async def _settled(run: Run[NoArgs], db: AsyncSession) -> Json | None:
    session = await locked_session(db, run.target_id)
    session.held = session.quiesced = False
    return None
