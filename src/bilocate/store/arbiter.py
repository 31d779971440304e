"""The arbiter's rule over the database: `domain.arbiter.decide` under compare-and-set (rule CAS)."""

from typing import Any

from sqlalchemy import CursorResult, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.arbiter import Ask, Call, Refusal, Row, RowState, decide
from bilocate.store.columns import db_now
from bilocate.store.database import Database, DatabaseUnavailable
from bilocate.store.models import Session
from bilocate.store.sealing import OlderThanSites, last_epoch, require_unsealed, seal

# Each lost race means that another caller was served, so a handful of tries is always enough for callers of
# one session; what is beyond is treated as an outage, never as an answer.
MOST_TRIES = 20


class ArbiterContended(DatabaseUnavailable):
    """The row changed under every try: the outcome is "not carried out", and the caller may ask again."""

    def __init__(self, session_id: str) -> None:
        super().__init__(
            RuntimeError(f"the row of session {session_id} changed {MOST_TRIES} times under one call")
        )


async def call(database: Database, session_id: str, ask: Ask) -> Row | Refusal:
    """Carry out one call in a transaction of its own.

    A session without a row has ended, or never was: *superseded*. When this raises `DatabaseUnavailable` the
    call may have been carried out (rule FORGET).

    :raises DatabaseUnavailable: the outcome is unknown.
    :raises OlderThanSites: the database is a restored one; the caller may know more than it.
    """
    try:
        async with database.writing(urgent=True) as db:
            return await call_within(db, session_id, ask)
    except OlderThanSites:
        async with database.writing(urgent=True) as db:
            await seal(db)
        raise


async def call_within(db: AsyncSession, session_id: str, ask: Ask) -> Row | Refusal:
    """The same within the caller's transaction: it counts when that is committed."""
    await require_unsealed(db)
    for _ in range(MOST_TRIES):
        seen = await _read(db, session_id)
        if ask.epoch > (await last_epoch(db) if seen is None else seen.epoch):
            # No agent has an epoch that was not committed here first: what is here has been put back.
            raise OlderThanSites
        if seen is None:
            return Refusal.SUPERSEDED
        decided = decide(seen, ask)
        if isinstance(decided, Refusal):
            return decided
        if ask.call is Call.REQUEST_VOUCHED_SOLO and not await _is_vouched(db, session_id):
            return Refusal.STATE
        if await _swap(db, seen, decided, ask):
            return decided
    raise ArbiterContended(session_id)


async def _read(db: AsyncSession, session_id: str) -> Row | None:
    columns = (
        Session.id,
        Session.epoch,
        Session.primary_site,
        Session.secondary_site,
        Session.state,
        Session.version,
    )
    found = (await db.execute(select(*columns).where(Session.id == session_id))).one_or_none()
    return None if found is None else Row(*found)


async def _is_vouched(db: AsyncSession, session_id: str) -> bool:
    """BLANK: whether the operator's word stands. It ends with a change of the row's version, so `_swap` notices."""
    return bool(await db.scalar(select(Session.trust_blank).where(Session.id == session_id)))


async def _swap(db: AsyncSession, seen: Row, new: Row, ask: Ask) -> bool:
    """Write `new` if the row is still as `seen`."""
    values: dict[str, Any] = {
        "epoch": new.epoch,
        "primary_site": new.primary,
        "secondary_site": new.secondary,
        "state": new.state,
        "version": new.version,
    }
    if new.state is RowState.IN_SYNC:
        values["behind_since"] = None
    elif seen.state is RowState.IN_SYNC:
        values["behind_since"] = db_now()
    statement = update(Session).where(
        Session.id == seen.session_id, Session.version == seen.version, Session.epoch == seen.epoch
    )
    result = await db.execute(statement.values(values).execution_options(synchronize_session=False))
    if not _one_row(result):
        return False
    if ask.call is Call.REPORT_IN_SYNC:
        await _forget_exceptions(db, seen.session_id)
    return True


async def _forget_exceptions(db: AsyncSession, session_id: str) -> None:
    """What an operator has allowed for once (rule 17, section 9) ends when both copies are equal again."""
    await db.execute(
        update(Session)
        .where(Session.id == session_id, Session.trust_blank | Session.allow_dirty)
        .values(trust_blank=False, allow_dirty=False, revision=Session.revision + 1)
        .execution_options(synchronize_session=False)
    )


def _one_row(result: Any) -> bool:
    return isinstance(result, CursorResult) and result.rowcount == 1
