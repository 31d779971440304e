"""What happens in a round, drawn from its seed alone: which faults, calls and moves of hosts, and when.

The same seed gives the same plan, whatever the machine does meanwhile. What the processes are doing when a fault
strikes is theirs, so a replay is the same story at other moments.
"""

import math
from dataclasses import dataclass, field
from random import Random

from tests.real.harness.proxy import Wire

SITES = ("az1", "az2")
LEAD_SECONDS = 0.2
SECONDS_MIN, SECONDS_MAX = 4.0, 10.0
TROUBLE_SECONDS_MIN, TROUBLE_SECONDS_MAX = 0.02, 4.0
LINK = "the link"

FAULTS = (
    "kill",
    "kill both",
    "kill all",
    "kill controller",
    "freeze",
    "freeze both",
    "freeze controller",
    "cut",
    "silent",
    "half silent",
    "flap",
    "isolate",
)
# What an operator asks for; most of them look first and then do what fits (see operator.py).
CALLS = ("failover", "failover", "failover", "reverse", "reverse", "stop", "reprotect", "sync")
WEIGHTS = (0, 0, 1, 1, 3)
FLAPS_MAX = 6
FORCED = 0.2
BLIND = 0.25


@dataclass(frozen=True, slots=True)
class Step:
    """Something is done `at` so many seconds into the round; `who` are processes, sites or hosts."""

    at: float
    what: str
    who: tuple[str, ...] = ()
    how: str = ""

    def __str__(self) -> str:
        return f"{self.at:7.3f}  {self.what} {' '.join(self.who)} {self.how}".rstrip()


@dataclass(frozen=True, slots=True)
class Mix:
    """What a seed is made of: swarm, so most kinds of trouble are absent from it and some are frequent."""

    controllers: int
    weights: dict[str, int]
    every_seconds: float  # between two faults
    call_every_seconds: float
    move_every_seconds: float

    @classmethod
    def of(cls, seed: int) -> "Mix":
        """That of a seed."""
        draw = Random(f"mix {seed}")
        weights = {kind: draw.choice(WEIGHTS) for kind in FAULTS}
        if not any(weights.values()):
            weights[draw.choice(FAULTS)] = 1
        return cls(
            controllers=draw.choice((1, 1, 2)),
            weights=weights,
            every_seconds=draw.choice((0.3, 0.7, 1.5)),
            call_every_seconds=draw.choice((0.7, 1.5, 3.0)),
            move_every_seconds=draw.choice((2.0, 4.0)),
        )

    @property
    def processes(self) -> list[str]:
        """The controllers' names, then the sites'."""
        return [controller_name(number) for number in range(self.controllers)] + [*SITES]


@dataclass(frozen=True, slots=True)
class Plan:
    """One round."""

    seconds: float
    forced: bool  # it ends with the loss of the production site and, if need be, a failover by force
    steps: list[Step]

    def __str__(self) -> str:
        head = f"{self.seconds:.1f} seconds, {'with' if self.forced else 'without'} a forced failover behind them"
        return "\n".join([head, *map(str, self.steps)])


def plan_of(seed: int, round_number: int) -> Plan:
    """The plan of one round of a seed."""
    drawing = _Drawing(Random(f"round {seed} {round_number}"), Mix.of(seed))
    return drawing.plan()


def controller_name(number: int) -> str:
    """`controller`, `controller2`, ..."""
    return "controller" if number == 0 else f"controller{number + 1}"


@dataclass
class _Drawing:
    draw: Random
    mix: Mix
    steps: list[Step] = field(default_factory=list)
    busy: dict[str, float] = field(default_factory=dict)  # until when something is in trouble already

    def plan(self) -> Plan:
        seconds = self.draw.uniform(SECONDS_MIN, SECONDS_MAX)
        kinds = [kind for kind, weight in self.mix.weights.items() for _ in range(weight)]
        for at in self._times(self.mix.every_seconds, seconds):
            self._fault(at, self.draw.choice(kinds))
        for at in self._times(self.mix.call_every_seconds, seconds):
            who = (controller_name(self.draw.randrange(self.mix.controllers)),)
            blind = self.draw.random() < BLIND
            self.steps.append(Step(at, "call blindly" if blind else "call", who, self.draw.choice(CALLS)))
        for at in self._times(self.mix.move_every_seconds, seconds):
            self.steps.append(Step(at, "move", (self.draw.choice(("host1", "host2")),)))
        steps = sorted((step for step in self.steps if step.at < seconds), key=lambda step: step.at)
        return Plan(seconds, self.draw.random() < FORCED, steps)

    def _times(self, mean_seconds: float, end: float) -> list[float]:
        times, at = [], LEAD_SECONDS
        while (at := at + self.draw.expovariate(1 / mean_seconds)) < end:
            times.append(at)
        return times

    def _fault(self, at: float, kind: str) -> None:
        verb, _, whom = kind.partition(" ")
        if verb in ("kill", "freeze"):
            self._processes(at, verb, self._whom(whom))
        elif kind == "isolate":
            site = self.draw.choice(SITES)
            if until := self._take(at, LINK, f"ways of {site}"):
                wire = self.draw.choice((Wire.CUT, Wire.SILENT))
                self.steps += [Step(at, "isolate", (site,), wire.value), Step(until, "join", (site,))]
        elif kind == "flap":
            for _ in range(self.draw.randint(2, FLAPS_MAX)):
                self._wire(at, Wire.CUT, self.draw.uniform(0.01, 0.3))
                at = self.busy[LINK] + self.draw.uniform(0.01, 0.5)
        else:
            half = self.draw.choice((Wire.TO_TARGET_SILENT, Wire.FROM_TARGET_SILENT))
            wires = {"cut": Wire.CUT, "silent": Wire.SILENT, "half silent": half}
            self._wire(at, wires[kind], self._trouble_seconds())

    def _whom(self, whom: str) -> tuple[str, ...]:
        if whom == "both":
            return SITES
        if whom == "all":
            return tuple(self.mix.processes)
        if whom == "controller":
            return (controller_name(self.draw.randrange(self.mix.controllers)),)
        return (self.draw.choice(SITES),)

    def _processes(self, at: float, verb: str, whom: tuple[str, ...]) -> None:
        if not (until := self._take(at, *whom)):
            return
        self.steps.append(Step(at, verb, whom))
        # Those that went together come back one after the other.
        for name in whom:
            back = until + self.draw.choice((0.0, self._trouble_seconds() / 4))
            self.busy[name] = back
            self.steps.append(Step(back, {"kill": "start", "freeze": "thaw"}[verb], (name,)))

    def _wire(self, at: float, wire: Wire, seconds: float) -> None:
        if self.busy.get(LINK, 0.0) > at:
            return
        self.busy[LINK] = at + seconds
        self.steps += [Step(at, "wire", (), wire.value), Step(at + seconds, "wire", (), Wire.WHOLE.value)]

    def _take(self, at: float, *things: str) -> float:
        """When the trouble ends that begins now; 0 where one of the things is in trouble already."""
        if any(self.busy.get(thing, 0.0) > at for thing in things):
            return 0.0
        until = at + self._trouble_seconds()
        self.busy.update(dict.fromkeys(things, until))
        return until

    def _trouble_seconds(self) -> float:
        """Short ones are as likely as long ones."""
        low, high = math.log(TROUBLE_SECONDS_MIN), math.log(TROUBLE_SECONDS_MAX)
        return math.exp(self.draw.uniform(low, high))
