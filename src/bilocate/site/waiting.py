"""Hosts' requests while nobody carries their volume: kept in order, for whoever carries it next."""

from collections import deque
from collections.abc import Iterable

from bilocate.replication.requests import Request

# A queue of more is no hand-over of a moment: hosts are read no further (rule 27).
_REQUESTS_MAX = 4096


class WaitingRoom:
    """A volume's carrier between two others."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._given_back: deque[Request] = deque()  # came before all in `_queue`
        self._queue: deque[Request] = deque()

    def submit(self, request: Request) -> None:
        """Keep a request."""
        self._queue.append(request)
        self._bytes += len(request.data)

    def submit_all(self, requests: Iterable[Request]) -> None:
        """Keep requests, in their order."""
        for request in requests:
            self.submit(request)

    def give_back(self, request: Request) -> None:
        """Keep a request that an earlier carrier had; they come in their order."""
        self._given_back.append(request)
        self._bytes += len(request.data)

    def busy(self) -> bool:
        """Whether a bound is reached."""
        return self._bytes >= self._bytes_max or len(self) >= _REQUESTS_MAX

    def end_of_batch(self) -> None:
        """Nothing goes out."""

    def undisturbed(self, number: int, offset: int, length: int) -> bool:
        """Nobody knows what the disk's content means now."""
        return False

    def take_all(self) -> list[Request]:
        """Everything, in order; the room is empty then."""
        found = [*self._given_back, *self._queue]
        self.clear()
        return found

    def clear(self) -> None:
        """Forget all: their hosts are gone."""
        self._given_back.clear()
        self._queue.clear()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._given_back) + len(self._queue)
