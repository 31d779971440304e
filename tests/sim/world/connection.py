"""A host's connection to one volume at one site, under one attachment."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.sim.world.scheduler import Kind

from bilocate.replication.requests import Request

if TYPE_CHECKING:
    from tests.sim.world.agent import Agent
    from tests.sim.world.volume import SiteVolume


class Connection:
    """Open until the agent closes it or ends. An answer to a closed connection reaches nobody."""

    def __init__(
        self, agent: "Agent", volume: "SiteVolume", attachment: str, closed: Callable[[str], None]
    ) -> None:
        self.site = agent.site
        self.size_bytes = volume.marks.record.size_bytes  # told once, as NBD does
        self.attachment = attachment
        self.open = True
        self._agent = agent
        self._volume = volume
        self._closed = closed
        volume.connections[self] = None

    def submit(self, request: Request) -> None:
        """Ask for something; `request.done` is called at most once."""
        assert self.open
        if not self._agent.stopped:
            self._volume.submit(request)
            return

        def go_on() -> None:
            if self.open:
                self._volume.submit(request)

        self._agent.world.scheduler.after(0.0, Kind.HOST, self.site, "what waited", go_on)

    def busy(self) -> bool:
        """Whether the site stopped reading from hosts (rule 27)."""
        carrier = self._volume.carrier
        return carrier is not None and carrier.session.busy()

    def close(self, reason: str) -> None:
        """From the site's side."""
        if self.open:
            self.open = False
            self._volume.connections.pop(self, None)
            self._closed(reason)
