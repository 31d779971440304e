"""Resident memory of an agent with 100 volumes of 1 TiB, of each of which 1 % may differ."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyroaring import BitMap

from bench.cases.figures import CaseResult, Figure
from bench.errors import BenchError
from bench.own.installation import SITES, Installation
from bench.place import Place
from bench.processes import resident_bytes
from bench.shapes import GIB, KIB, MIB
from bilocate.cli.client import Group, Volume
from bilocate.replication.records import SEGMENT_CHUNKS, PutDirty
from bilocate.site.agent import LEDGER_FILE
from bilocate.site.ledger import Ledger

VOLUMES = 100
GROUPS = 10
VOLUME_GIB = 1024
CHUNK_BYTES = 64 * KIB
SHARE = 0.01
AIM_MIB = 300.0
SETTLE_SECONDS = 10.0
SEGMENTS_AT_ONCE = 256
NOTES = (
    f"{VOLUMES} pairs of 1 TiB (sparse files) in {GROUPS} groups. 1 % of all chunks, chosen at random, which is the "
    "dearest case for a dirty map, is put into the ledger of the first site while its agent is stopped; then the agent "
    "is started alone, serves, and its memory is read."
)


def run(place: Place) -> CaseResult:
    """Once: memory does not vary from run to run as time does."""
    installation = Installation(place)
    try:
        groups, volumes = _make(installation)
        empty = resident_bytes(installation.pid(SITES[0]))
        for site in SITES:
            installation.layout.daemon(site).stop()
        ledger = installation.layout.data(SITES[0]) / LEDGER_FILE
        asyncio.run(_make_dirty(ledger, [volume["id"] for volume in volumes]))
        began = time.monotonic()
        installation.start(SITES[0])
        start_seconds = time.monotonic() - began
        time.sleep(SETTLE_SECONDS)
        _check_dirty(installation, groups)
        full = resident_bytes(installation.pid(SITES[0]))
        ledger_bytes = ledger.stat().st_size
    finally:
        installation.stop()
    figures = [
        Figure("agent, nothing dirty", "MiB", (empty / MIB,)),
        Figure("agent, 1 % dirty", "MiB", (full / MIB,), AIM_MIB),
        Figure("its ledger", "MiB", (ledger_bytes / MIB,)),
        Figure("its start", "s", (start_seconds,)),
    ]
    return CaseResult("memory", f"Memory with {VOLUMES} volumes of 1 TiB", str(place.medium), NOTES, figures)


def _make(installation: Installation) -> tuple[list[Group], list[Volume]]:
    """The groups, and the first site's volumes in them."""
    each = VOLUMES // GROUPS
    groups: list[Group] = []
    volumes: list[Volume] = []
    for group in range(GROUPS):
        twins = [
            (
                installation.volume(f"m{group}-{number}-az1", VOLUME_GIB, SITES[0]),
                installation.volume(f"m{group}-{number}-az2", VOLUME_GIB, SITES[1]),
            )
            for number in range(each)
        ]
        groups.append(installation.new_group(f"memory-{group}", twins))
        volumes += [one for one, _ in twins]
    return groups, volumes


def _check_dirty(installation: Installation, groups: Sequence[Group]) -> None:
    """The agent really has what was put into its ledger."""
    least = VOLUME_GIB * GIB * SHARE * 0.99  # a segment's share is rounded
    for group in groups:
        for volume in installation.session(group, SITES[0])["volumes"]:
            if volume["blank"] or not least <= volume["dirty_bytes"] < 2 * least:
                raise BenchError(f"a volume should be dirty to 1 %, and the agent tells {volume}")


async def _make_dirty(path: Path, volume_ids: Sequence[str]) -> None:
    ledger, _ = Ledger.open(path)
    try:
        for volume_id in volume_ids:
            for change in _dirty(volume_id):
                ledger.commit([change], lambda: None)
            await asyncio.sleep(0)
    finally:
        ledger.close()


def _dirty(volume_id: str) -> Iterator[PutDirty]:
    draw = random.Random(volume_id)
    segments = VOLUME_GIB * GIB // CHUNK_BYTES // SEGMENT_CHUNKS
    for first in range(0, segments, SEGMENTS_AT_ONCE):
        yield PutDirty(
            volume_id,
            {segment: _some(draw, segment) for segment in range(first, first + SEGMENTS_AT_ONCE)},
        )


def _some(draw: random.Random, segment: int) -> bytes:
    chunks = draw.sample(range(SEGMENT_CHUNKS), round(SEGMENT_CHUNKS * SHARE))
    return BitMap(segment * SEGMENT_CHUNKS + chunk for chunk in chunks).serialize()
