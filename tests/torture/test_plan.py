"""A seed says what is done, and the plans reach everything there is to do."""

from collections import Counter

from tests.torture.plan import CALLS, FAULTS, LINK, SECONDS_MAX, Mix, plan_of

SEEDS = range(200)


def test_a_seed_always_gives_the_same_plan() -> None:
    assert [str(plan_of(7, number)) for number in (1, 2)] == [str(plan_of(7, number)) for number in (1, 2)]
    assert str(plan_of(7, 1)) != str(plan_of(7, 2)) != str(plan_of(8, 2))


def test_every_kind_of_trouble_is_reached_and_most_seeds_lack_most_kinds() -> None:
    mixes = [Mix.of(seed) for seed in SEEDS]
    seen = Counter(kind for mix in mixes for kind, weight in mix.weights.items() if weight)
    assert set(seen) == set(FAULTS)
    assert max(seen.values()) < len(SEEDS) * 0.75
    steps = [step for seed in SEEDS for step in plan_of(seed, 1).steps]
    whats = {step.what for step in steps}
    assert whats >= {
        "kill",
        "start",
        "freeze",
        "thaw",
        "wire",
        "isolate",
        "join",
        "call",
        "call blindly",
        "move",
    }
    assert {step.how for step in steps if step.what.startswith("call")} == {*CALLS}
    assert {mix.controllers for mix in mixes} == {1, 2}


def test_nothing_is_troubled_twice_at_once() -> None:
    """A process that is dead is not killed, and a link that is cut is not cut: each must end before."""
    ends = {"start": "kill", "thaw": "freeze", "join": "isolate"}
    for seed in SEEDS:
        troubled: set[str] = set()
        for step in plan_of(seed, 1).steps:
            assert step.at < SECONDS_MAX
            things = {*step.who} if step.what in ("kill", "freeze", "start", "thaw") else {LINK}
            if step.what in ("kill", "freeze", "isolate") or (step.what == "wire" and step.how != "whole"):
                assert not things & troubled, f"seed {seed}: {step}"
                troubled |= things
            elif step.what in ends or step.what == "wire":
                assert things <= troubled, f"seed {seed}: {step}"
                troubled -= things
