"""Whether a write-ahead log is as SQLite wrote it, by the published format of the file.

SQLite takes a frame that does not verify for the end of the log, and silently forgets everything behind it:
after a power cut that is right, after a changed byte it would lose commits that were answered. So this check
comes before SQLite opens the file, and tells the two apart.

It relies on how the ledger uses SQLite: nothing is spilled to the log before its commit, and a checkpoint
always truncates the log. So the log only grows, in order, and a *killed process* leaves it whole or cut
inside its last frame. A *power cut* may lose any part of what was written since the last sync; every commit
syncs, so that is at most the last transaction.
"""

import sys
from array import array
from dataclasses import dataclass
from struct import Struct

from bilocate.site.ledger.schema import PAGE_BYTES

_HEADER = Struct(">8I")  # magic, format, page size, checkpoint number, two salts, two checksums
_FRAME = Struct(">6I")  # page number, database size after a commit or 0, two salts, two checksums
_FRAME_BYTES = _FRAME.size + PAGE_BYTES
_MAGIC_LITTLE, _MAGIC_BIG = 0x377F0682, 0x377F0683  # says which byte order the checksums count in
_FORMAT = 3007000
_MASK = 0xFFFFFFFF

Sum = tuple[int, int]


@dataclass(frozen=True, slots=True)
class WalVerdict:
    """`damage`: why the log must not be believed, else None. `torn`: its end was lost in a power cut."""

    damage: str | None = None
    torn: bool = False


_WHOLE = WalVerdict()


def check_wal(log: bytes, rebooted: bool) -> WalVerdict:
    """Judge the content of a `-wal` file; `rebooted`: the machine started anew since it was written."""
    if len(log) < _HEADER.size:
        return _WHOLE  # killed before the first commit: the header comes first
    view = memoryview(log)
    magic, form, page_bytes, _, salt1, salt2, *stored = _HEADER.unpack_from(view)
    big = magic == _MAGIC_BIG
    if (
        magic not in (_MAGIC_LITTLE, _MAGIC_BIG)
        or form != _FORMAT
        or page_bytes != PAGE_BYTES
        or _checksum(view[:24], (0, 0), big) != tuple(stored)
    ):
        return _judge_header(view, rebooted)
    frames = _Frames(view, (salt1, salt2), big)
    seed = (stored[0], stored[1])
    for number in range(frames.count):
        if not frames.verifies(number, seed):
            return _judge_frame(frames, number, rebooted)
        seed = frames.stored_sum(number)
    return _WHOLE


def _judge_header(view: memoryview, rebooted: bool) -> WalVerdict:
    if not rebooted:
        return WalVerdict("the write-ahead log's header is not as written")
    # The header is synced before the first frame: with one good frame behind it, it was good once.
    for big in (False, True):
        frames = _Frames(view, None, big)
        for number in range(1, frames.count):
            seed = frames.stored_sum(number - 1)
            # Zeros sum up to zero: a part that never reached the disk is no good frame.
            if seed != (0, 0) and frames.verifies(number, seed):
                return WalVerdict("the write-ahead log's header is not as written, but frames behind it are")
    return WalVerdict(torn=True)


def _judge_frame(frames: "_Frames", bad: int, rebooted: bool) -> WalVerdict:
    """The frame `bad` is the first that does not verify. Damage, or the end that a power cut left?

    Frames verify after it as well, each from the checksum stored in the one before: those of the same
    transaction may (disks reorder what was not synced yet), those of a later transaction never do, since it
    began after the sync of this one.
    """
    if not rebooted:
        return WalVerdict(f"frame {bad} of {frames.count} in the write-ahead log is not as written")
    transaction_ended = frames.is_commit(bad)
    for number in range(bad + 1, frames.count):
        if frames.verifies(number, frames.stored_sum(number - 1)):
            if transaction_ended:
                return WalVerdict(
                    f"frame {bad} of the write-ahead log is not as written, but later commits are"
                )
            transaction_ended = frames.is_commit(number)
    return WalVerdict(torn=True)


class _Frames:
    """The complete frames of a log; `salts` None: any are taken."""

    def __init__(self, view: memoryview, salts: tuple[int, int] | None, big: bool) -> None:
        self._view = view
        self._salts = salts
        self._big = big
        self.count = (len(view) - _HEADER.size) // _FRAME_BYTES

    def verifies(self, number: int, seed: Sum) -> bool:
        """Whether the frame belongs to this log and is as written, behind one that ended in `seed`."""
        start = _HEADER.size + number * _FRAME_BYTES
        _, _, salt1, salt2, *stored = _FRAME.unpack_from(self._view, start)
        if self._salts is not None and self._salts != (salt1, salt2):
            return False
        page = start + _FRAME.size
        after_head = _checksum(self._view[start : start + 8], seed, self._big)
        return _checksum(self._view[page : page + PAGE_BYTES], after_head, self._big) == tuple(stored)

    def stored_sum(self, number: int) -> Sum:
        """The checksum written in the frame."""
        *_, first, second = _FRAME.unpack_from(self._view, _HEADER.size + number * _FRAME_BYTES)
        return first, second

    def is_commit(self, number: int) -> bool:
        """Whether the frame says that it ends a transaction."""
        _, size, *salts, _, _ = _FRAME.unpack_from(self._view, _HEADER.size + number * _FRAME_BYTES)
        return size > 0 and self._salts in (None, tuple(salts))


def _checksum(content: memoryview, seed: Sum, big: bool) -> Sum:
    words = array("I", bytes(content))
    if big != (sys.byteorder == "big"):
        words.byteswap()
    first, second = seed
    pairs = iter(words)
    for even, odd in zip(pairs, pairs, strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second
