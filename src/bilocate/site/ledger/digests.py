"""Checksums of the ledger's rows, and the tally over all of them.

A row's digest says that its content is as written. It can't say that a row is missing, or that a deleted
one is back. The tally does, the XOR of all digests: it does not depend on order, and changes by the digest of
a row alone when that row comes or goes.
"""

from collections.abc import Sequence

from blake3 import blake3

Value = int | str | bytes

_DIGEST_BYTES = 8  # damage is chance, not malice: one in 2**64


def row_digest(table: str, values: Sequence[Value]) -> int:
    """The digest of one row: a signed 64-bit integer, as SQLite keeps integers in place.

    Types and lengths are part of it, so that no two different rows are spelled alike.

    :raises ValueError: for a value of a kind that is never stored.
    """
    parts = [table.encode()]
    for value in values:
        if isinstance(value, int):
            content, kind = b"%d" % value, b"i"
        elif isinstance(value, str):
            content, kind = value.encode(), b"s"
        elif isinstance(value, bytes):
            content, kind = value, b"b"
        else:  # NULL or a float, where a damaged file says so
            raise ValueError(f"a row of {table} has a value of an alien kind: {value!r}")
        parts.append(b"%c%d:" % (kind, len(content)))
        parts.append(content)
    digest = blake3(b"\0".join(parts)).digest(_DIGEST_BYTES)
    return int.from_bytes(digest, "big", signed=True)
