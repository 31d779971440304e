"""A small stand-in for the controller: wishes in a database, operations, and a reconciler that puts wishes."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.sim.world.calls import Call, Failed, Operation, OutOfReach, Steps
from tests.sim.world.scheduler import Kind

from bilocate.domain.arbiter import Ask, Row, RowState, state_of_successor
from bilocate.domain.arbiter import Call as ArbiterCall
from bilocate.domain.errors import BilocateError
from bilocate.replication.records import Role
from bilocate.replication.wanted import CannotPromote, Member, Wanted

if TYPE_CHECKING:
    from tests.sim.world.world import World

RECONCILE_SECONDS = 0.25
RETRY_SECONDS = 0.05


@dataclass(slots=True)
class Wish:
    """What is wanted of one session; epoch and sites are the row's."""

    members: list[int]
    revision: int = 1
    paused: bool = False
    trust_blank: bool = False
    allow_dirty: bool = False


class Controller:
    """All of it is in one database: a controller that ends loses nothing, it only takes a step once more."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.wishes: dict[str, Wish] = {}
        self.reconciling = True
        world.arbiter.vouched = lambda session_id: self.wishes[session_id].trust_blank
        world.arbiter.reported = self._forget_exceptions
        self._repeats: Callable[[], bool] = lambda: False  # whether a step is taken once more

    def repeat_steps(self, repeats: Callable[[], bool]) -> None:
        """As after a controller that ended between a step and its note of it."""
        self._repeats = repeats

    # --- sessions ---

    def create(
        self, session_id: str, primary: str, secondary: str, members: list[int], state: RowState
    ) -> None:
        """A session, to be put at both sites by the reconciler."""
        self.world.arbiter.create(session_id, primary, secondary, state)
        self.wishes[session_id] = Wish(members)
        if len(self.wishes) == 1:
            self._reconcile()

    def regroup(self, groups: dict[str, list[int]]) -> None:
        """MEMBERS: the old rows go, the new ones are in sync only by another resync. All at once."""
        rows = self.world.arbiter.rows
        old = list(rows.values())
        state = state_of_successor([row.state for row in old])
        rows.clear()
        self.wishes.clear()
        for session_id, members in groups.items():
            self.world.arbiter.create(session_id, old[0].primary, old[0].secondary, state)
            self.wishes[session_id] = Wish(members, paused=True)

    def wanted(self, session_id: str, site: str) -> Wanted:
        """The session as it is wanted at one site."""
        row, wish = self.world.arbiter.rows[session_id], self.wishes[session_id]
        primary = site == row.primary
        return Wanted(
            epoch=row.epoch,
            revision=wish.revision,
            role=Role.PRIMARY if primary else Role.SECONDARY,
            peer_site=row.secondary if primary else row.primary,
            peer_address="",
            paused=wish.paused,
            members=tuple(
                Member(f"pair{volume}", self.world.volume_id(volume, site), self.world.size_at(volume, site))
                for volume in wish.members
            ),
            trust_blank=wish.trust_blank,
            allow_dirty=wish.allow_dirty,
        )

    def change(self, session_id: str, **values: bool) -> None:
        """Another wish; put by whoever comes first."""
        wish = self.wishes[session_id]
        for name, value in values.items():
            setattr(wish, name, value)
        wish.revision += 1

    def _forget_exceptions(self, session_id: str) -> None:
        """What an operator has allowed for once ends when both copies are equal again."""
        wish = self.wishes[session_id]
        if wish.trust_blank or wish.allow_dirty:
            self.change(session_id, trust_blank=False, allow_dirty=False)

    # --- the reconciler ---

    def _reconcile(self) -> None:
        if self.reconciling:
            for session_id in list(self.wishes):
                for site in self.world.agents:
                    if self._is_behind(session_id, site):
                        Operation(self.world, f"reconcile {site}", self._once(self.push(session_id, site)))
            self._end_sessions()
        self.world.scheduler.after(RECONCILE_SECONDS, Kind.TIMER, "controller", "reconcile", self._reconcile)

    def _end_sessions(self) -> None:
        """What no group wants any more, once its volumes are in other sessions."""
        for agent in self.world.agents.values():
            for session_id, ports in list(agent.sessions.items()):
                if session_id not in self.wishes and ports.session.stopped and agent.reachable:
                    call = self._delete(agent.site, session_id, ports.session.epoch)
                    Operation(self.world, f"end {session_id} at {agent.site}", self._once(call))

    def _delete(self, site: str, session_id: str, epoch: int) -> Call:
        return Call(site, "DELETE", lambda agent, answered: agent.delete_session(session_id, epoch, answered))

    def settle(self, session_id: str) -> None:
        """No operation is under way: what one left behind, or a late call, is taken back."""
        row = self.world.arbiter.rows[session_id]
        for site, name, held in (
            (row.secondary, "release", "holds_hello"),
            (row.primary, "resume", "quiesced"),
        ):
            told = self.world.told(site, session_id) if self.world.agents[site].reachable else {}
            if told.get(held) and told["epoch"] == row.epoch:
                attempt = self.world.arbiter.next_epoch()
                Operation(self.world, name, self._once(self.step(session_id, site, name, row.epoch, attempt)))

    def _is_behind(self, session_id: str, site: str) -> bool:
        agent = self.world.agents[site]
        ports = agent.sessions.get(session_id) if agent.reachable else None
        known = ports.session.wanted if ports is not None else None
        if known is None:
            return agent.reachable
        wanted = (self.world.arbiter.rows[session_id].epoch, self.wishes[session_id].revision)
        return (known.epoch, known.revision) < wanted

    def _once(self, call: Call) -> Steps:
        yield call

    # --- calls ---

    def push(self, session_id: str, site: str) -> Call:
        """Put the session as it is wanted now."""
        if session_id not in self.wishes:
            raise Failed(f"{session_id} is no more")
        wanted = self.wanted(session_id, site)
        return Call(site, "PUT", lambda agent, answered: agent.put_session(session_id, wanted, answered))

    def step(self, session_id: str, site: str, name: str, epoch: int, attempt: int) -> Call:
        """precheck, release, quiesce or resume; `attempt` is the epoch that comes of it."""
        return Call(
            site, name, lambda agent, answered: agent.step(session_id, name, epoch, attempt, answered)
        )

    # --- operations ---

    def failover(self, session_id: str, allow_data_loss: bool = False) -> Operation:
        """Rule 22."""
        return self._begin("failover", self._failover(session_id, allow_data_loss))

    def reverse(self, session_id: str) -> Operation:
        """Rule 23."""
        return self._begin("reverse", self._reverse(session_id))

    def promote_again(self, session_id: str, allow_data_loss: bool) -> Operation:
        """A failover that ended after its point of no return is repeated."""
        return self._begin("promote again", self._promote(session_id, allow_data_loss))

    def set_paused(self, session_id: str, paused: bool, trust_blank: bool = False) -> Operation:
        """Stop (rule 26); or sync and reprotect (rule 25), which are the same to the agents."""
        return self._begin("stop" if paused else "sync", self._set_paused(session_id, paused, trust_blank))

    def _begin(self, name: str, steps: Steps) -> Operation:
        if self.world.trace.on:
            self.world.trace.add(self.world.scheduler.now, "controller", f"{name} begins")
        return Operation(self.world, name, steps)

    def _failover(self, session_id: str, allow: bool) -> Steps:
        row = self.world.arbiter.rows[session_id]  # the version is read BEFORE the check
        site, attempt = row.secondary, self.world.arbiter.next_epoch()
        found = yield from self._try(lambda: self.step(session_id, site, "precheck", row.epoch, attempt))
        why = _why_not(found, row, allow)
        if why is None and (seconds := self.world.delays.dawdle()):
            yield seconds
        if why is None and self.world.delays.gives_up():
            why = "the operation was taken back"
        if why is None:
            ask = Ask(
                ArbiterCall.FAIL_OVER,
                version=row.version,
                new_epoch=attempt,
                allow_data_loss=allow,
            )
            said = self.world.arbiter.call(session_id, ask)
            if isinstance(said, Row):
                lossy = row.state is not RowState.IN_SYNC or bool(found["dirty_bytes"])
                self.change(session_id, paused=True, allow_dirty=allow and lossy, trust_blank=False)
                self._level(session_id)
                self.world.observers.failed_over(site, lossy)
                yield from self._promote(session_id, allow and lossy)
                return
            why = f"the row says {said.value}"
        yield from self._until_told(lambda: self.step(session_id, site, "release", row.epoch, attempt))
        raise Failed(why)

    def _promote(self, session_id: str, allow_dirty: bool) -> Steps:
        row = self.world.arbiter.rows[session_id]
        if allow_dirty and not self.wishes[session_id].allow_dirty:
            self.change(session_id, allow_dirty=True)
            self.world.observers.failed_over(row.primary, True)
        said = yield from self._until_told(lambda: self.push(session_id, row.primary))
        if isinstance(said, CannotPromote):
            raise Failed(str(said))

    def _reverse(self, session_id: str) -> Steps:
        row = self.world.arbiter.rows[session_id]
        old, new, attempt = row.primary, row.secondary, self.world.arbiter.next_epoch()
        found = yield from self._try(lambda: self.step(session_id, old, "quiesce", row.epoch, attempt))
        why = str(found)
        if self.world.delays.gives_up():
            why = "the operation was taken back"
        elif not isinstance(found, BilocateError):
            if seconds := self.world.delays.dawdle():
                yield seconds
            ask = Ask(ArbiterCall.SWITCH_OVER, version=found["version"], new_epoch=attempt)
            said = self.world.arbiter.call(session_id, ask)
            if isinstance(said, Row):
                self.change(session_id, allow_dirty=False, trust_blank=False)
                self._level(session_id)
                self.world.observers.switched_over(new)
                if seconds := self.world.delays.dawdle():
                    yield seconds
                yield from self._try(lambda: self.push(session_id, old))
                yield from self._until_told(lambda: self.push(session_id, new))
                return
            why = f"the row says {said.value}"
        yield from self._until_told(lambda: self.step(session_id, old, "resume", row.epoch, attempt))
        raise Failed(why)

    def _set_paused(self, session_id: str, paused: bool, trust_blank: bool) -> Steps:
        if trust_blank:
            self.world.observers.trusted(self.world.arbiter.rows[session_id].primary)
        trust_blank = trust_blank or self.wishes[session_id].trust_blank
        self.change(session_id, paused=paused, trust_blank=trust_blank)
        for site in self.world.agents:
            yield from self._try(lambda site=site: self.push(session_id, site))  # type: ignore[misc]

    def grow(self, session_id: str, volume: int, size_bytes: int) -> Operation:
        """GROWTH: the secondary first."""
        return self._begin("grow", self._grow(session_id, volume, size_bytes))

    def _grow(self, session_id: str, volume: int, size_bytes: int) -> Steps:
        row = self.world.arbiter.rows[session_id]
        for site in (row.secondary, row.primary):
            self.world.grown[self.world.volume_id(volume, site)] = size_bytes
            self.change(session_id)
            yield from self._until_told(lambda site=site: self.push(session_id, site))  # type: ignore[misc]

    def _level(self, session_id: str) -> None:
        """GROWTH: the new primary may have been grown alone; then the other site follows."""
        for volume in self.wishes[session_id].members:
            size_bytes = max(self.world.size_at(volume, site) for site in self.world.agents)
            for site in self.world.agents:
                self.world.grown[self.world.volume_id(volume, site)] = size_bytes

    # --- steps ---

    def _try(self, call: Callable[[], Call]) -> Generator[Call | float, Any, Any]:
        """Once, or once more: a step may be repeated."""
        answer = yield call()
        while self._repeats():
            answer = yield call()
        return answer

    def _until_told(self, call: Callable[[], Call]) -> Generator[Call | float, Any, Any]:
        """Again and again until the agent has answered something that will not change."""
        while True:
            answer = yield from self._try(call)
            if not isinstance(answer, OutOfReach) and getattr(answer, "code", "") not in TRY_AGAIN:
                return answer
            yield RETRY_SECONDS


TRY_AGAIN: Sequence[str] = ("busy", "newer_epoch", "unknown", "flush_failed")


def _why_not(found: Any, row: Row, allow: bool) -> str | None:
    """Why a failover must not be committed after this answer of its check."""
    if isinstance(found, BilocateError):
        return str(found)
    if found["epoch"] != row.epoch or found["role"] != "secondary":
        return "the secondary is of another epoch"
    if not found["consistent"] or found["blank"]:
        return "the secondary is inconsistent"
    if found["dirty_bytes"] and not allow:
        return "the secondary may lack answered writes"
    if not found["one_moment"]:
        return "the volumes of the secondary are not of one moment"
    return None
