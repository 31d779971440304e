"""Every verb, handed from controller to controller: each one dies, or hangs, at the next moment. Same end.

Nothing is written per verb: a new verb or step is in these relays by itself; one that no situation accepts fails them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.operations.place import SETTINGS, Place
from tests.operations.trial import (
    Killed,
    Trial,
    changed_steps,
    end_lease,
    failing,
    is_undone_when_failing_at,
    kill_at,
    without,
)
from tests.operations.trying import VARIANTS, VERBS, Attempt, Json

from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.injection import Moment
from bilocate.operations.runner import Runner
from bilocate.operations.verb import Run, Step, Verb
from bilocate.operations.verbs import all_verbs

CONTROLLERS = [replace(SETTINGS, controller_name=name) for name in ("one", "two", "three")]
Where = tuple[str, Moment]


def other_controller(place: Place, number: int) -> Place:
    """The next one in turn; the first one comes again as another life of itself."""
    other = place.successor(CONTROLLERS[number % len(CONTROLLERS)])
    other.operations.reconciler.on_leftover = place.operations.reconciler.on_leftover
    return other


async def takes_over(other: Place, operation_id: str) -> None:
    """It waits until the lease has ended, and claims what nobody carries on."""
    await end_lease(other, operation_id)
    for operation in await other.operations.journal.claim():
        other.operations.runner.take(operation)


async def dies_at(place: Place, verb: str, where: Where) -> None:
    place.operations.runner = Runner(place.operations.context, kill_at(verb, *where))


async def has_died(place: Place, operation_id: str) -> None:
    with pytest.raises(Killed):
        await place.operations.runner._carrying[operation_id]


async def relay(place: Place, verb: str, attempt: Attempt, moments: Sequence[Where]) -> tuple[str, Json]:
    """At each moment the controller that has the operation dies, and another takes it over; the last one ends it."""
    await dies_at(place, verb, moments[0])
    operation_id = await place.begin(verb, attempt.target_id, attempt.args)
    await has_died(place, operation_id)
    for number, where in enumerate(moments[1:], 1):
        other = other_controller(place, number)
        await dies_at(other, verb, where)
        await takes_over(other, operation_id)
        await has_died(other, operation_id)
        await other.close()
    last = other_controller(place, len(moments))
    await last.take_over()
    told = await last.told()
    await last.close()
    return operation_id, told


@pytest.mark.parametrize(
    "trial", VARIANTS, indirect=True, ids=lambda v: f"{v[0]}-{'full' if v[1] else 'least'}"
)
def test_each_of_many_controllers_dies_at_the_next_moment(trial: Trial) -> None:
    async def run() -> None:
        expected = await trial.good_end()
        moments = [(step.name, moment) for step in trial.verb.steps for moment in Moment]
        async with trial.place() as (place, attempt):
            operation_id, told = await relay(place, trial.verb.name, attempt, moments)
            assert (await place.operation(operation_id)).status is OperationStatus.SUCCEEDED
            assert told == expected

    asyncio.run(run())


def ways_back(verb: Verb[Any]) -> tuple[str, list[Where]]:
    """The last step whose failure is undone, and all moments of the way back from it."""
    steps = [step for step in verb.steps if is_undone_when_failing_at(verb, step.name)]
    back = [step for step in reversed(steps) if step.undo or step.undo_commit]
    return steps[-1].name, [(f"undo-{step.name}", moment) for step in back for moment in Moment]


@pytest.mark.parametrize("trial", [name for name in VERBS if ways_back(all_verbs()[name])[1]], indirect=True)
def test_each_of_many_controllers_dies_at_the_next_moment_of_the_way_back(trial: Trial) -> None:
    async def run() -> None:
        verb = trial.verb
        failed, moments = ways_back(verb)
        step = next(step for step in verb.steps if step.name == failed)
        async with trial.place() as (place, attempt):
            before = await place.told()
            with changed_steps(verb, **{failed: failing(step, afterwards=True)}):
                operation_id, told = await relay(place, verb.name, attempt, moments)
            assert (await place.operation(operation_id)).status is OperationStatus.FAILED
            assert without(told, attempt.target_id) == without(before, attempt.target_id)

    asyncio.run(run())


class Hangs:
    """Each controller hangs at the next of these moments: at a step's first word to sites, or behind its last."""

    def __init__(self, verb: Verb[Any]) -> None:
        self.moments = [(step.name, when) for step in verb.steps if step.do for when in ("first", "last")]
        self._left = list(self.moments)
        self._reached = asyncio.Event()
        self._awake = asyncio.Event()

    async def perhaps(self, *where: str) -> None:
        """Hang, if it is the turn of this moment."""
        if self._left and self._left[0] == where:
            del self._left[0]
            self._reached.set()
            await self._awake.wait()

    async def next(self) -> None:
        """Until the next controller hangs."""
        await asyncio.wait_for(self._reached.wait(), 20)
        self._reached.clear()

    def all_wake(self) -> None:
        """They go on with what they were about to do."""
        self._awake.set()

    def step(self, step: Step) -> Step:
        """The step, where controllers hang."""
        do = step.do
        if do is None:
            return step

        async def hangs(run: Run[Any]) -> Json | None:
            await self.perhaps(step.name, "first")
            result = await do(run)
            await self.perhaps(step.name, "last")
            return result

        return replace(step, do=hangs)


@pytest.mark.parametrize("trial", VERBS, indirect=True)
def test_controllers_that_hung_at_every_step_wake_when_another_is_done(trial: Trial) -> None:
    async def run() -> None:
        verb = trial.verb
        expected = await trial.good_end()
        async with trial.place() as (place, attempt):
            hangs = Hangs(verb)
            with changed_steps(verb, **{step.name: hangs.step(step) for step in verb.steps}):
                operation_id = await place.begin(verb.name, attempt.target_id, attempt.args)
                others = []
                for number, _ in enumerate(hangs.moments, 1):
                    await hangs.next()
                    others.append(other_controller(place, number))
                    await takes_over(others[-1], operation_id)
                last = others[-1] if others else place
                assert await last.end_of(operation_id) is OperationStatus.SUCCEEDED
                hangs.all_wake()
                for each in (place, *others):
                    await asyncio.gather(*each.operations.runner._carrying.values())
            assert await last.told() == expected
            for each in others:
                await each.close()

    asyncio.run(run())
