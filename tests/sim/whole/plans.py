"""Plans of an operator who knows the trade: each call follows on what the one before has led to.

Random calls come at wrong moments, and most are refused: what lies behind an accepted one is seldom reached. A plan is
a walk over the places in which a group may be. Its calls wait for theirs, for a while: trouble may spoil it.
"""

from dataclasses import dataclass
from random import Random

# By place: what may be asked there, and the place to which that leads.
WAYS: dict[str, dict[str, str]] = {
    "in step": {
        "failover": "failed over",
        "forced": "failed over",
        "reverse": "in step",
        "stop": "stopped",
        "sync": "in step",
        "extend": "in step",
        "rename": "in step",
    },
    "failed over": {"reprotect": "in step", "stop": "failed over"},
    "stopped": {
        "sync": "in step",
        "stop": "stopped",
        "extend": "stopped",
        "rename": "stopped",
        "split": "split",
        "forced": "failed over",
    },
    # A pair is out of the group. The judges know of one site in production: nobody moves a part of the volumes.
    "split": {"join": "stopped", "extend": "split", "sync": "half in step"},
    "half in step": {"stop": "split", "extend": "half in step"},
}
# What an operator does where trouble has led to.
REMEDIES: dict[str, tuple[str, ...]] = {
    "in step": ("nothing",),
    "behind": ("nothing", "nothing", "sync", "stop", "forced"),
    "failed over": ("reprotect",),
    "stopped": ("sync",),
    "split": ("join",),
    "half in step": ("stop",),
    "half behind": ("nothing", "stop"),
    "error_failing_over": ("failover", "forced"),
    "error_reversing": ("reverse", "reverse", "failover", "forced"),
}
BEGIN = "in step"
CALLS = 24
KINDS = sorted({call for ways in WAYS.values() for call in ways} - {"split", "join"})
MOVES = ("failover", "forced", "reverse", "reverse")
BLUNDERS = 0.1  # the share of calls that ask for what is not there


@dataclass(frozen=True, slots=True)
class Call:
    """One of a plan's: what is asked, and the place in which the group must be for that."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.what} when {self.place}"


def draw_plan(rng: Random, pairs: int) -> list[Call]:
    """A walk. Each plan likes some calls more than others, so that it does those again and again."""
    liked = [*rng.sample(KINDS, 2), rng.choice(MOVES)]
    if pairs > 1 and rng.random() < 0.3:
        liked = ["stop", "split", "join"]
    plan: list[Call] = []
    place = BEGIN
    while len(plan) < CALLS:
        ways = [what for what in WAYS[place] if pairs > 1 or what != "split"]
        what = rng.choices(ways, [8.0 if way in liked else 1.0 for way in ways])[0]
        if rng.random() < BLUNDERS:
            plan.append(Call(place, "blunder"))
        plan.append(Call(place, what))
        place = WAYS[place][what]
    return plan
