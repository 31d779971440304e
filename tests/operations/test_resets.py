"""What an admin does with a stuck volume, on both databases: where it is done, and what is refused."""

import pytest
from tests.operations.place import Place, at_a_place

from bilocate.domain.errors_operations import (
    AgentUnavailable,
    Conflict,
    NotFound,
    VolumeAttached,
    VolumeInPair,
    WrongStatus,
)
from bilocate.domain.errors_resets import PairedNotRetyped, SameType, StatusNotSet
from bilocate.domain.errors_volumes import ManyAttachments
from bilocate.domain.operation_states import OperationStatus
from bilocate.domain.volume_states import VolumeStatus
from bilocate.operations.exports import Connector
from bilocate.store.columns import new_id
from bilocate.store.models import AttachmentKind, Pair, Volume

S = VolumeStatus
HOST = Connector(host="h", properties={"host": "h"})


async def reset(place: Place, volume_id: str, wanted: VolumeStatus) -> None:
    await place.operations.reset_status(volume_id, wanted, project_id="p")
    assert await status(place, volume_id) is wanted


async def status(place: Place, volume_id: str) -> VolumeStatus:
    found: VolumeStatus = (await place.row(Volume, volume_id)).status
    return found


def test_a_status_that_is_true_is_set_and_no_site_hears_of_it(database_url: str) -> None:
    async def work(place: Place) -> None:
        attachments = place.operations.attachments
        volume_id = await place.volume("az1")
        before = [list(agent.calls) for agent in place.world.agents.values()]
        await attachments.reserve_volume(volume_id, "p")
        await reset(place, volume_id, S.AVAILABLE)
        await attachments.attach(volume_id, HOST, "p")
        await attachments.begin_detaching(volume_id, "p")
        await reset(place, volume_id, S.IN_USE)
        for wrong in (S.AVAILABLE, S.ERROR, S.DELETING):
            with pytest.raises(StatusNotSet):
                await reset(place, volume_id, wrong)
        assert [list(agent.calls) for agent in place.world.agents.values()] == before
        await attachments.detach(volume_id, None, "p")
        with pytest.raises(StatusNotSet, match="no host"):
            await reset(place, volume_id, S.IN_USE)
        await reset(place, volume_id, S.ERROR)
        await reset(place, volume_id, S.AVAILABLE)

    at_a_place(database_url, work)


def test_a_volume_that_was_never_made_or_may_be_gone_is_not_called_available(sqlite_url: str) -> None:
    async def work(place: Place) -> None:
        agent = place.world.agents["az1"]
        agent.refuse["PUT volumes"] = "volume_unusable"
        never_made = new_id()
        args = {"size_gib": 1, "volume_type": "fast", "site": "az1"}
        assert await place.do("create_volume", never_made, **args) is OperationStatus.FAILED
        agent.refuse.clear()
        with pytest.raises(StatusNotSet, match="never made"):
            await reset(place, never_made, S.AVAILABLE)
        half_gone = await place.volume("az1")
        agent.refuse["DELETE volumes"] = "volume_unusable"
        assert await place.do("delete_volume", half_gone) is OperationStatus.FAILED
        agent.refuse.clear()
        with pytest.raises(WrongStatus, match="may be gone"):
            await reset(place, half_gone, S.AVAILABLE)
        for each in (never_made, half_gone):
            assert await place.do("delete_volume", each, force=True) is OperationStatus.SUCCEEDED

    at_a_place(sqlite_url, work)


@pytest.mark.parametrize("grown", [True, False])
def test_a_volume_that_did_not_grow_is_available_again_if_its_disk_says_so(
    sqlite_url: str, grown: bool
) -> None:
    """Sizes are compared by rows: a disk that is larger than its row must not come into a pair."""

    async def work(place: Place) -> None:
        volume_id = await place.volume("az1")
        agent = place.world.agents["az1"]
        agent.refuse["PUT volumes"] = "volume_unusable"
        assert await place.do("extend_volume", volume_id, new_size_gib=2) is OperationStatus.FAILED
        agent.refuse.clear()
        agent.up = False
        with pytest.raises(AgentUnavailable):
            await reset(place, volume_id, S.AVAILABLE)
        agent.up = True
        if grown:
            agent.volumes[volume_id].size_bytes *= 2
            with pytest.raises(StatusNotSet, match="2 GiB and not 1"):
                await reset(place, volume_id, S.AVAILABLE)
        else:
            await reset(place, volume_id, S.AVAILABLE)

    at_a_place(sqlite_url, work)


def test_a_paired_volume_is_neither_called_broken_nor_deleted_nor_retyped(sqlite_url: str) -> None:
    async def work(place: Place) -> None:
        pair: Pair = await place.row(Pair, await place.pair())
        for volume_id in (pair.first_volume_id, pair.second_volume_id):
            with pytest.raises(VolumeInPair):
                await reset(place, volume_id, S.ERROR)
            with pytest.raises(VolumeInPair):
                await place.do("delete_volume", volume_id, force=True)
            with pytest.raises(PairedNotRetyped):
                await place.operations.retype(volume_id, "other", multiattach=False, project_id="p")
            assert await status(place, volume_id) is S.AVAILABLE

    at_a_place(sqlite_url, work)


def test_what_a_compute_service_left_is_deleted_by_force_but_not_from_under_a_host(
    database_url: str,
) -> None:
    async def work(place: Place) -> None:
        volume_id = await place.volume("az1")
        attachments = place.operations.attachments
        await attachments.reserve_volume(volume_id, "p")
        with pytest.raises(WrongStatus):
            await place.do("delete_volume", volume_id)
        kept = await attachments.attach(volume_id, HOST, "p")
        with pytest.raises(VolumeAttached):
            await place.do("delete_volume", volume_id, force=True)
        await attachments.end(kept.id, "p")
        await attachments.reserve_volume(volume_id, "p")
        assert await place.do("delete_volume", volume_id, force=True) is OperationStatus.SUCCEEDED
        assert volume_id not in place.world.agents["az1"].volumes

    at_a_place(database_url, work)


def test_a_missing_host_is_detached_and_its_connections_end(database_url: str) -> None:
    async def work(place: Place) -> None:
        attachments = place.operations.attachments
        volume_id = await place.volume("az1")
        await place.operations.connect(volume_id, AttachmentKind.CONNECTION, HOST, project_id="p")
        kept = await attachments.attach(volume_id, HOST, "p")
        await attachments.begin_detaching(volume_id, "p")
        assert len(await attachments.force_detach(volume_id, kept.id, None, "p")) == 2
        assert await status(place, volume_id) is S.AVAILABLE
        assert place.world.agents["az1"].volumes[volume_id].exports == []
        with pytest.raises(NotFound):
            await attachments.force_detach(volume_id, kept.id, None, "p")
        with pytest.raises(WrongStatus):
            await attachments.force_detach(volume_id, None, None, "p")
        await attachments.reserve_volume(volume_id, "p")
        assert await attachments.force_detach(volume_id, None, None, "p") == []
        assert await status(place, volume_id) is S.AVAILABLE

    at_a_place(database_url, work)


def test_of_several_hosts_the_missing_one_is_named(sqlite_url: str) -> None:
    async def work(place: Place) -> None:
        attachments = place.operations.attachments
        volume_id = await place.volume("az1")
        await place.operations.retype(volume_id, "shared", multiattach=True, project_id="p")
        for host in ("h", "h2"):
            await attachments.attach(volume_id, Connector(host=host), "p")
        with pytest.raises(ManyAttachments):
            await attachments.force_detach(volume_id, None, None, "p")
        assert len(await attachments.force_detach(volume_id, None, "h2", "p")) == 1
        assert await status(place, volume_id) is S.IN_USE
        with pytest.raises(WrongStatus):  # how many may attach is not changed under those that have
            await place.operations.retype(volume_id, "plain", multiattach=False, project_id="p")
        with pytest.raises(SameType):
            await place.operations.retype(volume_id, "shared", multiattach=True, project_id="p")
        await place.operations.retype(volume_id, "other", multiattach=True, project_id="p")

    at_a_place(sqlite_url, work)


def test_nothing_is_set_while_an_operation_has_the_volume(sqlite_url: str) -> None:
    async def work(place: Place) -> None:
        volume_id = await place.volume("az1")
        operation = await place.begin("extend_volume", volume_id, {"new_size_gib": 2})
        with pytest.raises(Conflict, match=operation):
            await reset(place, volume_id, S.AVAILABLE)
        await place.end_of(operation)

    at_a_place(sqlite_url, work)
