"""How much of everything a search allows: what makes it end."""

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Bounds:
    """Counts of what may still happen on a path; behind them, the shape of the world."""

    writes: int = 2
    reads: int = 0  # by hosts that ask; what a host could read at once is looked at in every state anyhow
    crashes: int = 0  # processes killed
    power_cuts: int = 0  # machines: unflushed writes are lost, in every subset
    ledgers_lost: int = 0  # with their processes; the disks stay (BLANK)
    cuts: int = 0  # of the link
    failovers: int = 0
    forced: int = 0  # failovers with allow_data_loss
    switchovers: int = 0
    stops: int = 0  # an operator stops
    go_ons: int = 0  # and lets go on; behind a failover that is the reprotect
    unknown: int = 0  # calls to the arbiter whose caller hears nothing, carried out later or never
    repeats: int = 0  # a control call that arrives once more, later
    # The shape. Write n goes to places[n], a volume and a chunk; later ones come later.
    places: tuple[tuple[int, int], ...] = ((0, 0), (0, 0), (0, 1))
    chunks: int = 2  # of each volume
    intents_max: int = 8
    ordered: bool = False  # the next write is asked for when the one before is answered; all are FUA
    slow_disks: bool = False  # a disk's writes and reads end later, one by one
    slow_answers: bool = False  # the arbiter's answer travels: carried out and heard are two moments
    quick: bool = False  # commits, flushes and reads of chunks end within the event that began them
    instant: bool = False  # so do frames: what goes wrong comes between two events of the roles
    fresh: bool = False  # it begins before the first resync, not in step

    def less(self, name: str) -> "Bounds":
        """One of it is used up."""
        return replace(self, **{name: getattr(self, name) - 1})

    @property
    def volumes(self) -> int:
        """How many volumes the session has."""
        return 1 + max(volume for volume, _ in self.places)

    @property
    def counts(self) -> tuple[int, ...]:
        """What is left, in the order of the fields."""
        return tuple(getattr(self, name) for name in COUNTS)

    def text(self) -> str:
        """For people."""
        parts = [f"{getattr(self, name)} {name.replace('_', ' ')}" for name in COUNTS if getattr(self, name)]
        parts += [name.replace("_", " ") for name in _FLAGS if getattr(self, name)]
        return ", ".join([f"{self.volumes} volume{'s' * (self.volumes > 1)}", *parts])


_NOT_COUNTS = ("places", "chunks", "intents_max")
_FLAGS = tuple(each.name for each in fields(Bounds) if each.default is False)
COUNTS = tuple(each.name for each in fields(Bounds) if each.name not in (*_NOT_COUNTS, *_FLAGS))
