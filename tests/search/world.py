"""Two sites, a link, the arbiter's row, a host and an operator; and what every event does (`events` tells which)."""

from typing import Any

from tests.search.bounds import Bounds
from tests.search.host import Host
from tests.search.link import End, connect
from tests.search.operator import Operation, Wish
from tests.search.promises import Promises
from tests.search.site import LIMITS, SESSION, Site
from tests.search.tickets import Counter, Link, Name, Version

from bilocate.domain.arbiter import Ask, Call, Refusal, Row, RowState, decide
from bilocate.domain.errors import BilocateError
from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.limits import Limits
from bilocate.replication.records import Role
from bilocate.replication.requests import Op
from bilocate.replication.wanted import Member, Wanted

A, B = "A", "B"
Event = tuple[Any, ...]  # its name, and what it needs to know


class Flight:
    """An agent's call on its way to the arbiter, or its answer on the way back."""

    __slots__ = ("answer", "ask", "call_id", "carried_out", "instance", "site")

    def __init__(self, site: str, instance: str, call_id: int, ask: Ask) -> None:
        self.site = site
        self.instance = instance  # empty: nobody waits for its answer any more
        self.call_id = call_id
        self.ask = ask
        self.carried_out = False
        self.answer: Row | Refusal | None = None


class Asked:
    """Who waits for an agent's answer: the operation of that attempt, while it is the present one."""

    def __init__(self, world: "World", attempt: int) -> None:
        self._world = world
        self.attempt = attempt

    def answered(self, answer: Any) -> None:
        """The agent answers."""
        if self._world.operation is not None:
            self._world.operation.answered(self.attempt, answer)


# What belongs to no site. `snapshot` copies these together, and each site by itself.
BETWEEN = (
    "_links",
    "_names",
    "bounds",
    "ends",
    "flights",
    "last_epoch",
    "old_calls",
    "operation",
    "promises",
    "release",
    "row",
    "wish",
)


class World:
    """One state; there is one such object, which becomes one state after the other."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.touched: set[str] = set()  # sites that may have changed since the state was loaded
        self.refused = False  # the last event was refused, and changed nothing
        self.ends: dict[str, End | None] = {A: None, B: None}  # each site's end of the present link
        self.limits: Limits | None = None
        if bounds.intents_max != LIMITS.intents_max:
            self.limits = Limits(
                heartbeat_seconds=LIMITS.heartbeat_seconds,
                heartbeat_timeout_seconds=LIMITS.heartbeat_timeout_seconds,
                retry_seconds_max=LIMITS.retry_seconds_max,
                intents_max=bounds.intents_max,
            )
        self._names = Counter(Name)
        self._links = Counter(Link)
        self.promises = Promises(A, bounds.places)
        self.host = Host(self)
        self.row = Row(SESSION, 1, A, B, RowState.STALE, Version(1))
        self.flights: list[Flight] = []
        self.wish = Wish()
        self.last_epoch = 1
        self.operation: Operation | None = None
        self.release: Operation | None = None  # its asking is to be taken back
        self.old_calls: list[tuple[Any, ...]] = []  # of the controller, which may arrive once more
        self.sites = {name: Site(self, name) for name in (A, B)}
        for site in self.sites.values():
            site.start()

    def new_name(self) -> str:
        """A unique one; its number is a ticket (`canonical`)."""
        return f"~{next(self._names)}~"

    def ask(self, site: Site, call_id: int, ask: Ask) -> None:
        """An agent asks."""
        self.flights.append(Flight(site.name, site.instance, call_id, ask))

    # ------------------------------------------------------------------ what they do

    def apply(self, event: Event) -> None:
        """Carry one out.

        :raises Violation: a promise is broken.
        """
        self.refused = False
        getattr(self, "_" + event[0].replace(" ", "_"))(*event[1:])
        while any(self._end_one(site) for site in self.sites.values()):
            pass
        self._forget_dead_calls()
        self._check()

    def _end_one(self, site: Site) -> bool:
        """Where a search is quick, end what the last event began."""
        bounds = self.bounds
        if not (bounds.quick or bounds.instant) or not site.up:
            return False
        end = self.ends[site.name]
        if site.commits:
            site.commit_ends()
        elif site.ports.flushes:
            site.flush_ends()
        elif site.ports.reads:
            site.read_ends(0)
        elif bounds.instant and end is not None and end.inbox:
            site.frame_arrives()
        else:
            return False
        return True

    def _used(self, name: str) -> None:
        self.bounds = self.bounds.less(name)

    def _commit(self, name: str) -> None:
        self.sites[name].commit_ends()

    def _flush(self, name: str) -> None:
        self.sites[name].flush_ends()

    def _chunks(self, name: str, index: int) -> None:
        self.sites[name].read_ends(index)

    def _disk(self, name: str, index: int) -> None:
        self.sites[name].disk_ends(index)

    def _frame(self, name: str) -> None:
        self.sites[name].frame_arrives()

    def _lost(self, name: str) -> None:
        self.sites[name].link_lost()

    def _cut(self, name: str) -> None:
        self._used("cuts")
        self.sites[name].link_lost()

    def _dial(self, name: str) -> None:
        dialer, other = self.sites[name], next(each for each in self.sites.values() if each.name != name)
        if not other.up:
            self.refused = True
            return
        number = Link(self._links.last + 1)
        if other.session.accept_link(number, name, other.clock) is None:
            next(self._links)
            dialer.ports.link, other.ports.link = connect(number)
            dialer.session.on_link_up(number, dialer.clock)
            dialer.after()
            other.after()
        else:
            self.refused = True

    def _time(self, name: str) -> None:
        self.sites[name].time_passes()

    def _start(self, name: str) -> None:
        self.sites[name].start()

    def _kill(self, name: str, commits: int, made: tuple[bool, ...]) -> None:
        self._used("crashes")
        self._die(name, commits, made)

    def _power(
        self, name: str, commits: int, made: tuple[bool, ...], kept: tuple[tuple[int, ...], ...]
    ) -> None:
        self._used("power_cuts")
        self._die(name, commits, made)
        self.sites[name].cut_power(kept)
        if not self.bounds.power_cuts:
            for site in self.sites.values():
                self.touched.add(site.name)
                for disk in site.disks:
                    disk.forget_durable()

    def _lose(self, name: str) -> None:
        self._used("ledgers_lost")
        writes = [request for request in self.sites[name].ports.at_disk if request.op is not Op.READ]
        self._die(name, 0, (False,) * len(writes))
        self.sites[name].lose_ledger()

    def _die(self, name: str, commits: int, made: tuple[bool, ...]) -> None:
        site = self.sites[name]
        writes = [request for request in site.ports.at_disk if request.op is not Op.READ]
        site.kill(commits, [request for request, done in zip(writes, made, strict=True) if done])
        for flight in self.flights:
            if flight.site == name:
                flight.instance = ""

    def _write(self, name: str) -> None:
        self._used("writes")
        self.sites[name].submit(self.host.write(name))

    def _read(self, name: str, place: tuple[int, int]) -> None:
        self._used("reads")
        self.sites[name].submit(self.host.read(*place, name))

    # --- the arbiter ---

    def _ask(self, index: int) -> None:
        flight = self.flights[index]
        said = decide(self.row, flight.ask)
        if (
            flight.ask.call is Call.REQUEST_VOUCHED_SOLO
            and isinstance(said, Row)
            and not self.wish.trust_blank
        ):
            said = Refusal.STATE
        if isinstance(said, Row):
            self.row = said
            if flight.ask.call is Call.REPORT_IN_SYNC and self.wish.trust_blank:
                self.wish.change(self.wish.paused, self.wish.allow_dirty)  # an operator's word ends here
        flight.answer, flight.carried_out = said, True
        if not self.bounds.slow_answers:
            self._answer(index)

    def _answer(self, index: int) -> None:
        flight = self.flights.pop(index)
        site = self.sites[flight.site]
        if site.up and site.instance == flight.instance:
            site.session.on_answer(flight.call_id, flight.answer, site.clock)
            site.after()

    def _unknown(self, index: int) -> None:
        self._used("unknown")
        flight = self.flights[index]
        site = self.sites[flight.site]
        flight.instance = ""
        site.session.on_answer(flight.call_id, None, site.clock)
        site.after()

    def _forget_dead_calls(self) -> None:
        """What nobody waits for and would be refused now would be so for ever."""
        if self.flights:
            self.flights = [
                each
                for each in self.flights
                if each.instance or (not each.carried_out and isinstance(decide(self.row, each.ask), Row))
            ]

    # --- the controller ---

    def _wanted(self, name: str) -> Wanted:
        row = self.row
        primary = name == row.primary
        members = tuple(
            Member(f"p{volume}", f"v{volume}{name}", self.bounds.chunks * CHUNK_BYTES)
            for volume in range(self.bounds.volumes)
        )
        return Wanted(
            epoch=row.epoch,
            revision=self.wish.revision,
            role=Role.PRIMARY if primary else Role.SECONDARY,
            peer_site=row.secondary if primary else row.primary,
            peer_address="",
            paused=self.wish.paused,
            members=members,
            trust_blank=self.wish.trust_blank,
            allow_dirty=self.wish.allow_dirty,
        )

    def _put(self, name: str) -> None:
        self._call("put", name, self._wanted(name))

    def _call(self, what: str, name: str, *details: Any, done: Any = None) -> None:
        """A control call arrives; an agent's refusal is an answer as good as any."""
        site = self.sites[name]
        if self.bounds.repeats and done is not _nobody and (what, name, *details) not in self.old_calls:
            self.old_calls.append((what, name, *details))
        done = done or _nobody
        try:
            if what == "put":
                site.session.put(details[0], site.marks, site.clock, done)
            else:
                getattr(site.session, what)(*details, site.clock, done)
        except BilocateError as error:
            self.refused = what == "put" and not self.bounds.repeats
            done(error)
            return
        site.after()

    def _again(self, index: int) -> None:
        self._used("repeats")
        self._call(*self.old_calls[index], done=_nobody)

    def _failover(self, kind: str = "failover") -> None:
        self._used({"forced": "forced"}.get(kind, kind + "s"))
        self.last_epoch += 1
        self.operation = Operation(kind, self.row, self.last_epoch)

    def _forced(self) -> None:
        self._failover("forced")

    def _switchover(self) -> None:
        self._failover("switchover")

    def _precheck(self) -> None:
        operation = self.operation
        assert operation is not None
        operation.asked_of = self.sites[operation.site].instance
        done = Asked(self, operation.attempt).answered
        self._call(operation.asks[0], operation.site, operation.row.epoch, operation.attempt, done=done)

    def _unheard(self) -> None:
        assert self.operation is not None
        self.operation.asked_of, self.operation.found = "nobody", "out of reach"

    def _end(self) -> None:
        operation, self.operation = self.operation, None
        assert operation is not None
        before = self.row
        row = operation.decide(before) if operation.may_commit() else None
        if row is None:
            self.release = operation
            return
        self.row = row
        lossy = operation.is_lossy(before)
        # After a failover replication waits for a reprotect.
        self.wish.change(paused=operation.kind != "switchover", allow_dirty=lossy)
        self.promises.moved(row.primary, lossy)

    def _release(self) -> None:
        operation, self.release = self.release, None
        assert operation is not None
        self._call(operation.asks[1], operation.site, operation.row.epoch, operation.attempt, done=_nobody)

    def _settle(self, name: str) -> None:
        self.last_epoch += 1
        what = "resume" if name == self.row.primary else "release"
        self._call(what, name, self.row.epoch, self.last_epoch, done=_nobody)

    def _stop(self) -> None:
        self._used("stops")
        self.wish.change(paused=True, allow_dirty=False, trust_blank=self.wish.trust_blank)

    def _go_on(self) -> None:
        self._used("go_ons")
        self.wish.change(paused=False, allow_dirty=False, trust_blank=self.wish.trust_blank)

    def _trust(self) -> None:
        self.wish.change(self.wish.paused, self.wish.allow_dirty, trust_blank=True)

    # ------------------------------------------------------------------ the promises

    def _check(self) -> None:
        """In every state: what hosts could read, and what the row says."""
        for site in self.sites.values():
            if site.up and site.ports.serving:
                for volume, chunk in sorted(set(self.bounds.places)):
                    if site.shows(volume, chunk):
                        self.promises.observed(site.name, (volume, chunk), site.disks[volume].cache[chunk])
        if self.row.state is RowState.IN_SYNC:
            secondary = self.sites[self.row.secondary]
            if secondary.up and secondary.claims_all(self.row.epoch):
                self.promises.has_all(secondary.name, [disk.cache for disk in secondary.disks], "P5")

    @property
    def at_rest(self) -> bool:
        """Nothing is under way."""
        ends = [end for end in self.ends.values() if end is not None]
        return not (
            self.flights
            or any(end.inbox for end in ends)
            or any(site.commits or (site.up and site.ports.flushes) for site in self.sites.values())
        )

    @property
    def settled(self) -> bool:
        """P6: everything is up, nobody waits, and the session is in step; or an operator has stopped it."""
        primary = self.sites[self.row.primary]
        return (
            all(site.up for site in self.sites.values())
            and self.operation is None
            and not self.promises.unanswered
            and primary.ports.serving
            and (self.wish.paused or (primary.in_step and self.row.state is RowState.IN_SYNC))
        )

    def text(self) -> str:
        """For people: the row, what each site is and holds, and what is under way."""
        row = self.row
        sites = [f"{site.name} {site.text()}" for site in self.sites.values()]
        links = [f"to {name}: {', '.join(end.text())}" for name, end in self.ends.items() if end is not None]
        calls = [f"{each.site} asks {each.ask.call.value}" for each in self.flights]
        row_text = f"row {row.primary} {row.state.value} epoch {row.epoch}"
        return "; ".join([row_text, *sites, *links, *calls])


def _nobody(answer: Any) -> None:
    """Nobody waits for this answer."""
