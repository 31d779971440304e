"""Make a volume at a site: creating → available, or error when its site can't.

    make    the site's agent makes it           undo: the agent removes it

An unwind ends in `error`; nothing is left at the site if it can be reached, and `delete` removes the rest.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.operations.runner_errors import RecordedError
from bilocate.operations.verb import Json, Request, Run, Step, Verb
from bilocate.operations.verbs._new_volume import NewVolume, add_row, made, not_made, remove, require_place
from bilocate.store.journal_models import TargetKind


@dataclass(frozen=True, slots=True)
class Args(NewVolume):
    """`source`: the device or file of the site that it is made of as it is, which must have that size; None: a new
    disk of zeros."""

    source: str | None = None


class CreateVolume(Verb[Args]):
    """Make a volume."""

    name = "create_volume"
    target = TargetKind.VOLUME
    args_type = Args
    point_of_no_return = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """See the module."""
        return (Step("make", do=_make, commit=made, undo=remove),)

    async def check(self, request: Request[Args]) -> None:
        """The site exists and answers; the volume has an owner."""
        await require_place(request)

    async def enter(self, request: Request[Args], db: AsyncSession, operation_id: str) -> None:
        """The row, if the project has room for it."""
        await add_row(request, db, operation_id, source=request.args.source)

    async def undone(self, run: Run[Args], db: AsyncSession, error: RecordedError) -> None:
        """It stays as a row in error, for its owner to see and delete."""
        await not_made(run, db, error)


async def _make(run: Run[Args]) -> Json | None:
    await run.context.reconciler.push_volume(run.target_id)
    return None
