"""Which requests under way touch which bytes: OVERLAP, READWAIT and LOCKCOPY in one place.

Requests that overlap (and are not both reads) are carried out and answered one after the other, in the order
in which they came. So requests under way never overlap, at either site, whatever is sent again.
"""

from collections.abc import Iterator

from bilocate.domain.geometry import CHUNK_BYTES, CHUNKS_PER_EXTENT
from bilocate.replication.requests import Op, Request


class Ranges:
    """The requests under way on one volume, found by the chunks they touch.

    A list per touched chunk: at the depths hosts use, a short list is cheaper than any tree.
    """

    __slots__ = ("_by_chunk",)

    def __init__(self) -> None:
        self._by_chunk: dict[int, list[Request]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_chunk)

    def enter(self, request: Request) -> bool:
        """Take a request in behind all that came before; whether it may begin now.

        One that may not begins when `leave` of its last blocker gives it out.
        """
        by_chunk = self._by_chunk
        offset, end = request.offset, request.offset + request.length
        first, last = offset // CHUNK_BYTES, (end - 1) // CHUNK_BYTES
        if first == last:  # nearly all requests: no set of those already seen is needed
            there = by_chunk.get(first)
            if there is None:
                by_chunk[first] = [request]
                return True
            reads = request.op is Op.READ
            for other in there:
                if (
                    other.offset < end
                    and offset < other.offset + other.length
                    and not (reads and other.op is Op.READ)
                ):
                    _follow(request, other)
            there.append(request)
            return request.blockers == 0
        return self._enter_long(request, first, last)

    def _enter_long(self, request: Request, first: int, last: int) -> bool:
        offset, end, reads = request.offset, request.offset + request.length, request.op is Op.READ
        seen: set[int] = set()
        for chunk in range(first, last + 1):
            there = self._by_chunk.setdefault(chunk, [])
            for other in there:
                if (
                    other.offset < end
                    and offset < other.offset + other.length
                    and not (reads and other.op is Op.READ)
                    and id(other) not in seen
                ):
                    seen.add(id(other))
                    _follow(request, other)
            there.append(request)
        return request.blockers == 0

    def touched(self, offset: int, length: int) -> bool:
        """Whether a write under way (or a request that waits) overlaps these bytes: a quick look for reads."""
        by_chunk = self._by_chunk
        end = offset + length
        for chunk in range(offset // CHUNK_BYTES, (end - 1) // CHUNK_BYTES + 1):
            for other in by_chunk.get(chunk, ()):
                if other.offset < end and offset < other.offset + other.length and other.op is not Op.READ:
                    return True
        return False

    def leave(self, request: Request) -> list[Request] | None:
        """The request is answered. The requests that may begin now, in the order in which they came."""
        by_chunk, offset = self._by_chunk, request.offset
        chunk, last = offset // CHUNK_BYTES, (offset + request.length - 1) // CHUNK_BYTES
        while chunk <= last:
            there = by_chunk[chunk]
            if len(there) == 1:
                del by_chunk[chunk]
            else:
                there.remove(request)
            chunk += 1
        followers = request.followers
        if followers is None:
            return None
        request.followers = None
        free = []
        for follower in followers:
            follower.blockers -= 1
            if follower.blockers == 0:
                free.append(follower)
        return free

    def all(self) -> Iterator[Request]:
        """All that is under way or waits, some of it more than once."""
        for there in self._by_chunk.values():
            yield from there

    def extents_under_write(self) -> set[int]:
        """The extents that a write under way touches (DROPRACE)."""
        return {
            chunk // CHUNKS_PER_EXTENT
            for chunk, there in self._by_chunk.items()
            if any(request.op is not Op.READ for request in there)
        }


def _follow(request: Request, other: Request) -> None:
    request.blockers += 1
    if other.followers is None:
        other.followers = [request]
    else:
        other.followers.append(request)
