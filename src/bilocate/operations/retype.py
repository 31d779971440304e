"""A volume gets another type. Types differ in whether several hosts may attach: nothing of a volume's data moves."""

from bilocate.domain.errors_operations import WrongStatus
from bilocate.domain.errors_resets import PairedNotRetyped, SameType
from bilocate.domain.volume_states import VolumeStatus
from bilocate.operations.context import Context
from bilocate.store.columns import db_now
from bilocate.store.models import Volume
from bilocate.store.transitions import lock, require_free

_S = VolumeStatus


async def retype(
    context: Context, volume_id: str, name: str, multiattach: bool, project_id: str | None
) -> None:
    """See `Operations.retype`."""
    async with context.database.writing() as db:
        volume = await lock(db, Volume, volume_id, project_id)
        if volume.volume_type == name:
            raise SameType(volume.id, name)
        if volume.pair_id is not None:
            raise PairedNotRetyped(volume.id, volume.pair_id)
        require_free(volume, "")
        # How many may attach is not changed under those that have.
        needed = [_S.AVAILABLE, _S.IN_USE] if volume.multiattach == multiattach else [_S.AVAILABLE]
        if volume.status not in needed:
            remedy = "wait for what is going on, or detach it first"
            raise WrongStatus("volume", volume.id, volume.status, needed, remedy)
        volume.volume_type, volume.multiattach = name, multiattach
        volume.updated_at = db_now()  # the database's clock
