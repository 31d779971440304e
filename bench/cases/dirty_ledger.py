"""Puts dirty chunks into a ledger whose agent does not run, and asks the agent afterwards whether it has them."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from pyroaring import BitMap

from bench.errors import BenchError
from bench.own.installation import SITES, Installation
from bench.shapes import GIB, KIB
from bilocate.cli.client import Group
from bilocate.replication.records import SEGMENT_CHUNKS, PutDirty
from bilocate.site.ledger import Ledger

CHUNK_BYTES = 64 * KIB
SEGMENTS_AT_ONCE = 256
PATTERNS = 16


def make_dirty(path: Path, volume_ids: Sequence[str], volume_gib: int, share: float) -> None:
    """Of each volume this share of all chunks, chosen at random, which is the dearest case for a dirty map."""
    asyncio.run(_make_dirty(path, volume_ids, volume_gib, share))


def check_dirty(installation: Installation, groups: Sequence[Group], volume_gib: int, share: float) -> None:
    """The first site's agent really has what was put into its ledger.

    :raises BenchError: it has not.
    """
    least = volume_gib * GIB * _chunks(share) / SEGMENT_CHUNKS
    for group in groups:
        for volume in installation.session(group, SITES[0])["volumes"]:
            if volume["blank"] or not least <= volume["dirty_bytes"] < 2 * least:
                raise BenchError(f"a volume should be dirty to {share:.2%}, and the agent tells {volume}")


async def _make_dirty(path: Path, volume_ids: Sequence[str], volume_gib: int, share: float) -> None:
    ledger, _ = Ledger.open(path)
    try:
        for volume_id in volume_ids:
            for change in dirty_of(volume_id, volume_gib, share):
                ledger.commit([change], lambda: None)
            await asyncio.sleep(0)
    finally:
        ledger.close()


def dirty_of(volume_id: str, volume_gib: int, share: float) -> Iterator[PutDirty]:
    """The records that make a volume dirty to this share; some segments of 4096 chunks look alike."""
    segments = volume_gib * GIB // CHUNK_BYTES // SEGMENT_CHUNKS
    for first in range(0, segments, SEGMENTS_AT_ONCE):
        some = range(first, min(first + SEGMENTS_AT_ONCE, segments))
        yield PutDirty(
            volume_id,
            {
                each: _pattern(each % PATTERNS, share).shift(each * SEGMENT_CHUNKS).serialize()
                for each in some
            },
        )


@cache
def _pattern(number: int, share: float) -> BitMap:
    draw = random.Random(number)
    return BitMap(draw.sample(range(SEGMENT_CHUNKS), _chunks(share)))


def _chunks(share: float) -> int:
    """Of each segment: a share is rounded to whole chunks."""
    return round(SEGMENT_CHUNKS * share)
