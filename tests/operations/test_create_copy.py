"""A volume that begins as a copy: an agent that dies or is away in the middle, and what may not happen meanwhile."""

import asyncio
from dataclasses import replace

import pytest
from tests.operations.place import QUICK, SETTINGS, Place, at_a_place

from bilocate.domain.errors_copies import CopyElsewhere, CopySmaller, SourceNotCopyable, VolumeBeingCopied
from bilocate.domain.errors_operations import AgentUnavailable, NotFound, WrongStatus
from bilocate.domain.geometry import GIB
from bilocate.domain.operation_states import OperationStatus
from bilocate.domain.volume_states import VolumeStatus
from bilocate.store.columns import new_id
from bilocate.store.models import Volume

SUCCEEDED, FAILED = OperationStatus.SUCCEEDED, OperationStatus.FAILED
CALL = "PUT copy"


def of(source_id: str, size_gib: int = 1, site: str = "az1") -> dict[str, object]:
    return {"size_gib": size_gib, "volume_type": "fast", "site": site, "source_volume_id": source_id}


async def begun(place: Place, source_id: str) -> tuple[str, str]:
    """A copy that the agent has begun and goes on with for ever: until `place` lets it be done. Volume, operation."""
    agent, copy_id = place.world.agents["az1"], new_id()
    asked = asyncio.Event()

    async def goes_on() -> None:
        asked.set()
        agent.copies.pop(copy_id, None)  # as if it had just begun

    agent.before[CALL] = goes_on
    operation_id = await place.begin("create_copy", copy_id, of(source_id))
    await asyncio.wait_for(asked.wait(), 20)
    return copy_id, operation_id


def test_it_is_what_the_source_holds_in_its_own_size(database_url: str) -> None:
    async def work(place: Place) -> None:
        source_id, copy_id = await place.volume("az1"), new_id()
        assert await place.world.write("az1", source_id)
        assert await place.do("create_copy", copy_id, **of(source_id, 3)) is SUCCEEDED
        copy: Volume = await place.row(Volume, copy_id)
        assert (copy.status, copy.made, copy.size_gib) == (VolumeStatus.AVAILABLE, True, 3)
        assert copy.source_volume_id == source_id
        there = place.world.agents["az1"].volumes
        assert (there[copy_id].content, there[copy_id].size_bytes) == (1, 3 * GIB)
        assert await place.do("delete_volume", source_id) is SUCCEEDED
        copy = await place.row(Volume, copy_id)
        assert copy.source_volume_id == source_id  # it stays told
        assert await place.do("delete_volume", copy_id) is SUCCEEDED

    at_a_place(database_url, work)


def test_what_can_be_seen_is_refused_at_the_call(sqlite_url: str) -> None:
    async def work(place: Place) -> None:
        source_id = await place.volume("az1")
        assert await place.do("extend_volume", source_id, new_size_gib=2) is SUCCEEDED
        for args, error in (
            (of(source_id), CopySmaller),
            (of(source_id, 2, "az2"), CopyElsewhere),
            (of(new_id(), 2), NotFound),
        ):
            with pytest.raises(error):
                await place.begin("create_copy", new_id(), args)
        with pytest.raises(NotFound):
            await place.operations.perform(
                "create_copy", new_id(), of(source_id, 2), project_id="other", requested_by="tester"
            )
        place.world.agents["az1"].volumes[source_id].consistent = False
        with pytest.raises(SourceNotCopyable, match="not_consistent"):
            await place.begin("create_copy", new_id(), of(source_id, 2))
        place.world.agents["az1"].up = False
        with pytest.raises(AgentUnavailable):
            await place.begin("create_copy", new_id(), of(source_id, 2))

    at_a_place(sqlite_url, work)


def test_a_source_that_is_not_whole_is_refused(sqlite_url: str) -> None:
    async def work(place: Place) -> None:
        source_id = await place.volume("az1")
        copy_id, operation_id = await begun(place, source_id)
        with pytest.raises(WrongStatus):
            await place.begin("create_copy", new_id(), of(copy_id))
        del place.world.agents["az1"].before[CALL]
        assert await place.end_of(operation_id) is SUCCEEDED
        assert await place.do("create_copy", new_id(), **of(copy_id)) is SUCCEEDED

    at_a_place(sqlite_url, work)


def test_a_source_is_neither_deleted_nor_extended_meanwhile(sqlite_url: str) -> None:
    async def work(place: Place) -> None:
        source_id = await place.volume("az1")
        copy_id, operation_id = await begun(place, source_id)
        with pytest.raises(VolumeBeingCopied, match=copy_id):
            await place.begin("delete_volume", source_id, {})
        with pytest.raises(VolumeBeingCopied, match=copy_id):
            await place.begin("extend_volume", source_id, {"new_size_gib": 2})
        del place.world.agents["az1"].before[CALL]
        assert await place.end_of(operation_id) is SUCCEEDED
        assert await place.do("extend_volume", source_id, new_size_gib=2) is SUCCEEDED
        assert await place.do("delete_volume", source_id) is SUCCEEDED

    at_a_place(sqlite_url, work)


def test_an_agent_that_dies_in_the_middle_begins_anew(sqlite_url: str) -> None:
    patient = replace(SETTINGS, timing=replace(QUICK, forward_patience_seconds=20.0))

    async def work(first: Place) -> None:
        place = first.successor(patient)
        source_id, agent = await place.volume("az1"), place.world.agents["az1"]
        copy_id, operation_id = await begun(place, source_id)
        agent.up = False
        agent.copies.clear()  # lost with it
        del agent.before[CALL]
        assert await place.world.write("az1", source_id)
        await asyncio.sleep(0.3)  # longer than a step is tried by itself
        assert await place.operations.finished(operation_id, 0.0) is None
        agent.up = True
        assert await place.end_of(operation_id) is SUCCEEDED
        assert agent.volumes[copy_id].content == 1
        await place.close()

    at_a_place(sqlite_url, work)


def test_an_agent_that_stays_away_ends_it(sqlite_url: str) -> None:
    async def work(place: Place) -> None:
        source_id, agent = await place.volume("az1"), place.world.agents["az1"]
        copy_id, operation_id = await begun(place, source_id)
        agent.up = False
        assert await place.operations.finished(operation_id, 20) is FAILED
        copy: Volume = await place.row(Volume, copy_id)
        assert (copy.status, copy.made, copy.operation_id) == (VolumeStatus.ERROR, False, None)
        assert copy.failure_message
        assert "az1" in copy.failure_message
        agent.up = True
        agent.copies[copy_id] = 0  # it was only not heard of: its copy goes with the volume
        assert await place.do("delete_volume", copy_id) is SUCCEEDED
        assert not agent.copies
        assert await place.do("delete_volume", source_id) is SUCCEEDED

    at_a_place(sqlite_url, work)


def test_a_copy_that_the_agent_could_not_make_says_why(sqlite_url: str) -> None:
    async def work(place: Place) -> None:
        source_id, agent = await place.volume("az1"), place.world.agents["az1"]
        agent.refuse[CALL] = "copy_failed"
        copy_id = new_id()
        assert await place.do("create_copy", copy_id, **of(source_id)) is FAILED
        copy: Volume = await place.row(Volume, copy_id)
        assert copy.status is VolumeStatus.ERROR
        assert "copy_failed" in str(copy.failure_message)
        assert copy_id not in agent.volumes
        assert await place.do("delete_volume", copy_id) is SUCCEEDED

    at_a_place(sqlite_url, work)
