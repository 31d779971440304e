"""What a seed is made of: how much of each kind of trouble, which calls of the operator, which hosts.

Every kind has a weight of its own, drawn per seed; most kinds are absent from most seeds, so that each is seen
with much of itself and little of the rest. `Less` takes things away from a seed that broke a promise, to see whether
it still does.
"""

from dataclasses import dataclass
from random import Random

from tests.sim.plots import PLOTS

KIB = 1024
SMALL = 320 * KIB + 512  # one extent with a short last chunk
ONE_EXTENT = 4096 * KIB  # it can grow
TWO_EXTENTS = 4096 * KIB + 2 * 64 * KIB

FAULTS = (
    "kill",
    "kill both",
    "power",
    "power both",
    "pause",
    "clock",
    "cut",
    "half cut",
    "partition",
    "black hole",
    "isolate",
    "away",
    "controller",
    "disk",
    "full",
    "flush",
    "ledger",
    "rot",
)
OPERATIONS = ("failover", "forced", "reverse", "reverse", "stop", "sync", "sync", "sync", "extend")


# Beside the sites' own, in worlds with real controllers.
CONTROLLER_FAULTS = ("controller kill", "controller pause", "controller cut")
CALLS = (
    "failover",
    "forced",
    "reverse",
    "reverse",
    "stop",
    "sync",
    "sync",
    "reprotect",
    "reprotect",
    "extend",
)


WHOLE_EVERY = 20  # which seeds have real controllers
# Of five such seeds, one after the other, three have a plan. The others are what they were before there were plans,
# those that found something (bugs.py) among them.
PLANNED_OF_FIVE = (1, 2, 3)


@dataclass(slots=True)
class HostMix:
    """One host: its volume, how many requests at once, how long it thinks (seconds)."""

    volume: int
    depth: int
    think_seconds: float


@dataclass(slots=True)
class Mix:
    """Everything that is decided before a world starts."""

    sizes: list[int]
    hosts: list[HostMix]
    faults: dict[str, float]  # weights
    verbs: list[str]
    operator_share: float  # of all trouble
    pause_seconds: float  # between two troubles, on average
    strikes: float  # the chance that a fault comes right behind a telling event
    repeats: float  # the chance that a controller takes a step once more
    in_step_first: bool
    intents_max: int
    unanswered_bytes_max: int
    while_seconds: float = 0.7  # a trouble that ends by itself lasts at most so long
    lazy_resume: bool = False  # primaries wait long for their link before they ask for a permit
    plot: str = ""  # a sequence of troubles that is looked for; see plots.py
    slow_steps: float | None = (
        None  # seconds between an operation's steps, at most; None: drawn with the delays
    )
    lossy_calls: float | None = None  # the share of calls that are late or lost; None: drawn with the delays
    controllers: int = 0  # real ones; 0: the small stand-in
    reconcile_seconds: float = 0.4  # between two looks of a real controller at what a site has
    dying: float = 0.0  # the chance that a controller ends at a moment of a step
    planned: bool = False  # an operator who knows the trade; see whole/plans.py
    patience_seconds: float = 5.0  # behind its point of no return, an operation is given up after that
    step_strikes: float = 0.0  # the chance that a fault comes right behind a moment of a step
    trouble_seconds: float = 2.5


@dataclass(frozen=True, slots=True)
class Less:
    """What is left of a seed's trouble. None: all."""

    without: frozenset[str] = frozenset()  # faults and operator calls
    troubles_most: int | None = None
    requests_most: int | None = None  # per host
    hosts_most: int | None = None

    def text(self) -> str:
        """As `Less.read` takes it."""
        words = [f"without={'+'.join(sorted(self.without)).replace(' ', '_')}"] if self.without else []
        for name in ("troubles_most", "requests_most", "hosts_most"):
            value = getattr(self, name)
            if value is not None:
                words.append(f"{name.removesuffix('_most')}={value}")
        return ",".join(words)

    @classmethod
    def read(cls, text: str) -> "Less":
        """:raises ValueError: it is not of the form `without=a+b,troubles=1,requests=2,hosts=3`."""
        values = dict(word.split("=", 1) for word in text.split(",") if word)
        without = frozenset(name.replace("_", " ") for name in values.pop("without", "").split("+") if name)
        numbers = {f"{name}_most": int(value) for name, value in values.items()}
        if unknown := numbers.keys() - {"troubles_most", "requests_most", "hosts_most"}:
            raise ValueError(f"unknown: {sorted(unknown)}")
        return cls(without, **numbers)


ALL = Less()


def draw(rng: Random) -> Mix:
    """The mix of one seed."""
    sizes = [rng.choice((SMALL, SMALL, TWO_EXTENTS, ONE_EXTENT)) for _ in range(rng.choice((1, 1, 2, 3)))]
    hosts = [
        HostMix(volume, rng.choice((1, 2, 4, 8)), rng.choice((0.005, 0.02, 0.06)))
        for volume in range(len(sizes))
        for _ in range(rng.choice((1, 1, 2)))
    ]
    chosen = rng.sample(FAULTS, rng.randint(1, 5))
    mix = Mix(
        sizes=sizes,
        hosts=hosts,
        faults={name: rng.choice((0.2, 1.0, 3.0)) for name in chosen},
        verbs=rng.sample(OPERATIONS, rng.randint(1, len(OPERATIONS))),
        operator_share=rng.choice((0.0, 0.2, 0.5)),
        pause_seconds=rng.choice((0.05, 0.15, 0.4)),
        strikes=rng.choice((0.0, 0.01, 0.04)),
        repeats=rng.choice((0.0, 0.2)),
        in_step_first=rng.random() < 0.8,
        intents_max=rng.choice((1, 2, 4)),
        unanswered_bytes_max=rng.choice((64, 1024)) * KIB,
        while_seconds=rng.choice((0.2, 0.7, 0.7, 2.0)),
    )
    if rng.random() < 0.5:
        _focus(mix, rng)
    else:
        _plot(mix, rng)
    return mix


def draw_whole(rng: Random) -> Mix:
    """The mix of a seed with real controllers. Volumes are of one extent, which counts as a GiB."""
    mix = draw(rng)
    mix.sizes = [ONE_EXTENT] * rng.choice((1, 2, 2))
    mix.hosts = [
        HostMix(volume, rng.choice((1, 2, 4)), rng.choice((0.02, 0.06))) for volume in range(len(mix.sizes))
    ]
    mix.controllers = rng.choice((1, 1, 2, 3))
    mix.dying = rng.choice((0.0, 0.0, 0.03, 0.1))
    mix.reconcile_seconds = rng.choice((0.4, 1.2, 1.2))
    for name in rng.sample(CONTROLLER_FAULTS, rng.randint(0, 2)):
        mix.faults[name] = rng.choice((0.5, 1.0, 3.0))
    mix.plot = "" if mix.plot.startswith("members:") else mix.plot
    if "regroup" in mix.verbs:
        mix.verbs = ["members", "members", "stop", "sync", "sync"] if len(mix.sizes) > 1 else ["stop", "sync"]
    elif mix.verbs != ["next"]:
        mix.verbs = rng.choice((["wise"], ["wise"], rng.sample(CALLS, rng.randint(1, len(CALLS)))))
    mix.operator_share = max(mix.operator_share, rng.choice((0.3, 0.5, 0.7)))
    mix.pause_seconds = rng.choice((0.1, 0.1, 0.2))
    return mix


def mix_of_whole(seed: int) -> Mix:
    """The mix of a seed with real controllers, with a plan or without."""
    mix = draw_whole(Random(f"{seed} mix"))
    if seed // WHOLE_EVERY % 5 in PLANNED_OF_FIVE:
        _plan(mix, Random(f"{seed} planned"))
    return mix


def _plan(mix: Mix, rng: Random) -> None:
    """An operator who knows the trade, and less trouble, so that calls are carried out: most of it at their steps."""
    mix.planned, mix.plot, mix.in_step_first = True, "", True
    mix.trouble_seconds, mix.reconcile_seconds = 5.0, rng.choice((1.2, 2.4))
    mix.controllers = rng.choice((1, 2))
    kinds = rng.sample((*FAULTS, *CONTROLLER_FAULTS), rng.randint(1, 3))
    mix.faults = {name: rng.choice((0.5, 1.0, 3.0)) for name in kinds}
    mix.while_seconds = rng.choice((0.2, 0.7, 2.0, 4.0))
    mix.strikes, mix.step_strikes = 0.0, rng.choice((0.0, 0.02, 0.05, 0.1))
    mix.pause_seconds = rng.choice((0.5, 1.5, 4.0))
    mix.dying = rng.choice((0.0, 0.0, 0.02))
    mix.patience_seconds = rng.choice((0.6, 2.0))
    mix.lossy_calls = rng.choice((0.0, 0.0, None))
    # A colleague calls as well, who does not look first.
    mix.operator_share, mix.verbs = rng.choice(((0.0, ["wise"]), (0.2, ["wise"]), (0.3, list(CALLS))))
    mix.hosts = [HostMix(host.volume, min(2, host.depth), 0.06) for host in mix.hosts]


def _plot(mix: Mix, rng: Random) -> None:
    """Half of all seeds look for a place between several troubles, with few others around it."""
    names = [name for name in PLOTS if len(mix.sizes) > 1 or not name.startswith("members:")]
    mix.plot = rng.choice(names)
    mix.strikes = 0.0
    mix.while_seconds = rng.choice((0.05, 0.2, 0.2, 0.7))
    # The operator lets go on what a failover has left.
    mix.operator_share, mix.pause_seconds = rng.choice((0.5, 0.8, 0.8)), rng.choice((0.15, 0.3))
    mix.faults = dict.fromkeys(rng.sample(FAULTS, 2), 1.0)
    mix.verbs = rng.choice((["sync"], ["sync", "sync", "next"]))
    mix.slow_steps = rng.choice((None, 0.1, 0.3))
    mix.lossy_calls = rng.choice((None, 0.0, 0.5))
    if mix.plot.startswith("members:"):
        mix.verbs, mix.operator_share = ["regroup", "sync", "sync"], 0.5


def _focus(mix: Mix, rng: Random) -> None:
    """Half of all others are about one thing, so that its narrow moments come often."""

    def only(*names: str) -> None:
        mix.faults = {name: rng.choice((0.5, 1.0, 2.0)) for name in names}

    subjects = ["roles", "link", "disks", "resume", "restart", "alone", None, None, None]
    if len(mix.sizes) > 1:
        subjects.append("members")
    match rng.choice(subjects):
        case "roles":
            mix.verbs, mix.operator_share, mix.pause_seconds = ["next"], 0.7, 0.05
            only(*rng.sample(["kill", "power", "cut", "partition", "controller", "pause"], 2))
        case "link":
            only("cut", rng.choice(("kill", "power", "black hole", "half cut")))
            mix.pause_seconds = 0.03
        case "resume":
            # Short cuts of a session in step, with calls of the arbiter on their way.
            only("cut", "half cut", *rng.sample(["controller", "kill", "pause"], 1))
            mix.pause_seconds, mix.lazy_resume, mix.operator_share = 0.1, True, rng.choice((0.0, 0.1))
        case "restart":
            only(*rng.sample(["kill", "power", "kill both", "power both"], 2), "controller", "disk")
            mix.pause_seconds, mix.operator_share = 0.25, 0.1
        case "disks":
            only("disk", "cut", rng.choice(("flush", "power", "kill", "full")))
            mix.pause_seconds = 0.05
        case "alone":
            # A primary that nobody but its hosts reaches, for longer than a failover takes.
            mix.verbs, mix.operator_share, mix.pause_seconds = ["failover", "next"], 0.6, 0.15
            only("isolate", *rng.sample(["black hole", "pause", "controller"], 1))
            mix.while_seconds = 2.0
        case "members":
            # Nothing that lets go of answered writes: all volumes are of one history.
            mix.verbs = ["regroup", "regroup", "sync", "sync", "sync", "extend"]
            only(*rng.sample(["kill", "kill both", "cut", "partition", "black hole", "controller"], 2))
