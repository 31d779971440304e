"""Failover (rule 22): needs nothing of the site that is left, loses no race silently, and can be repeated."""

import asyncio
import time
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from tests.operations.place import QUICK, SETTINGS, Place, at_a_place
from tests.operations.trying import Snapshots

from bilocate.domain.errors_operations import (
    AgentUnavailable,
    MomentsDiffer,
    SecondaryBehind,
    SecondaryInconsistent,
)
from bilocate.domain.group_states import GroupStatus
from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.verbs import failover, reverse
from bilocate.operations.verbs._failover_check import require_promotable
from bilocate.store.models import Group, Session

# Every question to a site is waited for as good as for ever: whoever asks a stopped one does not come back.
PATIENT = replace(
    SETTINGS,
    timing=replace(
        QUICK, agent_call_seconds=60.0, observe_timeout_seconds=60.0, precheck_seconds=60.0, tell_seconds=60.0
    ),
)
SOON = 10.0  # seconds: for what takes milliseconds, on a loaded machine


async def status_of(place: Place, group_id: str) -> GroupStatus:
    group: Group = await place.row(Group, group_id)
    return group.status


async def session_of(place: Place, group_id: str) -> Session:
    found: Session = await place.row(Session, group_id)
    return found


async def fail_over(place: Place, group_id: str, **args: bool) -> None:
    assert await place.do("failover", group_id, **args) is OperationStatus.SUCCEEDED
    assert await status_of(place, group_id) is GroupStatus.FAILED_OVER
    session = await session_of(place, group_id)
    assert (session.primary_site, session.held, session.quiesced) == ("az2", False, False)
    for volume_id in await place.volumes_of(group_id, "az2"):
        assert await place.world.write("az2", volume_id)


def test_a_stopped_primary_is_not_waited_for(snapshots: Snapshots) -> None:
    """SIGSTOP: connections are taken and nothing is answered. The observer asks it all the time, nobody else."""

    async def work(place: Place, group_id: str) -> None:
        await place.operations.observer.start()
        place.world.agents["az1"].hangs = True
        began = time.monotonic()
        await fail_over(place, group_id)
        assert time.monotonic() - began < SOON
        observed = await place.operations.observe([group_id], 0.01)
        assert group_id in observed
        assert time.monotonic() - began < SOON
        await place.operations.observer.stop()

    snapshots.in_step(work, PATIENT)


@pytest.mark.parametrize("hangs", [False, True], ids=["dead", "stopped"])
def test_hosts_left_held_by_a_reversal_do_not_keep_the_group_from_failing_over(
    snapshots: Snapshots, hangs: bool
) -> None:
    """The production site dies while it is being quiesced: nobody can take that back there, nor needs to."""

    async def work(place: Place, group_id: str) -> None:
        az1 = place.world.agents["az1"]

        async def die() -> None:
            az1.up, az1.hangs, az1.deaf = hangs, hangs, True

        az1.before["POST quiesce"] = die
        assert await place.do("reverse", group_id) is OperationStatus.FAILED
        assert await status_of(place, group_id) is GroupStatus.AVAILABLE
        assert (await session_of(place, group_id)).quiesced
        await fail_over(place, group_id)

    timing = replace(QUICK, agent_call_seconds=0.2, quiesce_seconds=0.2)
    with patch.object(reverse, "QUIESCE_PATIENCE_SECONDS", 0.1):
        snapshots.in_step(work, replace(SETTINGS, timing=timing))


def test_a_reversal_from_a_primary_that_hangs_ends_soon_and_lets_a_failover_in(snapshots: Snapshots) -> None:
    """A quiesce may take long, but an agent that is at work on one answers other calls meanwhile."""

    async def work(place: Place, group_id: str) -> None:
        az1 = place.world.agents["az1"]

        async def stop() -> None:
            az1.hangs = True
            await asyncio.sleep(60.0)

        az1.before["POST quiesce"] = stop
        began = time.monotonic()
        assert await place.do("reverse", group_id) is OperationStatus.FAILED
        await fail_over(place, group_id)
        assert time.monotonic() - began < SOON

    timing = replace(QUICK, quiesce_seconds=60.0, agent_call_seconds=60.0, observe_timeout_seconds=0.2)
    with patch.object(reverse, "QUIESCE_PATIENCE_SECONDS", 0.1):
        snapshots.in_step(work, replace(SETTINGS, timing=timing))


def test_a_quiesce_that_takes_long_is_waited_for(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        async def drain() -> None:
            await asyncio.sleep(0.5)

        place.world.agents["az1"].before["POST quiesce"] = drain
        assert await place.do("reverse", group_id) is OperationStatus.SUCCEEDED

    timing = replace(QUICK, tell_seconds=0.05, observe_timeout_seconds=5.0)
    snapshots.in_step(work, replace(SETTINGS, timing=timing))


def test_a_hold_left_at_the_secondary_is_in_no_failovers_way(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        az2 = place.world.agents["az2"]
        az2.refuse["POST precheck"] = "flush_failed"
        az2.refuse["POST release"] = "busy"
        place.operations.reconciler.on_leftover = lambda session_id: None
        assert await place.do("failover", group_id) is OperationStatus.FAILED
        assert (await session_of(place, group_id)).held
        az2.refuse.clear()
        place.world.agents["az1"].up = False
        await fail_over(place, group_id)

    snapshots.in_step(work)


def test_a_stop_that_waits_for_the_dying_site_is_waited_for_and_no_longer_than_it_takes(
    snapshots: Snapshots,
) -> None:
    async def work(place: Place, group_id: str) -> None:
        place.world.agents["az1"].hangs = True
        sync = await place.begin("sync", group_id, {})
        began = time.monotonic()
        await fail_over(place, group_id)
        assert time.monotonic() - began < SOON
        assert await place.end_of(sync) is OperationStatus.SUCCEEDED

    snapshots.in_step(work, replace(SETTINGS, timing=replace(QUICK, agent_call_seconds=60.0)))


def test_an_agent_in_the_middle_of_it_is_asked_again(snapshots: Snapshots) -> None:
    """Its disks took longer than a call is waited for: the repeated call finds it busy, which is no refusal."""

    async def work(place: Place, group_id: str) -> None:
        az1, az2 = place.world.agents.values()
        az1.up = False
        busy = 3

        async def finish() -> None:
            nonlocal busy
            busy -= 1
            if busy == 0:
                del az2.refuse["PUT sessions"]

        az2.refuse["PUT sessions"] = "busy"
        az2.on_refusal = finish
        await fail_over(place, group_id)
        assert busy == 0

    snapshots.in_step(work)


def test_a_refused_failover_leaves_everything_as_it_was(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        before = await place.told()
        az2 = place.world.agents["az2"]

        async def restart() -> None:
            for volume_id in await place.volumes_of(group_id, "az2"):
                az2.volumes[volume_id].dirty = 4096  # unsure since a restart (UNSURE)

        az2.before["POST precheck"] = restart
        operation_id = await place.begin("failover", group_id, {})
        assert await place.end_of(operation_id) is OperationStatus.FAILED
        operation = await place.operation(operation_id)
        assert "allow_data_loss" in str(operation.error)
        for volume_id in await place.volumes_of(group_id, "az2"):
            az2.volumes[volume_id].dirty = 0
        assert await place.told() == before
        assert await place.world.write("az1", (await place.volumes_of(group_id, "az1"))[0])

    snapshots.in_step(work)


def test_a_secondary_that_is_unsure_since_a_restart_is_refused_at_the_call(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        before = await place.told()
        az2 = place.world.agents["az2"]
        for volume_id in await place.volumes_of(group_id, "az2"):
            az2.volumes[volume_id].dirty = 4096
        with pytest.raises(SecondaryBehind, match=r"8192 bytes unsure after a restart.*allow_data_loss"):
            await place.begin("failover", group_id, {})
        for volume_id in await place.volumes_of(group_id, "az2"):
            az2.volumes[volume_id].dirty = 0
        assert await place.told() == before
        operation_id = await place.begin("failover", group_id, {})
        assert await place.end_of(operation_id) is OperationStatus.SUCCEEDED

    snapshots.in_step(work)


@pytest.mark.parametrize("lost_races", [1, 3, 4])
def test_a_living_primary_may_win_the_race_a_few_times(snapshots: Snapshots, lost_races: int) -> None:
    """The row's version moves between the check and the commit: the primary lost its link and asked for a permit."""

    async def work(place: Place, group_id: str) -> None:
        az1, az2 = place.world.agents.values()
        left = lost_races

        async def win() -> None:
            nonlocal left
            if left:
                left -= 1
                half = az1.halves[group_id]
                half.in_step = False
                await az1.drive(half)

        async def hold_and_win() -> None:
            az2.halves[group_id].holds_hello = True
            await win()

        az2.before["POST precheck"] = hold_and_win
        operation_id = await place.begin("failover", group_id, {})
        # What the primary's agent does by itself: in step again as soon as the secondary takes hellos.
        driving = asyncio.create_task(keep_driving(place, group_id))
        status = await place.end_of(operation_id)
        driving.cancel()
        operation = await place.operation(operation_id)
        if lost_races > failover.Failover.rounds_most:
            assert status is OperationStatus.FAILED
            assert "az1 is alive" in str(operation.error)
            assert await status_of(place, group_id) is GroupStatus.AVAILABLE
            assert not (await session_of(place, group_id)).held
        else:
            assert status is OperationStatus.SUCCEEDED, operation.error
            assert operation.rounds == lost_races

    snapshots.in_step(work)


async def keep_driving(place: Place, group_id: str) -> None:
    az1, az2 = place.world.agents.values()
    while True:
        half = az1.halves[group_id]
        if half.primary and not half.in_step and not az2.halves[group_id].holds_hello:
            await az1.drive(half)
        await asyncio.sleep(0.005)


def test_a_repeated_failover_wants_the_new_site_to_answer(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        az1, az2 = place.world.agents.values()
        az1.up = False
        az2.refuse["PUT sessions"] = "cannot_promote"
        assert await place.do("failover", group_id) is OperationStatus.FAILED
        assert await status_of(place, group_id) is GroupStatus.ERROR_FAILING_OVER
        group = await place.row(Group, group_id)
        assert "refuses to be promoted" in group.failure_message
        az2.refuse.clear()
        az2.up = False
        with pytest.raises(AgentUnavailable, match="az2"):
            await place.begin("failover", group_id, {})
        assert await status_of(place, group_id) is GroupStatus.ERROR_FAILING_OVER
        az2.up = True
        await fail_over(place, group_id)

    snapshots.in_step(work)


def test_a_repeated_failover_that_allows_data_loss_vouches_for_a_ledger_that_was_lost_meanwhile(
    snapshots: Snapshots,
) -> None:
    """Else the group can't be brought to serve any more: no other verb is possible in error_failing_over."""

    async def work(place: Place, group_id: str) -> None:
        az1, az2 = place.world.agents.values()
        az1.up = False
        az2.refuse["PUT sessions"] = "cannot_promote"
        assert await place.do("failover", group_id) is OperationStatus.FAILED
        session = await session_of(place, group_id)
        assert (session.allow_dirty, session.trust_blank, session.forced) == (False, False, False)
        az2.refuse.clear()
        assert await place.do("failover", group_id, allow_data_loss=True) is OperationStatus.SUCCEEDED
        session = await session_of(place, group_id)
        # Forced: what the old production site alone holds is shown before it is overwritten.
        assert (session.allow_dirty, session.trust_blank, session.forced) == (True, True, True)

    snapshots.in_step(work)


def test_a_forced_failover_is_journalled_with_who_asked_and_how_far_behind(database_url: str) -> None:
    async def work(place: Place) -> None:
        group_id = await place.active_group()
        assert await place.do("stop", group_id) is OperationStatus.SUCCEEDED
        for volume_id in await place.volumes_of(group_id, "az1"):
            assert await place.world.write("az1", volume_id)
        await place.settle()
        place.world.agents["az1"].up = False
        with pytest.raises(SecondaryBehind, match="allow_data_loss"):
            await place.begin("failover", group_id, {})
        operation_id = await place.begin("failover", group_id, {"allow_data_loss": True})
        assert await place.end_of(operation_id) is OperationStatus.SUCCEEDED
        operation = await place.operation(operation_id)
        assert operation.args == {"allow_data_loss": True, "allow_mixed_moments": False}
        assert operation.requested_by == "tester"
        assert operation.facts["behind"]["bytes"] == 2 * 65536
        assert operation.facts["behind"]["seconds"] >= 0
        session = await session_of(place, group_id)
        assert session.forced
        assert session.allow_dirty

    at_a_place(database_url, work)


def test_MOMENT_pairs_that_joined_since_are_not_failed_over_with_the_others_unless_it_is_said(
    database_url: str,
) -> None:
    async def work(place: Place) -> None:
        group_id = await place.active_group()
        assert await place.do("stop", group_id) is OperationStatus.SUCCEEDED
        assert await place.do("update_group", group_id, add=[await place.pair()]) is OperationStatus.SUCCEEDED
        place.world.agents["az1"].up = False
        with pytest.raises(MomentsDiffer, match="allow_mixed_moments"):
            await place.begin("failover", group_id, {"allow_data_loss": True})
        assert not place.world.agents["az2"].halves[group_id].holds_hello
        assert await status_of(place, group_id) is GroupStatus.AVAILABLE
        with pytest.raises(SecondaryBehind):  # it is no leave to lose writes
            await place.begin("failover", group_id, {"allow_mixed_moments": True})
        await fail_over(place, group_id, allow_data_loss=True, allow_mixed_moments=True)

    at_a_place(database_url, work)


def test_MOMENT_after_a_sync_all_of_them_are_of_one(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        assert await place.do("stop", group_id) is OperationStatus.SUCCEEDED
        assert await place.do("update_group", group_id, add=[await place.pair()]) is OperationStatus.SUCCEEDED
        assert await place.do("sync", group_id) is OperationStatus.SUCCEEDED
        await place.settle()
        assert await place.do("stop", group_id) is OperationStatus.SUCCEEDED
        place.world.agents["az1"].up = False
        await fail_over(place, group_id, allow_data_loss=True)

    snapshots.in_step(work)


def test_MOMENT_the_check_has_the_last_word(snapshots: Snapshots) -> None:
    """A look at the agent says one thing, and the answer of its check another."""

    async def work(place: Place, group_id: str) -> None:
        assert await place.do("stop", group_id) is OperationStatus.SUCCEEDED
        az2 = place.world.agents["az2"]
        volume = az2.volumes[(await place.volumes_of(group_id, "az2"))[0]]

        async def look(*args: Any) -> None:
            await require_promotable(*args)
            volume.generation = "another"

        with patch("bilocate.operations.verbs.failover.require_promotable", look):
            assert await place.do("failover", group_id, allow_data_loss=True) is OperationStatus.FAILED
        assert await status_of(place, group_id) is GroupStatus.AVAILABLE
        assert not az2.halves[group_id].holds_hello

    snapshots.in_step(work)


def test_an_inconsistent_secondary_is_never_promoted(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        az2 = place.world.agents["az2"]
        volume = az2.volumes[(await place.volumes_of(group_id, "az2"))[0]]
        place.world.agents["az1"].up = False
        volume.consistent = False
        with pytest.raises(SecondaryInconsistent):
            await place.begin("failover", group_id, {"allow_data_loss": True})
        assert not az2.halves[group_id].holds_hello
        assert await status_of(place, group_id) is GroupStatus.AVAILABLE

    snapshots.in_step(work)


def test_a_group_fails_over_is_reprotected_and_reversed(database_url: str) -> None:
    """Once around, on both kinds of database."""

    async def work(place: Place) -> None:
        group_id = await place.active_group()
        az1 = place.world.agents["az1"]
        az1.up = False
        await fail_over(place, group_id)
        az1.up = True
        await place.settle()
        assert await place.do("reprotect", group_id) is OperationStatus.SUCCEEDED
        assert await status_of(place, group_id) is GroupStatus.AVAILABLE
        assert await place.do("reverse", group_id) is OperationStatus.SUCCEEDED
        session = await session_of(place, group_id)
        assert (session.primary_site, session.state.value, session.paused) == ("az1", "in_sync", False)
        one, other = await place.volumes_of(group_id, "az1"), await place.volumes_of(group_id, "az2")
        az2 = place.world.agents["az2"]
        contents = [(az1.volumes[a].content, az2.volumes[b].content) for a, b in zip(one, other, strict=True)]
        assert contents == [(2, 2), (2, 2)]

    at_a_place(database_url, work)


def test_a_release_that_comes_late_does_not_lift_the_hold_of_a_newer_failover(snapshots: Snapshots) -> None:
    """Its caller was told that it was done, and has gone; the network had kept a copy of it."""

    async def work(place: Place, group_id: str) -> None:
        az2 = place.world.agents["az2"]
        epoch = (await session_of(place, group_id)).epoch
        az2.refuse["POST precheck"] = "flush_failed"
        assert await place.do("failover", group_id) is OperationStatus.FAILED
        az2.refuse.clear()
        earlier, held = az2.halves[group_id].attempt, []

        async def late() -> None:
            await place.operations.agents.release("az2", group_id, epoch, earlier)
            held.append(az2.halves[group_id].holds_hello)

        place.world.agents["az1"].up = False
        az2.before["PUT sessions"] = late
        await fail_over(place, group_id)
        assert held[0]
        # The epoch that came of it is the number that its calls were known by.
        assert az2.halves[group_id].epoch > earlier > epoch

    snapshots.in_step(work)
