"""Failover of a group of 16 volumes: from the call to the first acknowledged write at the other site."""

import asyncio
import time
from dataclasses import dataclass

from bench.cases import hosts
from bench.cases.figures import CaseResult, Figure
from bench.own.installation import SITES, Installation, Twin
from bench.place import Place
from bilocate.cli.client import Group, Volume
from bilocate.cli.waiting import judge_failed_over, judge_in_step
from bilocate.demo.nbd_client import NbdClient

VOLUMES = 16
AIM_SECONDS = 1.0
NOTES = (
    f"{VOLUMES} volumes in one group, written to until the primary's agent is killed (SIGKILL). Then: the call of "
    "failover, waiting for its end; then a host for each volume asks for its connection at the other site, connects "
    "and writes once, all side by side. The old site is then started and reprotected; the next failover leads there."
)


@dataclass(frozen=True)
class Times:
    """Seconds since the call."""

    failed_over: float
    first_write: float
    all_written: float


def run(place: Place, repetitions: int) -> CaseResult:
    """Each failover leads to the other site than the one before."""
    times = fail_over(place, VOLUMES, repetitions)
    figures = [
        Figure("call to the end of the failover", "s", tuple(each.failed_over for each in times)),
        Figure("call to the first acknowledged write", "s", tuple(t.first_write for t in times), AIM_SECONDS),
        Figure(f"call to a write on each of {VOLUMES} volumes", "s", tuple(t.all_written for t in times)),
    ]
    return CaseResult("failover", f"Failover of {VOLUMES} volumes", str(place.medium), NOTES, figures)


def fail_over(place: Place, volumes: int, repetitions: int) -> list[Times]:
    """An installation with one group of so many volumes, which fails over so many times."""
    installation = Installation(place)
    try:
        twins = installation.twins("f", volumes)
        group = installation.group("failover", twins)
        return [asyncio.run(_round(installation, group, twins, number % 2)) for number in range(repetitions)]
    finally:
        installation.stop()


async def _round(installation: Installation, group: Group, twins: list[Twin], old: int) -> Times:
    before = await hosts.connect(installation, [twin[old] for twin in twins])
    writers = [hosts.Writer(client) for client in before]
    writing = [asyncio.create_task(writer.run()) for writer in writers]
    await asyncio.sleep(0.5)
    await asyncio.to_thread(installation.kill, SITES[old])
    await asyncio.gather(*writing, return_exceptions=True)  # each ends when its connection does
    times = await _fail_over(installation, group, [twin[1 - old] for twin in twins])
    await _close(before)
    await asyncio.to_thread(_restore, installation, group, twins, old)
    return times


async def _fail_over(installation: Installation, group: Group, volumes: list[Volume]) -> Times:
    began = time.monotonic()
    await asyncio.to_thread(installation.act, group, "failover", judge_failed_over)
    failed_over = time.monotonic()
    answers = await hosts.write_each(installation, volumes)
    return Times(failed_over - began, answers[0] - began, answers[-1] - began)


def _restore(installation: Installation, group: Group, twins: list[Twin], old: int) -> None:
    for twin in twins:
        for volume in twin:
            installation.disconnect(volume)
    installation.start(SITES[old])
    installation.act(group, "reprotect", judge_in_step)


async def _close(clients: list[NbdClient]) -> None:
    await asyncio.gather(*(client.close() for client in clients))
