"""One verb in one situation, and what may be done to its steps: failed, killed; shared by the tests of all verbs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from unittest.mock import patch

from tests.operations.place import Place
from tests.operations.trying import Attempt, Json, Snapshots

from bilocate.domain.errors_operations import OperationError
from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.injection import Injection, Moment
from bilocate.operations.verb import Run, Step, Verb
from bilocate.operations.verbs import all_verbs
from bilocate.store.journal_models import Operation

NOON = datetime(2026, 1, 31, 12)  # is over
Ends = dict[tuple[str, bool], Json]


class Invented(OperationError):
    """A failure that no verb expects."""


class Killed(BaseException):
    """The controller's process is gone."""


class Trial:
    """One verb in one accepted attempt, from a fresh copy of its situation each time."""

    def __init__(self, snapshots: Snapshots, ends: Ends, name: str, full: bool) -> None:
        self.snapshots, self.ends = snapshots, ends
        self.verb: Verb[Any] = all_verbs()[name]
        self.full = full

    @asynccontextmanager
    async def place(self) -> AsyncIterator[tuple[Place, Attempt]]:
        attempt = await self.snapshots.attempt(self.verb, self.full)
        async with self.snapshots.place(attempt.situation) as place:
            # A leftover would be settled before the verb that is to do that.
            place.operations.reconciler.on_leftover = lambda session_id: None
            yield place, attempt

    async def good_end(self) -> Json:
        key = (self.verb.name, self.full)
        if key not in self.ends:
            async with self.place() as (place, attempt):
                done = await place.do(self.verb.name, attempt.target_id, **attempt.args)
                assert done is OperationStatus.SUCCEEDED
                self.ends[key] = await place.told()
        return self.ends[key]


def changed_steps(verb: Verb[Any], **changed: Step) -> Any:
    """The verb with some steps replaced, for the time of a `with` block."""
    steps = tuple(changed.get(step.name, step) for step in verb.steps)
    return patch.object(type(verb), "steps", property(lambda self: steps))


def failing(step: Step, afterwards: bool) -> Step:
    """The step, failing before it has done anything, or when it has done everything but the commit."""

    async def fail(run: Run[Any]) -> Json | None:
        if afterwards and step.do is not None:
            await step.do(run)
        raise Invented("this failure was made by a test")

    async def fail_commit(run: Run[Any], db: Any) -> Json | None:
        if step.commit is not None:
            await step.commit(run, db)
        raise Invented("this failure was made by a test")

    if afterwards and step.do is None:
        return Step(step.name, None, fail_commit, step.undo, step.undo_commit)
    return Step(step.name, fail, step.commit, step.undo, step.undo_commit)


def is_undone_when_failing_at(verb: Verb[Any], step_name: str) -> bool:
    names = [step.name for step in verb.steps]
    if verb.point_of_no_return is None:
        return True
    return names.index(step_name) <= names.index(verb.point_of_no_return)


def without(told: Json, target_id: str) -> Json:
    """What is told, but for the target itself, whose status tells of the failure."""
    return {
        kind: {key: value for key, value in rows.items() if key != target_id}
        if isinstance(rows, dict)
        else rows
        for kind, rows in told.items()
    }


def kill_at(*where: object) -> Injection:
    """The process dies the first time that it gets there."""
    left = [where]

    def reached(verb: str, step: str, moment: Moment) -> None:
        if left and left[0] == (verb, step, moment):
            left.clear()
            raise Killed

    return Injection(reached)


async def end_lease(place: Place, operation_id: str) -> None:
    """Whoever carries it on was silent for too long."""
    async with place.database.writing() as db:
        operation = await db.get(Operation, operation_id)
        assert operation is not None
        operation.lease_until = NOON
