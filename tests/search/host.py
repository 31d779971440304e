"""What hosts ask for: every write says by its content which one it is."""

from typing import TYPE_CHECKING

from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.requests import Op, Request

if TYPE_CHECKING:
    from tests.search.world import World


class Host:
    """Hosts that write at any site that serves them: more than one may, at the same time."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def may_write(self) -> bool:
        """Whether the next write is asked for now."""
        bounds = self._world.bounds
        return bounds.writes > 0 and not (bounds.ordered and self._world.promises.unanswered)

    def write(self, site: str) -> Request:
        """The next write, at this site."""
        bounds, promises = self._world.bounds, self._world.promises
        number = len(promises.writes) + 1
        volume, chunk = bounds.places[number - 1]
        promises.issued((volume, chunk), site, durable=bounds.ordered)
        request = _request(Op.WRITE, volume, chunk)
        request.done, request.data = self._written, bytes([number])
        request.cookie, request.fua = number, bounds.ordered
        return request

    def read(self, volume: int, chunk: int, site: str) -> Request:
        """A read; `cookie` says where it was asked for."""
        request = _request(Op.READ, volume, chunk)
        request.done, request.cookie = self._was_read, ord(site)
        return request

    def _written(self, request: Request, errno: int) -> None:
        self._world.promises.answered(request.cookie, errno)

    def _was_read(self, request: Request, errno: int) -> None:
        assert not errno
        place = (request.volume, request.offset // CHUNK_BYTES)
        self._world.promises.observed(chr(request.cookie), place, request.payload[0])


def _request(op: Op, volume: int, chunk: int) -> Request:
    request = Request(op, chunk * CHUNK_BYTES, CHUNK_BYTES, lambda request, errno: None)
    request.volume = volume
    return request
