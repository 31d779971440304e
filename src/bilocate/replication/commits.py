"""What is to go on once a commit is durable."""

from collections.abc import Callable, Sequence

from bilocate.replication.ports import Ports
from bilocate.replication.records import Change

Then = Callable[[float], None]


class Commits:
    """The commits that somebody waits for; called, it begins one."""

    def __init__(self, ports: Ports, next_token: Callable[[], int]) -> None:
        self._ports = ports
        self._next_token = next_token
        self._waiting: dict[int, Then] = {}

    def __call__(self, changes: Sequence[Change], then: Then) -> None:
        """Make the changes durable, then `then(now)`."""
        token = self._next_token()
        self._waiting[token] = then
        self._ports.commit(changes, token)

    def done(self, token: int, now: float) -> bool:
        """A commit is durable. Whether it was one of these."""
        then = self._waiting.pop(token, None)
        if then is not None:
            then(now)
        return then is not None
