"""All verbs, collected by themselves: run through, every step twice, every step failed, killed at every step."""

import asyncio
from typing import Any

import pytest
from tests.operations.place import Place
from tests.operations.trial import (
    Killed,
    Trial,
    changed_steps,
    failing,
    is_undone_when_failing_at,
    kill_at,
    without,
)
from tests.operations.trying import STEPS, VARIANTS, VERBS, Attempt, Json

from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.injection import Injection, Moment
from bilocate.operations.runner import Runner
from bilocate.operations.verb import Commit, Do, Run, Step
from bilocate.operations.verbs import all_verbs

MOMENTS = list(Moment)


def nothing_is_held(told: Json) -> bool:
    held = [row[-1] for kind in ("volumes", "pairs", "groups") for row in told[kind].values()]
    return not any(held) and not any(row[-1] or row[-2] for row in told["sessions"].values())


@pytest.mark.parametrize(
    "trial", VARIANTS, indirect=True, ids=lambda v: f"{v[0]}-{'full' if v[1] else 'least'}"
)
def test_it_runs_through_and_leaves_nothing_held(trial: Trial) -> None:
    told = asyncio.run(trial.good_end())
    if trial.verb.name != "settle":
        assert nothing_is_held(told)


@pytest.mark.parametrize(
    "trial", VARIANTS, indirect=True, ids=lambda v: f"{v[0]}-{'full' if v[1] else 'least'}"
)
def test_every_step_run_twice_ends_the_same(trial: Trial) -> None:
    def twice(do: Do) -> Do:
        async def both(run: Run[Any]) -> Json | None:
            await do(run)
            return await do(run)

        return both

    async def run() -> None:
        expected = await trial.good_end()
        doubled = {
            step.name: Step(step.name, twice(step.do) if step.do else None, step.commit)
            for step in trial.verb.steps
        }
        async with trial.place() as (place, attempt):
            with changed_steps(trial.verb, **doubled):
                done = await place.do(trial.verb.name, attempt.target_id, **attempt.args)
            assert done is OperationStatus.SUCCEEDED
            assert await place.told() == expected

    asyncio.run(run())


def twice_undone(step: Step) -> Step:
    """The step, whose way back is gone twice."""

    def both(undo: Do) -> Do:
        async def run_both(run: Run[Any]) -> Json | None:
            await undo(run)
            return await undo(run)

        return run_both

    def both_commits(undo: Commit) -> Commit:
        async def run_both(run: Run[Any], db: Any) -> Json | None:
            await undo(run, db)
            return await undo(run, db)

        return run_both

    undo = both(step.undo) if step.undo else None
    undo_commit = both_commits(step.undo_commit) if step.undo_commit else None
    return Step(step.name, step.do, step.commit, undo, undo_commit)


@pytest.mark.parametrize("afterwards", [False, True], ids=["not-done", "done-not-told"])
@pytest.mark.parametrize(("trial", "step_name"), STEPS, indirect=["trial"])
def test_a_failed_step_leaves_a_clean_slate_or_an_end_that_says_so(
    trial: Trial, step_name: str, afterwards: bool
) -> None:
    async def run() -> None:
        verb = trial.verb
        async with trial.place() as (place, attempt):
            before = await place.told()
            changed = {step.name: twice_undone(step) for step in verb.steps}
            changed[step_name] = failing(changed[step_name], afterwards)
            with changed_steps(verb, **changed):
                operation_id = await place.begin(verb.name, attempt.target_id, attempt.args)
                assert await place.end_of(operation_id) is OperationStatus.FAILED
            operation = await place.operation(operation_id)
            assert operation.error == "this failure was made by a test"
            after = await place.told()
            if is_undone_when_failing_at(verb, step_name):
                assert without(after, attempt.target_id) == without(before, attempt.target_id)
            await repeat(place, attempt, after)

    async def repeat(place: Place, attempt: Attempt, after: Json) -> None:
        """What is not a making can be called again, and gets to the good end."""
        if trial.verb.name.startswith("create_"):
            return
        done = await place.do(trial.verb.name, attempt.target_id, **attempt.args)
        assert done is OperationStatus.SUCCEEDED
        assert await place.told() == await trial.good_end()

    asyncio.run(run())


async def killed_and_taken_over(place: Place, attempt: Attempt, verb: str, injection: Injection) -> Json:
    """Begin the verb at a controller that dies at the given moment; another life of it carries it on."""
    runner = place.operations.runner = Runner(place.operations.context, injection)
    operation_id = await place.begin(verb, attempt.target_id, attempt.args)
    task = runner._carrying[operation_id]
    with pytest.raises(Killed):
        await task
    successor = place.successor()
    successor.operations.reconciler.on_leftover = lambda session_id: None
    await successor.take_over()
    told = await successor.told()
    operation = await successor.operation(operation_id)
    assert operation.finished_at is not None
    await successor.close()
    return told


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.value)
@pytest.mark.parametrize(("trial", "step_name"), STEPS, indirect=["trial"])
def test_killed_at_a_step_another_runner_gets_to_the_same_end(
    trial: Trial, step_name: str, moment: Moment
) -> None:
    async def run() -> None:
        expected = await trial.good_end()
        async with trial.place() as (place, attempt):
            injection = kill_at(trial.verb.name, step_name, moment)
            assert await killed_and_taken_over(place, attempt, trial.verb.name, injection) == expected

    asyncio.run(run())


UNDOS = [
    (name, step.name, later.name)
    for name in VERBS
    for steps in [all_verbs()[name].steps]
    for i, step in enumerate(steps)
    if step.undo or step.undo_commit
    for later in steps[i:]
    if is_undone_when_failing_at(all_verbs()[name], later.name)
]


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.value)
@pytest.mark.parametrize(("trial", "undone", "failed"), UNDOS, indirect=["trial"])
def test_killed_on_the_way_back_another_runner_goes_back_all_the_same(
    trial: Trial, undone: str, failed: str, moment: Moment
) -> None:
    async def run() -> None:
        verb = trial.verb
        async with trial.place() as (place, attempt):
            before = await place.told()
            step = next(step for step in verb.steps if step.name == failed)
            with changed_steps(verb, **{failed: failing(step, afterwards=True)}):
                injection = kill_at(verb.name, f"undo-{undone}", moment)
                after = await killed_and_taken_over(place, attempt, verb.name, injection)
            assert without(after, attempt.target_id) == without(before, attempt.target_id)

    asyncio.run(run())
