"""The controller's calls to agents, and operations as generators that yield them."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.sim.world.scheduler import Kind

from bilocate.domain.errors import BilocateError

if TYPE_CHECKING:
    from tests.sim.world.agent import Agent
    from tests.sim.world.world import World

TIMEOUT_SECONDS = 1.0


class OutOfReach(BilocateError):
    """No answer: the agent is away, or something was lost on the way. It may have been carried out."""

    code = "out_of_reach"


@dataclass(slots=True)
class Call:
    """`start(agent, answered)`: what the agent does; `answered` gets a value or a BilocateError."""

    site: str
    name: str
    start: "Callable[[Agent, Callable[[Any], None]], None]"


Steps = Generator[Call | float, Any, None]


class Failed(Exception):
    """The operation ends here, and says why."""


class Operation:
    """One operation under way: it goes from yield to yield as answers come."""

    def __init__(self, world: "World", name: str, steps: Steps) -> None:
        self.world = world
        self.name = name
        self.error: str | None = None
        self.running = True
        self._steps = steps
        self._go(None)

    @property
    def done(self) -> bool:
        """Whether it ended well."""
        return not self.running and self.error is None

    def _go(self, answer: Any) -> None:
        try:
            wanted = self._steps.send(answer)
        except StopIteration:
            self._end(None)
        except Failed as failed:
            self._end(str(failed))
        else:
            if isinstance(wanted, Call):
                perform(self.world, wanted, self._go)
            else:
                self.world.scheduler.after(
                    wanted, Kind.TIMER, "controller", self.name, lambda: self._go(None)
                )

    def _end(self, error: str | None) -> None:
        self.running, self.error = False, error
        if self.world.trace.on:
            outcome = "done" if error is None else f"failed: {error}"
            self.world.trace.add(self.world.scheduler.now, "controller", f"{self.name} {outcome}")


def perform(world: "World", call: Call, answered: Callable[[Any], None]) -> None:
    """Carry one call over the network, there and back; `answered` is told once."""
    told = False
    scheduler, delays, agent = world.scheduler, world.delays, world.agents[call.site]

    def tell(result: Any) -> None:
        nonlocal told
        if not told:
            told = True
            timeout.cancelled = True
            answered(result)

    def lost() -> None:
        tell(OutOfReach(f"{call.site} did not answer {call.name}"))

    def back(result: Any) -> None:
        if not delays.call_lost():
            name = f"{call.name} answered"
            scheduler.after(delays.call(), Kind.CALL, call.site, name, lambda: tell(result), lost)

    def arrive() -> None:
        if agent.reachable:
            call.start(agent, back)
        else:
            scheduler.after(delays.call(), Kind.CALL, call.site, "out of reach", lost)

    timeout = scheduler.after(TIMEOUT_SECONDS, Kind.TIMER, "controller", f"{call.name} timeout", lost)
    if not delays.call_lost():
        scheduler.after(delays.call(), Kind.CALL, call.site, call.name, arrive, lost)
        if delays.call_twice():
            scheduler.after(delays.again(), Kind.CALL, call.site, call.name, arrive)
