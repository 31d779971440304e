"""Which requests are answered without asking the target, and how."""

import errno

from bilocate.site.nbd import protocol as nbd
from bilocate.site.target import BlockTarget

_ALLOWED_FLAGS = {
    nbd.CMD_READ: nbd.CMD_FLAG_FUA | nbd.CMD_FLAG_DF,
    nbd.CMD_WRITE: nbd.CMD_FLAG_FUA,
    nbd.CMD_FLUSH: nbd.CMD_FLAG_FUA,
    nbd.CMD_TRIM: nbd.CMD_FLAG_FUA,
    nbd.CMD_CACHE: nbd.CMD_FLAG_FUA,
    nbd.CMD_WRITE_ZEROES: nbd.CMD_FLAG_FUA | nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FAST_ZERO,
    nbd.CMD_BLOCK_STATUS: nbd.CMD_FLAG_FUA | nbd.CMD_FLAG_REQ_ONE,
}
_CHANGING = frozenset({nbd.CMD_WRITE, nbd.CMD_TRIM, nbd.CMD_WRITE_ZEROES})


def fault_of(
    kind: int,
    flags: int,
    offset: int,
    length: int,
    target: BlockTarget,
    read_bytes_max: int,
    allocation: bool,
) -> int | None:
    """None: the target is to be asked. Else the errno to answer, 0 where there is nothing to do.

    `allocation`: whether base:allocation was agreed on. DISC is none of these.
    """
    allowed = _ALLOWED_FLAGS.get(kind)
    if allowed is None or flags & ~allowed:
        return errno.EINVAL
    if target.read_only and kind in _CHANGING:
        return errno.EPERM
    if kind == nbd.CMD_FLUSH:
        return None
    if offset + length > target.size_bytes:
        return errno.ENOSPC if kind in (nbd.CMD_WRITE, nbd.CMD_WRITE_ZEROES) else errno.EINVAL
    if kind == nbd.CMD_READ and length > read_bytes_max:
        return errno.EOVERFLOW if flags & nbd.CMD_FLAG_DF else errno.EINVAL
    if kind == nbd.CMD_BLOCK_STATUS:
        return None if allocation and length else errno.EINVAL
    if flags & nbd.CMD_FLAG_FAST_ZERO and not target.zeroes_fast(bool(flags & nbd.CMD_FLAG_NO_HOLE)):
        return errno.ENOTSUP
    # What the system keeps in memory is its own affair: CACHE has nothing to do.
    return 0 if length == 0 or kind == nbd.CMD_CACHE else None
