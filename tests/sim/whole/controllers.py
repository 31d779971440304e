"""Controllers as processes: the real operations over the real store, started, stopped and killed at any moment."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.sim.whole.database import DatabaseFile
from tests.sim.whole.loop import VirtualLoop
from tests.sim.whole.network import Network, Transport
from tests.sim.world.arbiter import Fate
from tests.sim.world.scheduler import Kind

from bilocate.domain.arbiter import Ask, Refusal, Row, RowState
from bilocate.domain.errors import BilocateError
from bilocate.operations.agents import AgentClient
from bilocate.operations.injection import Injection, Moment
from bilocate.operations.service import Operations
from bilocate.operations.settings import Settings, SiteAddress, Timing
from bilocate.store import arbiter

if TYPE_CHECKING:
    from tests.sim.whole.world import WholeWorld

# Everything in a simulation is a little faster than in life.
QUICK = Timing(
    agent_connect_seconds=0.2,
    agent_call_seconds=0.5,
    precheck_seconds=1.0,
    quiesce_seconds=2.5,
    tell_seconds=0.2,
    observe_every_seconds=0.4,
    observe_timeout_seconds=0.4,
    reconcile_every_seconds=0.4,
    lease_seconds=1.0,
    scan_every_seconds=0.25,
    wait_poll_seconds=0.02,
    wait_poll_most_seconds=0.1,
    backoff_first_seconds=0.02,
    backoff_most_seconds=0.2,
    undo_patience_seconds=0.5,
    forward_patience_seconds=5.0,
    before_patience_seconds=1.0,
)
ARBITER_TIMEOUT_SECONDS = 0.3
Answered = Callable[[Row | Refusal | None], None]
PROJECT = "p"


class Killed(BaseException):
    """The process ends within a step: nothing behind it happens."""


class Controller:
    """One process. `operations` is there while it runs."""

    def __init__(self, world: "WholeWorld", name: str) -> None:
        self.world = world
        self.name = name
        self.up = False
        self.loop: VirtualLoop
        self.operations: Operations
        self.database: Any

    def start(self) -> None:
        """A new process, which begins where the database is."""
        assert not self.up
        self.up = True
        world = self.world
        self._note("controller starts")
        self.loop = VirtualLoop(world.scheduler, self.name)  # type: ignore[abstract]
        self.database = world.file.for_controller(self.name)
        sites = {site: SiteAddress(site, f"http://{site}", site, site, 1) for site in world.agents}
        settings = Settings(sites, "token", self.name, world.timing)
        transports = {site: Transport(world.network, self.name, site) for site in world.agents}
        loop = self.loop
        self.operations = Operations(
            self.database, settings, Injection(self._reached), AgentClient(settings, transports), loop.time
        )
        self.run(self.operations.start())

    def kill(self) -> None:
        """As SIGKILL does, at any moment: also between a step's effect and its note in the journal."""
        if self.up:
            self._note("controller killed")
            self.up = False
            self.loop.die()
            self.world.buried.append(self.loop)
            self.world.file.died(self.name)
            self.world.scheduler.thaw(self.name)

    def run(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Let the process do it."""
        return self.loop.create_task(work)

    def _reached(self, verb: str, step: str, moment: Moment) -> None:
        if self.world.trace.on:
            self.world.trace.add(self.world.scheduler.now, self.name, f"{verb}: {step} {moment.value}")
        if self.world.dies_within_step():
            self.kill()
            self.world.start_later(self)
            raise Killed
        self.world.at_step()

    def _note(self, what: str) -> None:
        if self.world.trace.on:
            self.world.trace.add(self.world.scheduler.now, self.name, f"** {what}")


@dataclass(slots=True)
class Wish:
    """What is wanted of a session, as checkers look at it."""

    members: list[int]
    paused: bool
    trust_blank: bool
    allow_dirty: bool
    status: str | None  # of its group


class Rows:
    """What the database has, and what agents and operators ask of it."""

    def __init__(self, world: "WholeWorld", file: DatabaseFile, network: Network) -> None:
        self._world, self._file, self._network = world, file, network
        file.committed = self._committed
        self.rows: dict[str, Row] = {}
        self.wishes: dict[str, Wish] = {}
        self.look()

    def look(self) -> None:
        """Read what is committed."""
        read = self._file.read
        sessions = read(
            "SELECT s.id, s.epoch, s.primary_site, s.secondary_site, s.state, s.version, s.paused, s.trust_blank,"
            " s.allow_dirty, g.status, g.priority_site FROM sessions s LEFT JOIN groups g ON g.id = s.id ORDER BY s.id"
        )
        members: dict[str, list[int]] = {}
        for session_id, pair_id in read(
            "SELECT session_id, id FROM pairs WHERE session_id IS NOT NULL ORDER BY id"
        ):
            members.setdefault(session_id, []).append(int(pair_id.removeprefix("pair")))
        rows, wishes = {}, {}
        for found in sessions:
            session_id, epoch, primary, secondary, state, version, paused, trust, dirty, status, priority = (
                found
            )
            if priority is not None and priority != primary:
                raise AssertionError(
                    f"group {session_id} shows {priority} as production, the row says {primary}"
                )
            if session_id in members:
                rows[session_id] = Row(session_id, epoch, primary, secondary, RowState(state), version)
                wishes[session_id] = Wish(members[session_id], bool(paused), bool(trust), bool(dirty), status)
        self.rows, self.wishes = rows, wishes

    def _committed(self) -> None:
        """Tell the checkers what an operator's call has changed."""
        before, wished = self.rows, self.wishes
        self.look()
        observers, trace = self._world.observers, self._world.trace
        for session_id, row in self.rows.items():
            old, wish, had = before.get(session_id), self.wishes[session_id], wished.get(session_id)
            if trace.on and old != row:
                said = f"{row.state.value} v{row.version} e{row.epoch} primary {row.primary}, {wish.status}"
                trace.add(self._world.scheduler.now, "database", f"{session_id}: {said}")
            if old is None or had is None:
                continue
            if row.primary != old.primary and wish.status == "failing_over":
                observers.failed_over(row.primary, wish.allow_dirty)
            elif row.primary != old.primary:
                observers.switched_over(row.primary)
            elif wish.allow_dirty and not had.allow_dirty:
                observers.failed_over(row.primary, True)
            if wish.trust_blank and not had.trust_blank:
                observers.trusted(row.primary)

    # --- what agents ask ---

    def ask(self, site: str, session_id: str, ask: Ask, answered: Answered) -> None:
        """An agent's call to one of the controllers. `answered` is told once: a row, a refusal, or None."""
        world, told = self._world, False
        fate: Fate = world.delays.fate()
        controller = world.any_controller()
        name = ask.call.name

        def tell(outcome: Row | Refusal | None) -> None:
            nonlocal told
            if not told:
                told = True
                answered(outcome)

        def execute() -> None:
            if controller is not None and controller.up:
                controller.run(self._call(controller, site, session_id, ask, fate, tell, answered))

        later = world.scheduler.after
        later(ARBITER_TIMEOUT_SECONDS, Kind.ANSWER, site, f"{name} unknown", lambda: tell(None))
        if (
            controller is not None
            and fate.execute is not None
            and self._network.reaches(controller.name, site)
        ):
            later(fate.execute, Kind.ASK, site, name, execute, None, ask)

    async def _call(
        self,
        controller: Controller,
        site: str,
        session_id: str,
        ask: Ask,
        fate: Fate,
        tell: Answered,
        answered: Answered,
    ) -> None:
        try:
            found = await arbiter.call(controller.database, session_id, ask)
        except BilocateError:
            return  # the agent hears of an error: it knows nothing
        later, name = self._world.scheduler.after, ask.call.name
        if not self._network.reaches(controller.name, site):
            return
        if fate.told:
            later(fate.answer, Kind.ANSWER, site, name, lambda: tell(found), None, found)
        elif fate.late is not None:
            delay = ARBITER_TIMEOUT_SECONDS + fate.late
            later(delay, Kind.ANSWER, site, f"{name}, late", lambda: answered(found), None, found)
