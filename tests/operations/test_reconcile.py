"""Sites become what the database wants, whatever they missed; leftovers are taken back where somebody answers."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import func, select
from tests.operations.place import QUICK, SETTINGS, Place
from tests.operations.trying import Snapshots

from bilocate.domain.errors_operations import AgentTimeout, SecondaryNotServed, UnknownSite
from bilocate.domain.operation_states import OperationStatus
from bilocate.domain.volume_states import VolumeEvent
from bilocate.operations.exports import Connector
from bilocate.store.journal_models import Operation
from bilocate.store.models import Attachment, AttachmentKind, Group, Session, Volume
from bilocate.store.transitions import move_volume

CONNECTION = AttachmentKind.CONNECTION


async def leave_held(place: Place, group_id: str) -> None:
    """Both sites hold, and no operation is under way that would take that back."""
    async with place.database.writing() as db:
        session = await db.get(Session, group_id)
        assert session is not None
        session.held = session.quiesced = True
        epoch = session.epoch
    await place.operations.agents.quiesce("az1", group_id, epoch, attempt=epoch)
    await place.operations.agents.precheck("az2", group_id, epoch, attempt=epoch)


async def flags(place: Place, group_id: str) -> tuple[bool, bool]:
    session: Session = await place.row(Session, group_id)
    return session.held, session.quiesced


async def settlings(place: Place) -> int:
    async with place.database.reading() as db:
        return await db.scalar(select(func.count()).where(Operation.verb == "settle")) or 0


def test_each_site_is_let_go_as_soon_as_it_answers(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        az1, az2 = place.world.agents.values()
        await leave_held(place, group_id)
        az1.up = False
        await place.settle()
        assert await flags(place, group_id) == (False, True)
        assert not az2.halves[group_id].holds_hello
        before = await settlings(place)
        await place.settle()
        # Nobody tries what can't be done: the group stays free for whoever fails it over from the dead site.
        assert await settlings(place) == before
        az1.up = True
        await place.settle()
        assert await flags(place, group_id) == (False, False)
        assert not az1.halves[group_id].quiesced

    snapshots.in_step(work)


def test_a_site_that_falls_silent_in_the_middle_keeps_only_its_own_hold(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        az1, az2 = place.world.agents.values()
        await leave_held(place, group_id)
        az1.hangs = True
        assert await place.do("settle", group_id) is OperationStatus.SUCCEEDED
        assert await flags(place, group_id) == (False, True)
        az1.hangs, az2.hangs = False, True
        assert await place.do("settle", group_id) is OperationStatus.SUCCEEDED
        assert await flags(place, group_id) == (False, False)

    snapshots.in_step(work)


def test_a_site_is_told_what_it_missed_as_soon_as_it_says_hello(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        az1 = place.world.agents["az1"]
        az1.up = False
        assert await place.do("failover", group_id) is OperationStatus.SUCCEEDED
        await place.operations.reconciler.start()
        await asyncio.sleep(0)
        az1.up = True
        await place.operations.site_hello("az1", "i", "b")
        async with asyncio.timeout(20):  # less than the time between two rounds
            while az1.halves[group_id].primary:
                await asyncio.sleep(0.005)
        with pytest.raises(UnknownSite):
            await place.operations.site_hello("az9", "i", "b")
        await place.operations.reconciler.stop()

    slow = replace(SETTINGS, timing=replace(QUICK, reconcile_every_seconds=60.0))
    snapshots.in_step(work, slow)


def test_a_session_that_the_database_has_not_is_ended_with_the_epoch_that_was_seen(
    snapshots: Snapshots,
) -> None:
    async def work(place: Place, group_id: str) -> None:
        az2 = place.world.agents["az2"]
        assert await place.do("stop", group_id) is OperationStatus.SUCCEEDED
        members = sorted(az2.halves[group_id].wanted["members"], key=lambda member: str(member["pair_id"]))
        pair_ids = [member["pair_id"] for member in members]
        assert await place.do("update_group", group_id, remove=pair_ids) is OperationStatus.SUCCEEDED
        az2.up = False
        assert await place.do("delete_pair", pair_ids[0]) is OperationStatus.SUCCEEDED
        assert pair_ids[0] in az2.halves
        az2.up = True
        await place.settle()
        assert sorted(az2.halves) == pair_ids[1:]
        assert az2.volumes[members[0]["volume_id"]].session_id is None

    snapshots.in_step(work)


def test_nothing_is_wanted_of_a_volume_whose_deletion_failed_half_way(snapshots: Snapshots) -> None:
    """Its data may be gone: it is neither made anew nor asked for again and again."""

    async def work(place: Place, group_id: str) -> None:
        volume_id = await place.volume("az1")
        az1 = place.world.agents["az1"]
        async with place.database.writing() as db:
            volume = await db.get(Volume, volume_id)
            assert volume is not None
            move_volume(volume, VolumeEvent.DELETE)
            move_volume(volume, VolumeEvent.DELETE_FAILED)
            volume.wanted_revision += 1
        del az1.volumes[volume_id]
        az1.calls.clear()
        assert await place.operations.reconciler.round("az1")
        assert az1.calls == ["GET status"]

    snapshots.in_step(work)


def test_a_connection_that_was_not_answered_in_time_is_taken_back(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        az1 = place.world.agents["az1"]
        volume_id = (await place.volumes_of(group_id, "az1"))[0]
        az1.deaf = True
        with pytest.raises(AgentTimeout):
            await place.operations.connect(volume_id, CONNECTION, Connector("h"), project_id="p")
        assert len(az1.volumes[volume_id].exports) == 1  # it took it up all the same
        az1.deaf = False
        await place.settle()
        assert az1.volumes[volume_id].exports == []
        dr_volume = (await place.volumes_of(group_id, "az2"))[0]
        with pytest.raises(SecondaryNotServed, match="fail the group over to az2"):
            await place.operations.connect(dr_volume, CONNECTION, Connector("h"), project_id="p")

    snapshots.in_step(work)


def test_a_dead_sites_connections_are_ended_without_waiting_for_it(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        az1 = place.world.agents["az1"]
        volume_id = (await place.volumes_of(group_id, "az1"))[0]
        made = await place.operations.connect(volume_id, CONNECTION, Connector("h"), project_id="p")
        az1.hangs = True
        async with asyncio.timeout(10):
            await place.operations.disconnect(made.id, project_id="p")
        assert (await place.row(Attachment, made.id)).ended_because == "ended by its user"
        az1.hangs = False
        await place.settle()
        assert az1.volumes[volume_id].exports == []

    snapshots.in_step(work, replace(SETTINGS, timing=replace(QUICK, agent_call_seconds=60.0)))


def test_a_call_that_is_carried_out_after_it_was_taken_back_is_taken_back_again(snapshots: Snapshots) -> None:
    """A check, and a quiesce, that reached their agents late: the database knows of no hold, the agents do."""

    async def work(place: Place, group_id: str) -> None:
        az1, az2 = place.world.agents.values()
        epoch = (await place.row(Session, group_id)).epoch
        await place.operations.agents.quiesce("az1", group_id, epoch, attempt=epoch)
        await place.operations.agents.precheck("az2", group_id, epoch, attempt=epoch)
        assert await flags(place, group_id) == (False, False)
        await place.settle()
        await place.settle()
        assert not az2.halves[group_id].holds_hello
        assert not az1.halves[group_id].quiesced
        assert await flags(place, group_id) == (False, False)

    snapshots.in_step(work)


def test_a_hold_of_an_operation_under_way_is_no_leftover(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        az2 = place.world.agents["az2"]
        epoch = (await place.row(Session, group_id)).epoch
        async with place.database.writing() as db:
            group = await db.get(Group, group_id)
            assert group is not None
            group.operation_id = "00000000-0000-0000-0000-000000000000"
        await place.operations.agents.precheck("az2", group_id, epoch, attempt=epoch)
        await place.settle()
        assert az2.halves[group_id].holds_hello
        assert await flags(place, group_id) == (False, False)

    snapshots.in_step(work)


def test_a_stop_at_the_moment_of_a_kick_is_a_stop(snapshots: Snapshots) -> None:
    """As when the controller ends while an operation does."""

    async def work(place: Place, group_id: str) -> None:
        reconciler = place.operations.reconciler
        await reconciler.start()
        await asyncio.sleep(0.2)  # its first rounds are over, and it waits
        reconciler.kick()
        async with asyncio.timeout(5):
            await reconciler.stop()

    snapshots.in_step(work)
