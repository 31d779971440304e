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
        self._read: list[Request] = []  # what the agent takes together, as of one read of its socket
        volume.connections[self] = None

    def submit(self, request: Request) -> None:
        """Ask for something; `request.done` is called at most once."""
        assert self.open
        if self._read:
            self._read.append(request)
            return
        if not self._agent.stopped:
            seconds = self._agent.world.delays.read()
            if not seconds:
                self._volume.submit(request)
                return
            self._read.append(request)
            self._agent.world.scheduler.after(seconds, Kind.HOST, self.site, "read", self._take)
            return

        def go_on() -> None:
            if self.open:
                self._volume.submit(request)

        self._agent.world.scheduler.after(0.0, Kind.HOST, self.site, "what waited", go_on)

    def _take(self) -> None:
        requests, self._read = self._read, []
        if self.open:
            self._volume.submit_all(requests)

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
