"""The journal of operations: begun in the caller's transaction, carried on under a lease, never lost.

Every change made for an operation begins with `guard` in the same transaction: whoever has lost the operation
changes nothing. That is decided by its row, not by time: each claim raises `fence`, and only who holds the present
one gets past the guard. Leases say no more than when it is worth claiming; they are set and judged by the
database's clock alone.
"""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.operation_states import OPERATION, UNFINISHED, OperationEvent, OperationStatus
from bilocate.logs import present_request_id
from bilocate.operations.runner_errors import LeaseLost
from bilocate.operations.settings import Settings
from bilocate.store.columns import db_now, seconds_since
from bilocate.store.database import Database
from bilocate.store.journal_models import Operation, OperationStep, TargetKind
from bilocate.store.models import Group, Pair, Volume
from bilocate.store.sealing import IS_SEALED

Json = dict[str, Any]


class Journal:
    """This controller's hand in the journal. `owner` names the controller and this life of it."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._name = settings.controller_name
        self._lease_seconds = settings.timing.lease_seconds
        self.owner = f"{settings.controller_name}/{uuid.uuid4().hex[:12]}"

    def begin(
        self,
        db: AsyncSession,
        verb: str,
        kind: TargetKind,
        target_id: str,
        args: Json,
        facts: Json,
        project_id: str | None,
        requested_by: str,
    ) -> Operation:
        """A new operation, in the caller's transaction and leased to this controller from the start."""
        operation = Operation(
            id=str(uuid.uuid4()),
            verb=verb,
            target_kind=kind,
            target_id=target_id,
            args=args,
            facts=facts,
            status=OperationStatus.RUNNING,
            attempts=0,
            rounds=0,
            project_id=project_id,
            requested_by=requested_by,
            request_id=present_request_id(),
            lease_owner=self.owner,
            lease_until=db_now(self._lease_seconds),
            fence=1,
        )
        db.add(operation)
        return operation

    async def guard(self, db: AsyncSession, operation: Operation) -> None:
        """Renew the lease, and lock the operation until the transaction ends.

        :raises LeaseLost: it is another's now, or has ended.
        """
        statement = (
            update(Operation)
            .where(
                Operation.id == operation.id,
                Operation.lease_owner == self.owner,
                Operation.fence == operation.fence,
                Operation.status == operation.status,
                ~IS_SEALED,
            )
            .values(lease_until=db_now(self._lease_seconds))
            .execution_options(synchronize_session=False)
        )
        if getattr(await db.execute(statement), "rowcount", 0) != 1:
            raise LeaseLost(operation.id)

    async def record(self, db: AsyncSession, operation: Operation, step: str, result: Json) -> None:
        """A step is complete."""
        await db.merge(OperationStep(operation_id=operation.id, name=step, result=result, undone_at=None))
        await self._set(db, operation, step=step)

    async def record_undone(self, db: AsyncSession, operation: Operation, step: str) -> None:
        """A step was taken back."""
        await db.execute(
            update(OperationStep)
            .where(OperationStep.operation_id == operation.id, OperationStep.name == step)
            .values(undone_at=db_now())
        )

    async def done_steps(self, operation_id: str) -> dict[str, Json]:
        """The completed steps that were not taken back, with their results."""
        query = select(OperationStep.name, OperationStep.result).where(
            OperationStep.operation_id == operation_id, OperationStep.undone_at.is_(None)
        )
        async with self._database.reading() as db:
            return {row.name: row.result for row in await db.execute(query)}

    async def move(
        self,
        db: AsyncSession,
        operation: Operation,
        event: OperationEvent,
        error: BaseException | None = None,
    ) -> None:
        """The operation's own status, by its table. The guard has been called in this transaction."""
        status = OPERATION.step(operation.status, event, operation.id)
        values: Json = {"status": status}
        if error is not None:
            values |= {"error": str(error), "error_kind": type(error).__name__}
        if event is OperationEvent.START_AGAIN:
            values |= {"rounds": operation.rounds + 1}
            await db.execute(delete(OperationStep).where(OperationStep.operation_id == operation.id))
        if status not in UNFINISHED:
            values |= {"finished_at": db_now(), "lease_owner": None, "lease_until": None}
            await self._release_targets(db, operation.id)
        await self._set(db, operation, **values)

    async def count_attempt(self, operation: Operation) -> None:
        """A try of a step failed, and will be repeated."""
        async with self._database.writing() as db:
            await self.guard(db, operation)
            await self._set(db, operation, attempts=operation.attempts + 1)
        operation.attempts += 1

    async def hold(self, operation: Operation) -> None:
        """Renew the lease, in a transaction of its own.

        :raises LeaseLost: it is another's now, or has ended.
        """
        async with self._database.writing() as db:
            await self.guard(db, operation)

    async def read_again(self, operation: Operation) -> None:
        """After a transaction whose outcome is unknown: how far the operation really is.

        :raises LeaseLost: it is another's now.
        """
        found = await self.find(operation.id)
        if found is None or (found.fence, found.lease_owner or self.owner) != (operation.fence, self.owner):
            raise LeaseLost(operation.id)
        for name in ("status", "rounds", "attempts", "error", "error_kind"):
            setattr(operation, name, getattr(found, name))

    async def claim(self, earlier_lives: bool = True) -> list[Operation]:
        """Take over the operations that nobody carries on: their lease has ended, or (`earlier_lives`) is an earlier
        life's of this very controller. What another controller has under its hands this moment is passed over."""
        abandoned = or_(Operation.lease_owner.is_(None), Operation.lease_until < db_now())
        if earlier_lives:
            mine = Operation.lease_owner.like(f"{_escaped(self._name)}/%", escape="\\")
            abandoned = or_(abandoned, mine & (Operation.lease_owner != self.owner))
        wanted = select(Operation.id).where(Operation.status.in_(UNFINISHED), abandoned, ~IS_SEALED)
        async with self._database.reading() as db:
            if (await db.scalars(wanted.limit(1))).first() is None:
                return []
        async with self._database.writing() as db:
            # Locked first: a row that changed while it was waited for must be judged as it is then.
            ids = list(await db.scalars(wanted.with_for_update(skip_locked=True)))
            found = await db.scalars(
                update(Operation)
                .where(Operation.id.in_(ids))
                .values(
                    lease_owner=self.owner,
                    lease_until=db_now(self._lease_seconds),
                    fence=Operation.fence + 1,
                )
                .returning(Operation)
                .execution_options(synchronize_session=False, populate_existing=True)
            )
            return list(found.all())

    async def heartbeat(self, operation_ids: Iterable[str]) -> None:
        """Renew the leases of operations under way."""
        ids = list(operation_ids)
        if not ids:
            return
        async with self._database.writing() as db:
            await db.execute(
                update(Operation)
                .where(Operation.id.in_(ids), Operation.lease_owner == self.owner)
                .values(lease_until=db_now(self._lease_seconds))
                .execution_options(synchronize_session=False)
            )

    async def hand_on(self) -> None:
        """Leave all operations of this life to others at once (an orderly stop)."""
        async with self._database.writing() as db:
            await db.execute(
                update(Operation)
                .where(Operation.status.in_(UNFINISHED), Operation.lease_owner == self.owner)
                .values(lease_owner=None, lease_until=None)
                .execution_options(synchronize_session=False)
            )

    async def find(self, operation_id: str) -> Operation | None:
        """An operation as it is now."""
        async with self._database.reading() as db:
            return await db.get(Operation, operation_id)

    async def under_way(self) -> tuple[int, float]:
        """How many operations have not ended, at all controllers, and since how many seconds the oldest has been."""
        query = select(func.count(), seconds_since(func.min(Operation.created_at)))
        async with self._database.reading() as db:
            count, oldest = (await db.execute(query.where(Operation.status.in_(UNFINISHED)))).one()
        return count, float(oldest or 0.0)

    async def of_target(self, kind: TargetKind, target_id: str) -> Sequence[Operation]:
        """All operations on a target, the latest first."""
        query = select(Operation).where(Operation.target_kind == kind, Operation.target_id == target_id)
        async with self._database.reading() as db:
            return (await db.scalars(query.order_by(Operation.created_at.desc()))).all()

    async def _set(self, db: AsyncSession, operation: Operation, **values: Any) -> None:
        await db.execute(
            update(Operation)
            .where(Operation.id == operation.id)
            .values(**values)
            .execution_options(synchronize_session=False)
        )

    async def _release_targets(self, db: AsyncSession, operation_id: str) -> None:
        for model in (Volume, Pair, Group):
            await db.execute(
                update(model).where(model.operation_id == operation_id).values(operation_id=None)
            )


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
