"""What a primary knows of its arbiter row: one call under way, and only its answer is believed (REPLY, FORGET)."""

from collections.abc import Iterator

from bilocate.domain.arbiter import Call, Refusal, Row
from bilocate.replication.ports import Ports


class RowView:
    """The row as last told by an answer to a call of this half; None while it is unknown."""

    def __init__(self, ports: Ports, epoch: int, call_ids: Iterator[int]) -> None:
        self._ports = ports
        self.epoch = epoch
        self.row: Row | None = None
        self.pending: Call | None = None
        self._call_ids = call_ids  # of the session: an answer to a former half must not match
        self._call_id = 0

    def ask(self, call: Call) -> bool:
        """Begin a call; not while one is under way, and none but `attach` while the row is unknown."""
        if self.pending is not None or (self.row is None and call is not Call.ATTACH):
            return False
        self.pending = call
        self._call_id = next(self._call_ids)
        version = self.row.version if self.row else 0
        # From here until the answer nobody knows what the row is: the call may be carried out (FORGET).
        self._ports.ask_arbiter(self._call_id, call, self.epoch, version)
        return True

    def answered(
        self, call_id: int, answer: Row | Refusal | None
    ) -> tuple[Call, Row | Refusal | None] | None:
        """Take an answer in: the call it belongs to and what it said, or None for an answer to an older one."""
        if self.pending is None or call_id != self._call_id:
            return None
        call, self.pending = self.pending, None
        self.row = answer if isinstance(answer, Row) else None
        return call, answer

    def forget(self) -> None:
        """Something says that the row moved on: attach before anything that relies on it."""
        self.row = None
