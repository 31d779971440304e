"""A disk of whole chunks, each with the number of the write that it holds; 0 is zeros."""

from functools import cache
from itertools import product

from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.frames import DIGEST_BYTES
from bilocate.replication.ports import ChunkContent
from bilocate.replication.requests import Op, Request


@cache
def content(chunk: int, value: int) -> ChunkContent:
    """A chunk as the core is given it. Its bytes are one, which says who wrote it."""
    return ChunkContent(chunk, bytes([value]) * DIGEST_BYTES, bytes([value]) if value else None)


class Disk:
    """One volume at one site. With `forgetful` a power cut may take what was written since the last flush."""

    def __init__(self, chunks: int, forgetful: bool) -> None:
        self.cache = [0] * chunks
        self.forgetful = forgetful
        self.durable = [0] * chunks
        self.versions: list[list[int]] = [[] for _ in range(chunks)]  # since the last flush, in order

    def write(self, request: Request) -> None:
        """Carry out a WRITE or ZERO of one whole chunk."""
        chunk, rest = divmod(request.offset, CHUNK_BYTES)
        assert not rest
        assert request.length == CHUNK_BYTES
        value = request.payload[0] if request.op is Op.WRITE else 0
        self.cache[chunk] = value
        if self.forgetful:
            self.versions[chunk].append(value)

    def read(self, request: Request) -> None:
        """Fill a READ of one chunk."""
        request.data = bytes([self.cache[request.offset // CHUNK_BYTES]])

    def begin_flush(self) -> tuple[int, ...]:
        """What this flush makes durable: how many versions of each chunk."""
        return tuple(map(len, self.versions))

    def end_flush(self, moment: tuple[int, ...]) -> None:
        """It is durable now."""
        if not self.forgetful:
            return
        for chunk, count in enumerate(moment):
            # An earlier flush may have ended meanwhile: then less is left than this one has seen.
            count = min(count, len(self.versions[chunk]))
            if count:
                self.durable[chunk] = self.versions[chunk][count - 1]
                del self.versions[chunk][:count]

    def losses(self) -> list[tuple[int, ...]]:
        """Every way in which a power cut may go: how many versions of each chunk the disk had."""
        return list(product(*(range(len(each) + 1) for each in self.versions)))

    def cut_power(self, kept: tuple[int, ...]) -> None:
        """The cache is gone."""
        for chunk, count in enumerate(kept):
            if count:
                self.durable[chunk] = self.versions[chunk][count - 1]
            self.versions[chunk].clear()
        self.cache = list(self.durable)

    def forget_durable(self) -> None:
        """No power cut will come any more: then states that differ in this alone are one."""
        self.forgetful = False
        self.durable = [0] * len(self.cache)
        self.versions = [[] for _ in self.cache]
