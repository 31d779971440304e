"""The sites' last reports: shared, asked for anew, and never waited for longer than asked."""

import asyncio
import time
from dataclasses import replace

from tests.operations.place import QUICK, SETTINGS, Place
from tests.operations.trying import Snapshots

from bilocate.domain.observed import FaultLevel, Replication

PATIENT = replace(SETTINGS, timing=replace(QUICK, observe_timeout_seconds=60.0))
LONG = 10.0  # seconds: far less than a site is waited for, far more than anything here takes


def test_many_who_ask_at_once_share_one_question(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        observer, az1 = place.operations.observer, place.world.agents["az1"]

        async def take_time() -> None:
            await asyncio.sleep(0.02)

        az1.before["GET status"] = take_time
        asked = len(az1.calls)
        await asyncio.gather(*(observer.fresh("az1") for _ in range(20)))
        # The first one's answer may be older than the others' question; the second one's is nobody's.
        assert len(az1.calls) - asked == 2
        await observer.fresh("az1", max_age=60.0)
        assert len(az1.calls) - asked == 2

    snapshots.in_step(work)


def test_a_silent_site_is_waited_for_once(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        observer, az1 = place.operations.observer, place.world.agents["az1"]
        await observer.freshen(["az1", "az2"], 0.0)
        az1.hangs = True
        began = time.monotonic()
        await observer.freshen(["az1", "az2"], 0.0, 0.2)
        assert 0.1 < time.monotonic() - began < LONG
        assert observer.last("az1").answered  # what it said last; that it is silent now is not known yet
        began = time.monotonic()
        for _ in range(50):
            await observer.freshen(["az1", "az2"], 0.0, 0.2)
        assert time.monotonic() - began < 50 * 0.2
        assert observer.last("az2").asked_at > began
        await observer.stop()

    snapshots.in_step(work, PATIENT)


def test_the_truth_of_a_group_whose_site_has_died(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        observe = place.operations.observe
        seen = (await observe([group_id], 1.0))[group_id]
        assert (seen.replication, seen.fault) == (Replication.ACTIVE, FaultLevel.NONE)
        assert await place.operations.unlinked() == []
        place.world.agents["az1"].up = False
        await place.operations.observer.fresh("az1")
        seen = (await observe([group_id], 1.0))[group_id]
        assert (seen.replication, seen.fault) == (Replication.INACTIVE, FaultLevel.PRODUCTION_LOST)
        assert await place.operations.unlinked() == [group_id]
        await place.do("failover", group_id)
        seen = (await observe([group_id], 1.0))[group_id]
        # Nothing was lost, and nothing is to replicate now: so the documented API has it.
        assert (seen.replication, seen.fault) == (Replication.PAUSED_EQUAL, FaultLevel.NONE)
        assert await place.operations.unlinked() == []

    snapshots.in_step(work)


def test_what_the_row_says_is_not_shown_later_because_a_report_is_older(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        place.world.agents["az2"].up = False
        await place.world.converge()
        await place.operations.observer.freshen(["az1", "az2"], 0.0)
        seen = (await place.operations.observe([group_id], 1.0))[group_id]
        assert seen.replication is Replication.INACTIVE
        place.world.agents["az2"].up = True
        await place.world.converge()
        seen = (await place.operations.observe([group_id], 1.0))[group_id]
        assert (seen.replication, seen.fault) == (Replication.ACTIVE, FaultLevel.NONE)

    snapshots.in_step(work)


def test_a_failover_that_lost_data_does_not_look_like_one_that_lost_none(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        await place.do("stop", group_id)
        for volume_id in await place.volumes_of(group_id, "az1"):
            await place.world.write("az1", volume_id)
        place.world.agents["az1"].up = False
        await place.do("failover", group_id, allow_data_loss=True)
        seen = (await place.operations.observe([group_id], 1.0))[group_id]
        assert seen.replication is Replication.INACTIVE

    snapshots.in_step(work)
