"""How long a host's writes stall when the secondary is killed."""

import asyncio

from bench.cases import hosts
from bench.cases.figures import CaseResult, Figure
from bench.own.installation import SITES, Installation
from bench.place import Place
from bilocate.cli.client import Group, Volume
from bilocate.cli.waiting import judge_in_step

AIM_SECONDS = 0.5
BEFORE_SECONDS, AFTER_SECONDS = 1.0, 3.0
NOTES = (
    "A host writes 4 KiB blocks one after the other, without a pause; the secondary's agent is killed (SIGKILL). The "
    "longest time between a write and its answer; beside it the longest of the second before."
)


def run(place: Place, repetitions: int) -> CaseResult:
    """The secondary is started again between the repetitions, and the group gets back into step by itself."""
    installation = Installation(place)
    try:
        twin = tuple(installation.volume(f"stall-{site}", 1, site) for site in SITES)
        group = installation.group("stall", [(twin[0], twin[1])])
        stalls = [asyncio.run(_round(installation, group, twin[0])) for _ in range(repetitions)]
    finally:
        installation.stop()
    figures = [
        Figure("longest write before", "s", tuple(before for before, _ in stalls)),
        Figure("longest write, secondary killed", "s", tuple(after for _, after in stalls), AIM_SECONDS),
    ]
    return CaseResult("stall", "Stall when the secondary is killed", str(place.medium), NOTES, figures)


async def _round(installation: Installation, group: Group, volume: Volume) -> tuple[float, float]:
    (client,) = await hosts.connect(installation, [volume])
    writer = hosts.Writer(client)
    writing = asyncio.create_task(writer.run())
    await asyncio.sleep(BEFORE_SECONDS)
    before, writer.longest_seconds = writer.longest_seconds, 0.0
    await asyncio.to_thread(installation.kill, SITES[1])
    await asyncio.sleep(AFTER_SECONDS)
    writer.end()
    await writing
    await client.close()
    await asyncio.to_thread(installation.start, SITES[1])
    await asyncio.to_thread(installation.await_group, group, judge_in_step)
    return before, writer.longest_seconds
