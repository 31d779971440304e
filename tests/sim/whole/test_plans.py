"""A plan is one that could be carried out, and is, where no trouble comes in between."""

from random import Random

import pytest
from tests.sim.mix import WHOLE_EVERY, Less
from tests.sim.shrink import broken
from tests.sim.stories import mix_of
from tests.sim.whole.conftest import MakeWorld
from tests.sim.whole.operator import WholeOperator
from tests.sim.whole.planner import PATIENCE_SECONDS, Planner, place_of
from tests.sim.whole.plans import BEGIN, REMEDIES, WAYS, Call, draw_plan
from tests.sim.whole.world import WholeWorld

# Every call, most of them in every place where it can be made. A volume is extended twice at most.
TOUR = (
    *(
        "rename",
        "blunder",
        "sync",
        "extend",
        "reverse",
        "failover",
        "stop",
        "reprotect",
        "forced",
        "reprotect",
    ),
    *(
        "stop",
        "rename",
        "stop",
        "forced",
        "reprotect",
        "stop",
        "split",
        "extend",
        "sync",
        "stop",
        "join",
        "sync",
    ),
)
SUCCEEDED = "SELECT COUNT(*) FROM operations WHERE status = 'succeeded'"


@pytest.fixture
def world(make_world: MakeWorld) -> WholeWorld:
    return make_world(2, 1)


def _walk(calls: tuple[str, ...]) -> list[Call]:
    plan: list[Call] = []
    place = BEGIN
    for what in calls:
        plan.append(Call(place, what))
        place = WAYS[place].get(what, place)
    return plan


def _play(world: WholeWorld, plan: list[Call], seconds: float) -> WholeOperator:
    operator, asked = WholeOperator(world, Random(2)), 0

    def ask(what: str) -> None:
        nonlocal asked
        asked += 1
        planner.over = asked == len(plan)
        operator.act([what])

    planner = Planner(plan, Random(3), operator, ask)
    planner.start()
    assert world.run_until(lambda: planner.over and not operator.busy, seconds)
    operator.look()
    return operator


def test_a_plan_is_carried_out_call_by_call(world: WholeWorld) -> None:
    assert set(TOUR) >= {call for ways in WAYS.values() for call in ways}
    operator = _play(world, _walk(TOUR), 60.0)
    assert operator.asked == len(TOUR)
    assert world.file.read(SUCCEEDED) == [(len(TOUR) - 1,)]  # all but the blunder


def test_drawn_plans_go_from_place_to_place() -> None:
    for seed in range(50):
        place = BEGIN
        for call in draw_plan(Random(seed), 1 + seed % 2):
            assert call.place == place
            assert call.what in WAYS[place] or call.what == "blunder"
            place = WAYS[place].get(call.what, place)


def test_a_plan_that_trouble_has_spoiled_goes_on_from_where_the_group_is(world: WholeWorld) -> None:
    _play(world, _walk(("failover",)), 5.0)
    assert world.run_until(
        lambda: not world.file.read("SELECT 1 FROM operations WHERE finished_at IS NULL"), 5.0
    )
    began = world.scheduler.now
    operator = _play(world, [Call("stopped", "sync"), Call("in step", "stop")], 10.0)
    assert place_of(operator) != "failed over"  # it was reprotected, which is in neither call
    assert world.scheduler.now > began + PATIENCE_SECONDS


def test_there_is_a_way_out_of_every_place() -> None:
    assert set(WAYS) <= set(REMEDIES)


def test_three_of_five_seeds_have_a_plan_and_it_can_be_taken_away() -> None:
    seeds = range(WHOLE_EVERY, 6 * WHOLE_EVERY, WHOLE_EVERY)
    planned = [seed for seed in seeds if mix_of(seed).planned]
    assert len(planned) == 3
    assert broken(planned[0], Less(without=frozenset({"plan"}))) is None
