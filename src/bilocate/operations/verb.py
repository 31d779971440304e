"""What a verb is: preconditions, ordered steps beside their undo, and a point of no return.

A step has two halves. `do` talks to agents, outside any transaction; it may be carried out any number of
times. `commit` changes the database in the very transaction that records the step, so it counts exactly once.
`undo` and `undo_commit` are the same for the way back; they must also be right when the step was begun but
not completed, or never begun.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import Invalid
from bilocate.operations.context import Context
from bilocate.operations.runner_errors import RecordedError
from bilocate.store.journal_models import Operation, TargetKind
from bilocate.store.sealing import require_unsealed

Json = dict[str, Any]
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class NoArgs:
    """A verb that takes none."""


@dataclass(slots=True)
class Request(Generic[A]):
    """A call before it is journalled. `facts` found out by `check` are kept with the operation."""

    context: Context
    target_id: str
    args: A
    project_id: str | None
    requested_by: str
    facts: Json = field(default_factory=dict)


@dataclass(slots=True)
class Run(Generic[A]):
    """An operation under way: what its steps work with. `results` are those of the steps done before."""

    context: Context
    operation: Operation
    args: A
    results: dict[str, Json]

    @property
    def target_id(self) -> str:
        """The id of what the operation is about."""
        return self.operation.target_id

    @property
    def facts(self) -> Json:
        """What was found out at the call."""
        return self.operation.facts


Do = Callable[[Run[Any]], Awaitable[Json | None]]
Commit = Callable[[Run[Any], AsyncSession], Awaitable[Json | None]]
Entering = Callable[[AsyncSession], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `patience_seconds`: how long a site that does not answer is asked again; None: the setting for
    steps before, or behind, the point of no return."""

    name: str
    do: Do | None = None
    commit: Commit | None = None
    undo: Do | None = None
    undo_commit: Commit | None = None
    patience_seconds: float | None = None


class Verb(ABC, Generic[A]):
    """One verb; a module in `verbs/` has one class. All class attributes are for people and tests to read."""

    name: ClassVar[str]
    target: ClassVar[TargetKind]
    args_type: ClassVar[type]
    # The step whose completion commits to going forward; None: anything can be taken back.
    point_of_no_return: ClassVar[str | None]
    # Errors after whose undo the verb begins anew, and how often.
    lost_race: ClassVar[tuple[type[BaseException], ...]] = ()
    rounds_most: ClassVar[int] = 0

    @property
    @abstractmethod
    def steps(self) -> tuple[Step, ...]:
        """In order. The last one's `commit` moves the target to its final status."""

    @abstractmethod
    async def check(self, request: Request[A]) -> None:
        """What can be seen at the call is refused at the call, outside any transaction; may ask agents.

        :raises Invalid, NotFound, Conflict, OutOfReach: nothing was changed.
        """

    @abstractmethod
    async def enter(self, request: Request[A], db: AsyncSession, operation_id: str) -> None:
        """Lock the target, refuse what has changed since `check`, take it and move its status."""

    async def undone(self, run: Run[A], db: AsyncSession, error: RecordedError) -> None:
        """Everything was taken back: the target's status after that."""

    async def failed(self, run: Run[A], db: AsyncSession, error: RecordedError) -> None:
        """It can't go on behind the point of no return: the target's `error_*` status and why."""

    def read_args(self, given: Mapping[str, Any]) -> A:
        """The arguments, typed.

        :raises Invalid: an unknown one, or a needed one is missing.
        """
        known = {each.name: each for each in fields(self.args_type)}
        unknown = sorted(set(given) - set(known))
        needed = {name for name, each in known.items() if each.default is MISSING}
        needed -= {name for name, each in known.items() if each.default_factory is not MISSING}
        missing = sorted(needed - set(given))
        if unknown or missing:
            raise Invalid(f"{self.name}: unknown arguments {unknown}, missing {missing}")
        made: A = self.args_type(**given)
        return made

    async def begin(
        self,
        context: Context,
        target_id: str,
        given: Mapping[str, Any],
        project_id: str | None,
        requested_by: str,
        entering: Entering | None = None,
    ) -> Operation:
        """Check, then status change and journal entry in one transaction, which `entering` may refuse."""
        request = Request(context, target_id, self.read_args(given), project_id, requested_by)
        await self.check(request)
        args: Json = asdict(request.args)  # type: ignore[call-overload]  # a dataclass, see `args_type`
        async with context.database.writing() as db:
            await require_unsealed(db)
            if entering is not None:
                await entering(db)
            operation = context.journal.begin(
                db, self.name, self.target, target_id, args, request.facts, project_id, requested_by
            )
            await self.enter(request, db, operation.id)
        return operation

    def is_past_return(self, done: Mapping[str, Json]) -> bool:
        """Whether the point of no return is behind."""
        return self.point_of_no_return is not None and self.point_of_no_return in done
