"""Reprotect after 1 % has changed: what crosses the link, and how long it takes beside a full copy by qemu-img."""

import subprocess
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import fio
from bench.cases.figures import CaseResult, Figure
from bench.errors import BenchError
from bench.own.installation import SITES, Installation
from bench.peers.plain import QemuNbd
from bench.place import Place
from bench.shapes import GIB, KIB
from bilocate.cli.client import Group, Volume
from bilocate.cli.waiting import judge_failed_over, judge_in_step

CHUNK_BYTES = 64 * KIB
SHARE = 0.01
DISKS_MAX = 3  # the pair's, and a copy
COPY_SECONDS = 1800.0
NOTES = (
    "The primary is killed, the group fails over, 1 % of the volume is written in random blocks of 64 KiB, the dead "
    "site comes back: from the call of reprotect until the group is in step again, with all flushes. qemu-img copies "
    "the same volume to a new file, once directly and once over TCP to qemu-nbd; the faster of the two is the measure."
)


@dataclass(frozen=True)
class Round:
    """One reprotect and the copies beside it."""

    seconds: float
    link_bytes: int
    changed_bytes: int
    compared_bytes: int
    copy_seconds: float


def run(place: Place, repetitions: int) -> CaseResult:
    """Every repetition fails over to the other site, so primary and secondary take turns."""
    place.check_room(DISKS_MAX)
    installation = Installation(place)
    try:
        volumes = {site: installation.volume(f"resync-{site}", place.volume_gib, site) for site in SITES}
        uri = installation.connect(volumes[SITES[0]])
        fio.fill(uri, place.volume_bytes, place.medium)
        installation.disconnect(volumes[SITES[0]])
        began = time.monotonic()
        group = installation.group("resync", [(volumes[SITES[0]], volumes[SITES[1]])], COPY_SECONDS)
        first = time.monotonic() - began
        rounds = [_round(installation, group, volumes, number) for number in range(repetitions)]
    finally:
        installation.stop()
    return _result(place, first, rounds)


def _round(installation: Installation, group: Group, volumes: dict[str, Volume], number: int) -> Round:
    old, new = SITES[number % 2], SITES[1 - number % 2]
    place = installation.place
    installation.kill(old)
    installation.act(group, "failover", judge_failed_over)
    changed = int(place.volume_bytes * SHARE) // CHUNK_BYTES * CHUNK_BYTES
    uri = installation.connect(volumes[new])
    fio.write_once(uri, place.volume_bytes, CHUNK_BYTES, changed, place.medium, number)
    installation.disconnect(volumes[new])
    installation.start(old)
    began = time.monotonic()
    installation.act(group, "reprotect", judge_in_step)
    seconds = time.monotonic() - began
    told = installation.session(group, new)["last_resync"]
    if told is None or told["differing_bytes"] != changed:
        raise BenchError(f"{changed} bytes were changed, and the agent tells {told}")
    source = installation.file(volumes[new])
    copies = [_copy_to_file(place, source), _copy_to_server(place, source)]
    return Round(seconds, told["link_bytes"], changed, told["total_bytes"], min(copies))


def _copy_to_file(place: Place, source: Path) -> float:
    target = place.disk("copy.raw")
    try:
        return _copy(source, str(target))
    finally:
        target.unlink()


def _copy_to_server(place: Place, source: Path) -> float:
    server = QemuNbd(place)
    try:
        return _copy(source, server.uri)
    finally:
        server.stop()
        (place.medium / "qemu-nbd.raw").unlink()


def _copy(source: Path, target: str) -> float:
    command = ["qemu-img", "convert", "-U", "-n", "-W", "-m", "16", "-t", "writeback", "-T", "writeback"]
    began = time.monotonic()
    subprocess.run(
        [*command, "-f", "raw", "-O", "raw", str(source), target], check=True, timeout=COPY_SECONDS
    )
    return time.monotonic() - began


def _result(place: Place, first: float, rounds: list[Round]) -> CaseResult:
    def of(name: str, unit: str, aim: float | None, values: list[float]) -> Figure:
        return Figure(name, unit, tuple(values), aim)

    size = f"{place.volume_bytes // GIB} GiB"
    figure = partial(of, aim=None)
    return CaseResult(
        "resync",
        f"Reprotect with 1 % of {size} changed",
        str(place.medium),
        NOTES,
        [
            figure("reprotect", "s", values=[each.seconds for each in rounds]),
            figure("full copy by qemu-img", "s", values=[each.copy_seconds for each in rounds]),
            of(
                "reprotect / full copy",
                "%",
                5.0,
                [each.seconds / each.copy_seconds * 100 for each in rounds],
            ),
            figure("changed", "MB", values=[each.changed_bytes / 1e6 for each in rounds]),
            figure("on the link, hashes included", "MB", values=[each.link_bytes / 1e6 for each in rounds]),
            of(
                "on the link / changed, hashes included",
                "x",
                1.05,
                [each.link_bytes / each.changed_bytes for each in rounds],
            ),
            figure("compared", "MB", values=[each.compared_bytes / 1e6 for each in rounds]),
            figure(f"first sync of {size}, everything copied", "s", values=[first]),
        ],
    )
