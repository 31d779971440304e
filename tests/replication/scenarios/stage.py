"""What a scenario's steps act on: a scene, and what the steps have given names to."""

from dataclasses import dataclass, field

from tests.replication.scene import SECTORS_PER_EXTENT, Scene
from tests.sim.world.agent import Agent
from tests.sim.world.calls import Operation
from tests.sim.world.history import HostOp
from tests.sim.world.host import Host
from tests.sim.world.scheduler import Hold
from tests.sim.world.world import SESSION, A, B

from bilocate.replication.wanted import Wanted


@dataclass(slots=True)
class Attempt:
    """One attempt at a change of roles: its number, and the row's version as it was before the check."""

    number: int
    version: int
    answers: list[object] = field(default_factory=list)


class Stage:
    """One scenario that is being played."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.ops: dict[str, HostOp] = {}
        self.operations: dict[str, Operation] = {}
        self.holds: dict[tuple[str, str], Hold] = {}
        self.wanted: dict[str, Wanted] = {}
        self.puts: list[object] = []  # the answers to what was put by hand
        self._attempts: dict[str, Attempt] = {}

    def agent(self, site: str) -> Agent:
        """The site itself."""
        return self.scene.world.agents[site]

    @staticmethod
    def other(site: str) -> str:
        """The other site."""
        return B if site == A else A

    def host(self, site: str, volume: int) -> Host:
        """A volume's host, which must be connected there."""
        host = self.scene.hosts[volume]
        assert host.connection is not None, "no host is connected; `connect` first"
        assert host.connection.site == site, "the host is connected at the other site"
        return host

    def op(self, name: str) -> HostOp:
        """A host's request."""
        assert name in self.ops, f"no host has asked for {name}; known are {', '.join(self.ops) or 'none'}"
        return self.ops[name]

    def number(self, name: str) -> int:
        """Of a write; `nothing` is what was never written."""
        return 0 if name == "nothing" else self.op(name).number

    def names(self, numbers: list[int]) -> str:
        """For people."""
        names = {op.number: name for name, op in self.ops.items()} | {0: "nothing"}
        return ", ".join(names.get(number, f"request {number}") for number in numbers)

    @staticmethod
    def extent(op: HostOp) -> int:
        """Where it is."""
        return op.first // SECTORS_PER_EXTENT

    def attempt(self, name: str) -> Attempt:
        """By its name; one that is named for the first time has a number above all before."""
        if name not in self._attempts:
            arbiter = self.scene.world.arbiter
            self._attempts[name] = Attempt(arbiter.next_epoch(), arbiter.rows[SESSION].version)
        return self._attempts[name]

    def put(self, site: str, wanted: Wanted) -> None:
        """By hand, beside the controller."""
        self.agent(site).put_session(SESSION, wanted, self.puts.append)

    def ended(self, name: str) -> Operation:
        """An operation, once it has ended."""
        assert name in self.operations, f"no operation is called {name}"
        operation = self.operations[name]
        assert self.scene.world.run_until(lambda: not operation.running, 5.0), "it does not end"
        return operation


def place_of(text: str) -> tuple[int, int]:
    """`8`, `extent 2`, `8 of volume 1`: volume and sector."""
    where, _, volume = text.partition(" of volume ")
    word, _, number = where.rpartition(" ")
    return int(volume or 0), int(number) * (SECTORS_PER_EXTENT if word else 1)
