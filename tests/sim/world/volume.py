"""A volume at a site while the agent's process runs: its disk, its marks, its hosts, and who carries it."""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.sim.world.disk import Disk

from bilocate.replication.marks import Marks
from bilocate.replication.requests import Request

if TYPE_CHECKING:
    from tests.sim.world.connection import Connection
    from tests.sim.world.site_ports import SitePorts


class SiteVolume:
    """Requests go to the session that carries the volume; while nobody does, they wait here."""

    def __init__(self, disk: Disk, marks: Marks) -> None:
        self.disk = disk
        self.marks = marks
        self.carrier: SitePorts | None = None
        self.index = 0  # its number within the carrier
        self.connections: dict[Connection, None] = {}  # in the order of their coming
        self.queue: deque[Request] = deque()
        self.revision = -1  # of what a controller wants of it

    @property
    def volume_id(self) -> str:
        """Its name."""
        return self.disk.volume_id

    def submit(self, request: Request) -> None:
        """Take a host's request."""
        if self.carrier is None:
            self.queue.append(request)
        else:
            request.volume = self.index
            self.carrier.submit(request)

    def submit_all(self, requests: Sequence[Request]) -> None:
        """Take several requests at once, in their order."""
        if self.carrier is None:
            self.queue.extend(requests)
            return
        for request in requests:
            request.volume = self.index
        self.carrier.submit_all(requests)

    def resubmit(self) -> None:
        """What waited for a carrier goes to it."""
        queue, self.queue = self.queue, deque()
        if queue:
            self.submit_all(list(queue))

    def disconnect(self, reason: str) -> None:
        """Close every host's connection; what they asked for is never answered."""
        connections, self.connections = self.connections, {}
        self.queue.clear()
        for connection in connections:
            connection.close(reason)
