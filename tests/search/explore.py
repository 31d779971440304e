"""Breadth first over every state within the bounds: each enabled event taken from each state, once."""

import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.search.bounds import Bounds
from tests.search.canonical import Part, digest_of, part_between, part_of_site
from tests.search.events import BOUNDED, events_of
from tests.search.snapshot import Saved, load, load_all, save
from tests.search.world import Event, World
from tests.sim.checkers.violation import Violation


@dataclass(slots=True)
class Found:
    """What a search has seen."""

    states: int = 0
    transitions: int = 0
    depth: int = 0
    settled: int = 0
    seconds: float = 0.0
    whole: bool = True  # all states within the bounds were seen
    violation: str | None = None
    trace: list[Event] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)


def beginning(bounds: Bounds) -> World:
    """The world from which a search begins: in step and at rest, unless its bounds say fresh."""
    world = World(bounds)
    if bounds.fresh:
        return world
    seen = set()
    while not (world.settled and world.at_rest):
        saved = save(world)
        for event in events_of(world):
            if event[0] not in BOUNDED:
                world.apply(event)
                key = digest(world)
                if key not in seen:
                    break
                load_all(world, saved)
        else:
            raise AssertionError("it does not come in step")
        seen.add(key)
    return world


def digest(world: World) -> bytes:
    """The state, whole."""
    return digest_of([part_between(world), *(part_of_site(site) for site in world.sites.values())])


class Search:
    """One search. After `seconds` of a core it ends early; then `Found.whole` is false.

    `doubt`: wherever two ways led to what is called one state, see whether the next events lead both to the same.
    """

    def __init__(self, bounds: Bounds, seconds: float = 1e9, doubt: bool = False) -> None:
        self._bounds = bounds
        self._seconds = seconds
        self._found = Found()
        self._world: World
        self._numbers: dict[bytes, int] = {}
        self._from = array("q")  # by state: the one that it was first reached from
        self._by: list[Event] = []  # and the event
        self._depth = array("l")
        self._back: list[array[int]] = []  # by state: those from which it is reached without a fault
        self._settled: list[int] = []
        self._doubt = doubt
        self._next: list[set[int]] = []  # by state: those that follow, where there is doubt
        self._doubted: list[tuple[int, Saved]] = []  # another way to this state
        self._frontier: deque[tuple[int, Saved, dict[str, Part]]] = deque()

    def run(self) -> Found:
        """Look at everything, or until a promise is broken."""
        began = time.process_time()
        found = self._found
        try:
            self._world = beginning(self._bounds)
            self._add(digest(self._world), -1, ())
            parts = {name: part_of_site(site) for name, site in self._world.sites.items()}
            self._frontier.append((0, save(self._world), parts))
            while self._frontier and time.process_time() < began + self._seconds:
                self._expand(*self._frontier.popleft())
            found.whole = not self._frontier
            if found.whole:
                self._require_ways_out()
            for number, saved in self._doubted:
                self._require_same(number, saved)
        except Violation as violation:
            found.violation = str(violation)
        found.seconds = time.process_time() - began
        return found

    def _add(self, key: bytes, origin: int, event: Event) -> int:
        """A state that was not seen before: its number."""
        found = self._found
        number = self._numbers[key] = found.states
        found.states += 1
        self._from.append(origin)
        self._by.append(event)
        self._back.append(array("l"))
        self._next.append(set())
        self._depth.append(self._depth[origin] + 1 if origin >= 0 else 0)
        found.depth = max(found.depth, self._depth[-1])
        if self._world.settled:
            self._settled.append(number)
        return number

    def _expand(self, number: int, saved: Saved, parts: dict[str, Part]) -> None:
        """Every event of one state; `parts` are its sites as they were walked."""
        world = self._world
        load_all(world, saved)
        for event in events_of(world):
            self._take(event, number)
            if not world.refused:
                self._arrive(number, event, saved, parts)
            load(world, saved)

    def _arrive(self, number: int, event: Event, saved: Saved, parts: dict[str, Part]) -> None:
        """The state that an event has led to: perhaps a new one."""
        world = self._world
        sites = {
            name: part_of_site(site) if name in world.touched else parts[name]
            for name, site in world.sites.items()
        }
        key = digest_of([part_between(world), *sites.values()])
        reached = self._numbers.get(key)
        if reached is None:
            reached = self._add(key, number, event)
            self._frontier.append((reached, save(world, saved), sites))
        elif self._doubt:
            self._doubted.append((reached, save(world, saved)))
        if self._doubt:
            self._next[number].add(reached)
        if event[0] not in BOUNDED and reached != number:
            self._back[reached].append(number)

    def _require_same(self, number: int, saved: Saved) -> None:
        """A second way to a state: what follows must be what followed the first time."""
        known = self._next[number]
        world = self._world
        load_all(world, saved)
        seen = set()
        for event in events_of(world):
            world.apply(event)
            if not world.refused:
                sites = [part_of_site(site) for site in world.sites.values()]
                seen.add(self._numbers.get(digest_of([part_between(world), *sites]), -1))
            load(world, saved)
        if seen != known:
            raise AssertionError(f"state {number} is not one state: {known ^ seen} follow only once")

    def _take(self, event: Event, number: int) -> None:
        self._found.transitions += 1
        self._found.events[event[0]] += 1
        try:
            self._world.apply(event)
        except Exception as error:
            self._found.trace = [*self._path(number), event]
            if isinstance(error, Violation):
                raise
            raise Violation("P0", f"the core fails: {type(error).__name__}: {error}") from error

    def _path(self, number: int) -> list[Event]:
        out = []
        while self._from[number] >= 0:
            out.append(self._by[number])
            number = self._from[number]
        return out[::-1]

    def _require_ways_out(self) -> None:
        """P6: from every state a settled one is reached, without another fault."""
        reached = bytearray(self._found.states)
        waiting = list(self._settled)
        for number in waiting:
            reached[number] = 1
        while waiting:
            for before in self._back[waiting.pop()]:
                if not reached[before]:
                    reached[before] = 1
                    waiting.append(before)
        self._found.settled = len(self._settled)
        stuck = reached.find(0)
        if stuck >= 0:
            self._found.trace = self._path(stuck)
            raise Violation(
                "P6", f"{reached.count(0)} states from which the session never comes in step again"
            )


def told(bounds: Bounds, trace: Sequence[Event], long: bool) -> Iterator[str]:
    """The events of a way, one a line; `long`: with the state that each leads to."""
    world = beginning(bounds)
    for number, event in enumerate(trace, 1):
        yield f"{number:3} {' '.join(map(str, event))}"
        if long:
            try:
                world.apply(event)
            except Exception as error:
                yield f"      {type(error).__name__}: {error}"
            yield f"      {world.text()}"
