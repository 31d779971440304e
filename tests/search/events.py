"""Which events may come next in a state: all of them, in an order that is always the same."""

from collections.abc import Iterator
from itertools import product

from tests.search.site import Site
from tests.search.world import Event, World

from bilocate.replication.primary import PrimaryHalf
from bilocate.replication.requests import Op
from bilocate.replication.secondary import SecondaryHalf

# Those that use up a bound; all others happen by themselves, sooner or later.
BOUNDED = frozenset(
    (
        "write",
        "read",
        "kill",
        "power",
        "lose",
        "cut",
        "failover",
        "forced",
        "switchover",
        "stop",
        "go on",
        "unknown",
        "again",
    )
)


def events_of(world: World) -> list[Event]:
    """All of them."""
    out: list[Event] = []
    for site in world.sites.values():
        if site.up:
            out += [
                *_of_process(site),
                *_of_link(world, site),
                *_of_hosts(world, site),
                *_deaths(world, site),
            ]
        else:
            out.append(("start", site.name))
    return [*out, *_of_arbiter(world), *_of_controller(world)]


def _of_process(site: Site) -> Iterator[Event]:
    name, ports = site.name, site.ports
    if site.commits:
        yield "commit", name
    if ports.flushes:
        yield "flush", name
    for index in range(len(ports.reads)):
        yield "chunks", name, index
    for index in range(len(ports.at_disk)):
        yield "disk", name, index
    if site.waits():
        yield "time", name


def _of_link(world: World, site: Site) -> Iterator[Event]:
    end = site.ports.link
    if end is None:
        if site.ports.dialing:
            yield "dial", site.name
        return
    if end.inbox:
        yield "frame", site.name
    if end.broken:
        yield "lost", site.name
    elif world.bounds.cuts:
        yield "cut", site.name


def _of_hosts(world: World, site: Site) -> Iterator[Event]:
    if not site.ports.serving:
        return
    if world.host.may_write():
        yield "write", site.name
    if world.bounds.reads:
        for place in sorted(set(world.bounds.places)):
            yield "read", site.name, place


def _deaths(world: World, site: Site) -> Iterator[Event]:
    """Whatever part of what is under way has happened all the same."""
    bounds = world.bounds
    if bounds.ledgers_lost:
        yield "lose", site.name
    if not (bounds.crashes or bounds.power_cuts):
        return
    writes = [request for request in site.ports.at_disk if request.op is not Op.READ]
    for commits in range(len(site.commits) + 1):
        for made in product((False, True), repeat=len(writes)):
            if bounds.crashes:
                yield "kill", site.name, commits, made
            if bounds.power_cuts and not any(made):
                for kept in product(*(disk.losses() for disk in site.disks)):
                    yield "power", site.name, commits, made, kept


def _of_arbiter(world: World) -> Iterator[Event]:
    for index, flight in enumerate(world.flights):
        if flight.carried_out:
            yield "answer", index
            continue
        yield "ask", index
        if world.bounds.unknown and flight.instance:
            yield "unknown", index


def _of_controller(world: World) -> Iterator[Event]:
    for site in world.sites.values():
        known = site.session.wanted.revision if site.up and site.session.wanted is not None else 0
        if site.up and (site.session.epoch, known) < (world.row.epoch, world.wish.revision):
            yield "put", site.name
    if world.bounds.repeats:
        for index, call in enumerate(world.old_calls):
            if world.sites[call[1]].up:
                yield "again", index
    if world.operation is not None:
        yield from _of_operation(world)
    elif world.release is not None:
        if world.sites[world.release.site].up:
            yield ("release",)
    else:
        yield from _of_operator(world)


def _of_operation(world: World) -> Iterator[Event]:
    operation = world.operation
    assert operation is not None
    site = world.sites[operation.site]
    if not operation.asked_of:
        yield ("precheck",) if site.up else ("unheard",)
    elif operation.found is not None:
        yield ("end",)
    elif not site.up or site.instance != operation.asked_of:
        yield ("unheard",)


def _of_operator(world: World) -> Iterator[Event]:
    bounds = world.bounds
    if bounds.failovers:
        yield ("failover",)
    if bounds.forced:
        yield ("forced",)
    if bounds.switchovers:
        yield ("switchover",)
    if world.wish.paused and bounds.go_ons:
        yield ("go on",)
    if not world.wish.paused and bounds.stops:
        yield ("stop",)
    primary = world.sites[world.row.primary]
    if not world.wish.trust_blank and primary.up and primary.has_no_past:
        yield ("trust",)  # an operator says that this copy is the truth, for its disk was not lost
    for site in world.sites.values():
        if _left_held(world, site):
            yield "settle", site.name


def _left_held(world: World, site: Site) -> bool:
    """Whether a late call, or an operation that is over, has left it waiting for an outcome."""
    half = site.session.half if site.up and site.session.epoch == world.row.epoch else None
    if isinstance(half, PrimaryHalf):
        return half.quiesced and not half._quiesce._undo  # that is told, and waits for the arbiter
    return isinstance(half, SecondaryHalf) and bool(half.holds_hello)
