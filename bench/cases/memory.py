"""Resident memory of an agent with 100 volumes of 1 TiB, of each of which 1 % may differ."""

import time

from bench.cases.dirty_ledger import check_dirty, make_dirty
from bench.cases.figures import CaseResult, Figure
from bench.own.installation import SITES, Installation
from bench.place import Place
from bench.processes import resident_bytes
from bench.shapes import MIB
from bilocate.cli.client import Group, Volume
from bilocate.site.agent import LEDGER_FILE

VOLUMES = 100
GROUPS = 10
VOLUME_GIB = 1024
SHARE = 0.01
AIM_MIB = 300.0
SETTLE_SECONDS = 10.0
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
        make_dirty(ledger, [volume["id"] for volume in volumes], VOLUME_GIB, SHARE)
        began = time.monotonic()
        installation.start(SITES[0])
        start_seconds = time.monotonic() - began
        time.sleep(SETTLE_SECONDS)
        check_dirty(installation, groups, VOLUME_GIB, SHARE)
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
    groups: list[Group] = []
    volumes: list[Volume] = []
    for number in range(GROUPS):
        twins = installation.twins(f"m{number}", VOLUMES // GROUPS, VOLUME_GIB)
        groups.append(installation.new_group(f"memory-{number}", twins))
        volumes += [one for one, _ in twins]
    return groups, volumes
