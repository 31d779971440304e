"""Writes that wait until their extents' intents are durable (rules INTENT and SECINT, at both halves)."""

from collections.abc import Callable, Sequence

from bilocate.domain.geometry import EXTENT_BYTES
from bilocate.replication.marks import Marks
from bilocate.replication.ports import Ports
from bilocate.replication.requests import Request


class IntentWaits:
    """Commits of intents are grouped by the ledger; a write waits for the last one that it needs."""

    __slots__ = ("_ahead", "_next_token", "_ports", "_waiting")

    def __init__(self, ports: Ports, next_token: Callable[[], int], ahead: int = 0) -> None:
        """`ahead`: how many extents are marked in advance for who writes from one into the next."""
        self._ahead = ahead
        self._ports = ports
        self._next_token = next_token
        self._waiting: dict[int, list[Request]] = {}  # commit → writes that wait for it

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def may_go(self, request: Request, marks: Marks, flush_number: int) -> bool:
        """Whether the request may be written now; if not, `committed` gives it out again.

        Notes in either case that the request entered its extents (DROPRACE).
        """
        first = request.offset // EXTENT_BYTES
        last = (request.offset + request.length - 1) // EXTENT_BYTES
        touched, intents = marks.touched, marks.record.intents
        if first == last:  # nearly all requests
            touched[first] = flush_number
            if first in intents:
                return True
        else:
            for extent in range(first, last + 1):
                touched[extent] = flush_number
            if all(extent in intents for extent in range(first, last + 1)):
                return True
        self._wait(request, marks, range(first, last + 1))
        return False

    def _wait(self, request: Request, marks: Marks, extents: range) -> None:
        token = self._next_token()
        ahead = self._next_extents(request, marks, extents)
        change = marks.add_intents(extents, token)
        if change is not None:
            more = marks.add_intents(ahead, token)
            self._waiting[token] = [request]
            self._ports.commit([change] if more is None else [change, more], token, request.copied)
            return
        # All are on their way already: behind the last of them, for commits become durable in order.
        last = max(marks.committing[extent] for extent in extents if extent in marks.committing)
        self._waiting.setdefault(last, []).append(request)

    def _next_extents(self, request: Request, marks: Marks, extents: range) -> range:
        """What a sequential writer enters next, none for others: its write goes on where an extent with an intent ends.
        The marks come in the same commit, so it waits once for several extents.
        """
        before = (request.offset - 1) // EXTENT_BYTES
        if before not in marks.record.intents and before not in marks.committing:
            return range(0)
        end = (marks.record.size_bytes + EXTENT_BYTES - 1) // EXTENT_BYTES
        return range(extents.stop, min(extents.stop + self._ahead, end))

    def committed(self, token: int) -> list[Request]:
        """A commit is durable: those that waited for it ask `may_go` again, for an intent may be gone again."""
        return self._waiting.pop(token, [])

    def clear(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()


def superfluous(
    marks: Sequence[Marks], candidates: Sequence[set[int]], flush_number: int, keep: int
) -> list[list[int]]:
    """By volume: the extents whose intents flush `flush_number` made superfluous (DROP), the longest idle first,
    until `keep` are left.

    `candidates` are those without a write under way when it began; none of them may have been entered since
    (DROPRACE: such a write may reach its disk behind the flush).
    """
    excess = sum(len(each.record.intents) for each in marks) - keep
    out = []
    for each, extents in zip(marks, candidates, strict=True):
        touched = each.touched
        idle = [e for e in extents if e in each.record.intents and touched.get(e, 0) < flush_number]
        idle.sort(key=lambda extent, touched=touched: touched.get(extent, 0))  # type: ignore[misc]
        gone = idle[: max(excess, 0)]
        excess -= len(gone)
        out.append(gone)
    return out
