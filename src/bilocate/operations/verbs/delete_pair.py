"""End a pair: available or an error state → deleting → gone. Both volumes stay, with their data.

retire  the session's row goes: nobody replicates under it any more     point of no return
end     both sites' agents end it (one that is away: when it is back), and the pair's row goes
"""

import asyncio

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import NotFound, OperationError, PairInGroup, failure_named
from bilocate.domain.pair_states import PAIR, PairEvent
from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.verb import Json, NoArgs, Request, Run, Step, Verb
from bilocate.operations.verbs._shared import require_status
from bilocate.store.journal_models import TargetKind
from bilocate.store.membership import close_session
from bilocate.store.models import Pair, Session, Volume
from bilocate.store.transitions import blame, lock, move_pair, take


class DeletePair(Verb[NoArgs]):
    """End a pair."""

    name = "delete_pair"
    target = TargetKind.PAIR
    args_type = NoArgs
    point_of_no_return = "retire"

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (Step("retire", commit=_retire), Step("end", do=_end, commit=_forget))

    async def check(self, request: Request[NoArgs]) -> None:
        """In no group, and settled. No site is needed."""
        async with request.context.database.reading() as db:
            pair = await db.get(Pair, request.target_id)
        if pair is None or request.project_id not in (None, pair.project_id):
            raise NotFound("pair", request.target_id)
        _require_free(pair)

    async def enter(self, request: Request[NoArgs], db: AsyncSession, operation_id: str) -> None:
        """Deleting."""
        pair = await lock(db, Pair, request.target_id, request.project_id)
        take(pair, operation_id)
        _require_free(pair)
        move_pair(pair, PairEvent.DELETE)

    async def failed(self, run: Run[NoArgs], db: AsyncSession, error: RecordedError) -> None:
        """It can be deleted again."""
        pair = await lock(db, Pair, run.target_id)
        move_pair(pair, PairEvent.DELETE_FAILED)
        blame(pair, failure_named(error.kind), str(error))

    async def undone(self, run: Run[NoArgs], db: AsyncSession, error: RecordedError) -> None:
        """The same: nothing was done yet."""
        await self.failed(run, db, error)


def _require_free(pair: Pair) -> None:
    if pair.group_id is not None:
        raise PairInGroup(pair.id, pair.group_id, "remove it from the group first")
    remedy = "wait for what is going on"
    require_status("pair", pair.id, pair.status, PAIR, PairEvent.DELETE, remedy)


async def _retire(run: Run[NoArgs], db: AsyncSession) -> Json | None:
    session = await db.get(Session, run.target_id)
    epoch = session.epoch if session is not None else 0
    await close_session(db, run.target_id)
    return {"epoch": epoch}


async def _end(run: Run[NoArgs]) -> Json | None:
    async with run.context.database.reading() as db:
        pair = await db.get(Pair, run.target_id)
    epoch = int(run.results["retire"]["epoch"])
    if pair is None or epoch == 0:
        return None

    async def end(site: str) -> None:
        try:
            await run.context.agents.delete_session(site, pair.id, epoch)
        except OperationError:
            run.context.reconciler.kick(site)

    await asyncio.gather(end(pair.first_site), end(pair.second_site))
    return None


async def _forget(run: Run[NoArgs], db: AsyncSession) -> Json | None:
    await db.execute(
        update(Volume)
        .where(Volume.pair_id == run.target_id)
        .values(pair_id=None, wanted_revision=Volume.wanted_revision + 1)
    )
    await db.delete(await lock(db, Pair, run.target_id))
    return None
