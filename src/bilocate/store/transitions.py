"""The only place that changes a status: by its table, on a locked row, under the operation that holds it."""

from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import NotFound, TargetBusy
from bilocate.domain.failures import Failure
from bilocate.domain.group_states import GROUP, GroupEvent
from bilocate.domain.pair_states import PAIR, PairEvent
from bilocate.domain.volume_states import VOLUME, VolumeEvent
from bilocate.store.columns import db_now
from bilocate.store.models import Group, Pair, Volume

T = TypeVar("T", Volume, Pair, Group)

KINDS: dict[type[Volume] | type[Pair] | type[Group], str] = {Volume: "volume", Pair: "pair", Group: "group"}


async def lock(db: AsyncSession, model: type[T], target_id: str, project_id: str | None = None) -> T:
    """The row, as it is now, locked until the transaction ends.

    :raises NotFound: there is none, or it is another project's (`project_id` None: any project's).
    """
    row = await db.get(model, target_id, with_for_update=True, populate_existing=True)
    if row is None or (project_id is not None and row.project_id != project_id):
        raise NotFound(KINDS[model], target_id)
    return row


def take(row: Volume | Pair | Group, operation_id: str) -> None:
    """Let an operation hold the row.

    :raises TargetBusy: another one holds it.
    """
    require_free(row, operation_id)
    row.operation_id = operation_id


def require_free(row: Volume | Pair | Group, operation_id: str) -> None:
    """:raises TargetBusy: another operation holds it."""
    if row.operation_id is not None and row.operation_id != operation_id:
        raise TargetBusy(KINDS[type(row)], row.id, row.operation_id)


def let_go(row: Volume | Pair | Group, operation_id: str) -> None:
    """The operation holds the row no longer. Nothing happens when it does not hold it."""
    if row.operation_id == operation_id:
        row.operation_id = None


def move_volume(row: Volume, event: VolumeEvent) -> None:
    """:raises IllegalTransition: the table has no such move."""
    row.status = VOLUME.step(row.status, event, row.id)
    _changed(row)


def move_pair(row: Pair, event: PairEvent) -> None:
    """:raises IllegalTransition: the table has no such move."""
    row.status = PAIR.step(row.status, event, row.id)
    _changed(row)


def move_group(row: Group, event: GroupEvent) -> None:
    """:raises IllegalTransition: the table has no such move."""
    row.status = GROUP.step(row.status, event, row.id)
    _changed(row)


def blame(row: Volume | Pair | Group, failure: Failure, message: str) -> None:
    """Say why the row is in an error status."""
    row.failure, row.failure_message = failure, message


def _changed(row: Volume | Pair | Group) -> None:
    # A new status starts without the old one's reason.
    row.failure, row.failure_message = None, None
    row.updated_at = db_now()  # the database's clock, read back at the flush
