"""Changing what is wanted of a session, and bringing it to its sites."""

from bilocate.domain.errors_operations import OperationError
from bilocate.operations.context import Context
from bilocate.operations.verb import Json
from bilocate.operations.verbs._shared import push_if_possible, wait_for_half
from bilocate.store.models import Session

# The primary lets its link go within a round trip to the arbiter; a site that is away can't be waited for.
LET_GO_SECONDS = 2.0


def want(session: Session, **values: object) -> None:
    """Change what is wanted of a session; the revision rises only when something is different."""
    if any(getattr(session, name) != value for name, value in values.items()):
        for name, value in values.items():
            setattr(session, name, value)
        session.revision += 1


async def let_go(context: Context, session: Session) -> None:
    """Tell both sites that the session is paused, and wait a while until the primary has let its link go."""
    told = await push_if_possible(context, session.id, [session.primary_site, session.secondary_site])
    if session.primary_site not in told:
        return

    def has_let_go(actual: Json) -> bool:
        told = (actual["epoch"], actual["revision"]) >= (session.epoch, session.revision)
        return bool(told and not (actual.get("link") or {}).get("up"))

    try:
        what = f"letting the link of session {session.id} go"
        silence = context.settings.timing.tell_seconds
        await wait_for_half(
            context, session.primary_site, session.id, what, has_let_go, LET_GO_SECONDS, silence
        )
    except OperationError:
        context.reconciler.kick(session.primary_site)
