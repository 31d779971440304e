"""What the verbs of groups refuse, and what reaches a site before what they tell it: the situations that the
simulation's operators seldom or never meet (docs/proof.md, "Rare branches")."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select
from tests.operations.place import Place, at_a_place, empty_group, paused_group
from tests.operations.trying import Snapshots

from bilocate.domain.errors_operations import (
    AgentBusy,
    DirectionsDiffer,
    GroupEmpty,
    NotAMember,
    NotFound,
    NotPaused,
    Settling,
)
from bilocate.domain.errors_volumes import AdoptedNotExtended, DiskCannotGrow
from bilocate.domain.geometry import GIB
from bilocate.domain.operation_states import OperationStatus
from bilocate.domain.volume_states import VolumeStatus
from bilocate.operations import service
from bilocate.operations.verbs import extend_group
from bilocate.store.columns import new_id
from bilocate.store.models import Group, Pair, Session, Volume

SUCCEEDED, FAILED = OperationStatus.SUCCEEDED, OperationStatus.FAILED


async def extended(place: Place, group_id: str, size_gib: int = 3) -> OperationStatus:
    async with place.database.reading() as db:
        pairs = await db.scalars(select(Pair.id).where(Pair.group_id == group_id))
        sizes = dict.fromkeys(pairs, size_gib)
    return await place.do("extend_group", group_id, sizes_gib=sizes)


def times(agent_refuses: dict[str, str], name: str, code: str, count: int) -> Callable[[], Awaitable[None]]:
    """Refuse so many calls of that name; set as `on_refusal`."""
    agent_refuses[name] = code
    left = count

    async def refused() -> None:
        nonlocal left
        left -= 1
        if not left:
            del agent_refuses[name]

    return refused


@pytest.mark.parametrize("verb", ["sync", "failover", "reverse"])
def test_a_group_without_pairs_has_nothing_to_act_on(snapshots: Snapshots, verb: str) -> None:
    async def work(place: Place, group_id: str) -> None:
        before = await place.told()
        with pytest.raises(GroupEmpty, match="add pairs to it first"):
            await place.begin(verb, group_id, {})
        assert await place.told() == before

    snapshots.with_group(empty_group, work)


def test_only_members_leave_a_group(snapshots: Snapshots) -> None:
    """A pair of no group, a pair of another group, one that does not exist, and another project's group."""

    async def work(place: Place, group_id: str) -> None:
        free = await place.pair()
        other_group = await place.group(1)
        async with place.database.reading() as db:
            others = (await db.scalars(select(Pair.id).where(Pair.group_id == other_group))).one()
        before = await place.told()
        for pair_id in (free, others, new_id()):
            with pytest.raises(NotAMember) as refused:
                await place.begin("update_group", group_id, {"remove": [pair_id]})
            assert pair_id in str(refused.value)
            assert group_id in str(refused.value)
        for verb in ("update_group", "sync", "stop", "failover", "reverse", "delete_group"):
            with pytest.raises(NotFound):
                await place.operations.perform(verb, group_id, {}, project_id="q", requested_by="t")
        assert await place.told() == before

    snapshots.with_group(paused_group, work)


def test_members_change_only_while_replication_is_stopped(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        async with place.database.reading() as db:
            members = list(await db.scalars(select(Pair.id).where(Pair.group_id == group_id)))
        with pytest.raises(NotPaused):
            await place.begin("update_group", group_id, {"remove": members[:1]})

    snapshots.in_step(work)


@pytest.mark.parametrize("flag", ["held", "quiesced"])
@pytest.mark.parametrize("verb", ["update_group", "reverse", "extend_group"])
def test_what_an_ended_operation_left_is_taken_back_first(
    snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch, verb: str, flag: str
) -> None:
    monkeypatch.setattr(service, "BUSY_WAIT_SECONDS", 0.0)

    async def work(place: Place, group_id: str) -> None:
        if verb == "update_group":
            assert await place.do("stop", group_id) is SUCCEEDED
        async with place.database.writing() as db:
            members = list(await db.scalars(select(Pair.id).where(Pair.group_id == group_id)))
            session = await db.get(Session, group_id)
            assert session is not None
            setattr(session, flag, True)
        choices: dict[str, dict[str, Any]] = {
            "update_group": {"remove": members[:1]},
            "reverse": {},
            "extend_group": {"sizes_gib": {members[0]: 2}},
        }
        args = choices[verb]
        with pytest.raises(Settling):
            await place.begin(verb, group_id, args)
        await place.settle()
        assert await place.do(verb, group_id, **args) is SUCCEEDED

    snapshots.in_step(work)


def test_an_adopted_volume_does_not_grow_in_a_pair(sqlite_url: str) -> None:
    """What its device has behind the volume's end is not known to be equal at both sites."""

    async def work(place: Place) -> None:
        place.world.agents["az1"].devices["/dev/old"] = GIB
        adopted = new_id()
        args = {"size_gib": 1, "volume_type": "fast", "site": "az1", "source": "/dev/old"}
        assert await place.do("create_volume", adopted, **args) is SUCCEEDED
        pair_id, group_id = new_id(), new_id()
        volumes = [adopted, await place.volume("az2")]
        done = await place.do("create_pair", pair_id, volume_ids=volumes, priority_site="az1")
        assert done is SUCCEEDED
        done = await place.do("create_group", group_id, pair_ids=[pair_id], priority_site="az1")
        assert done is SUCCEEDED
        before = await place.told()
        with pytest.raises(AdoptedNotExtended) as refused:
            await place.begin("extend_group", group_id, {"sizes_gib": {pair_id: 2}})
        assert adopted in str(refused.value)
        assert await place.told() == before

    at_a_place(sqlite_url, work)


@pytest.mark.parametrize("code", ["older_revision", "older_epoch", "in_session"])
def test_a_disk_that_is_told_something_newer_meanwhile_grows_at_the_next_attempt(
    snapshots: Snapshots, code: str
) -> None:
    async def work(place: Place, group_id: str) -> None:
        az2 = place.world.agents["az2"]
        az2.on_refusal = times(az2.refuse, "PUT volumes", code, 2)
        assert await extended(place, group_id) is SUCCEEDED
        assert not az2.refuse, "nothing was refused"
        for volume_id in await place.volumes_of(group_id, "az2"):
            assert az2.volumes[volume_id].size_bytes == 3 * GIB

    snapshots.in_step(work)


@pytest.mark.parametrize("site", ["az1", "az2"])
def test_a_push_of_a_growing_group_that_was_overtaken_is_no_failure(snapshots: Snapshots, site: str) -> None:
    """Another controller's push was faster, and told something newer: the older one is refused."""

    async def work(place: Place, group_id: str) -> None:
        agent = place.world.agents[site]
        overtaken = False

        async def overtake() -> None:
            nonlocal overtaken
            if (await place.row(Group, group_id)).operation_id is None:
                return
            del agent.before["PUT sessions"]
            async with place.database.writing() as db:
                session = await db.get(Session, group_id)
                assert session is not None
                session.revision += 1
            await place.operations.reconciler.push_session(site, group_id)
            overtaken = True

        agent.before["PUT sessions"] = overtake
        assert await extended(place, group_id) is SUCCEEDED
        assert overtaken
        for volume_id in await place.volumes_of(group_id, site):
            assert agent.volumes[volume_id].size_bytes == 3 * GIB

    snapshots.in_step(work)


def test_a_site_whose_disk_fails_behind_the_making_of_room_is_named_in_the_end_of_an_extension(
    snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extend_group, "PATIENCE_SECONDS", 0.2)

    async def work(place: Place, group_id: str) -> None:
        az2 = place.world.agents["az2"]
        az2.refuse["PUT sessions"] = extend_group.NO_ROOM
        async with place.database.reading() as db:
            members = list(await db.scalars(select(Pair.id).where(Pair.group_id == group_id)))
        operation_id = await place.begin("extend_group", group_id, {"sizes_gib": dict.fromkeys(members, 3)})
        assert await place.operations.finished(operation_id, 20) is FAILED
        operation = await place.operation(operation_id)
        assert operation.error_kind == DiskCannotGrow.__name__
        assert "az2" in str(operation.error)
        az2.refuse.clear()
        assert await extended(place, group_id) is SUCCEEDED

    snapshots.in_step(work)


@pytest.mark.parametrize("code", ["older_revision", "older_epoch"])
def test_a_free_volume_whose_exports_are_being_changed_grows_at_the_next_attempt(
    sqlite_url: str, code: str
) -> None:
    async def work(place: Place) -> None:
        volume_id = await place.volume("az1")
        az1 = place.world.agents["az1"]
        az1.on_refusal = times(az1.refuse, "PUT volumes", code, 2)
        assert await place.do("extend_volume", volume_id, new_size_gib=2) is SUCCEEDED
        assert not az1.refuse, "nothing was refused"
        assert (await place.row(Volume, volume_id)).size_gib == 2
        assert az1.volumes[volume_id].size_bytes == 2 * GIB

    at_a_place(sqlite_url, work)


@pytest.mark.parametrize("code", ["older_revision", "older_epoch"])
def test_a_put_that_was_overtaken_leaves_the_sites_as_wanted(snapshots: Snapshots, code: str) -> None:
    """Of a round, and of a push: whoever was faster told nothing older."""

    async def work(place: Place, group_id: str) -> None:
        az1 = place.world.agents["az1"]
        volume_id = (await place.volumes_of(group_id, "az1"))[0]
        az1.on_refusal = times(az1.refuse, "PUT volumes", code, 1)
        await place.operations.reconciler.push_volume(volume_id)
        assert not az1.refuse, "nothing was refused"
        async with place.database.writing() as db:
            session = await db.get(Session, group_id)
            assert session is not None
            session.revision += 1
        az1.on_refusal = times(az1.refuse, "PUT sessions", code, 1)
        assert await place.operations.reconciler.round("az1")
        assert not az1.refuse, "nothing was refused"

    snapshots.in_step(work)


def test_a_volume_whose_exports_are_being_changed_gets_no_status_by_hand(sqlite_url: str) -> None:
    async def work(place: Place) -> None:
        volume_id = await place.volume("az1")
        az1 = place.world.agents["az1"]
        az1.refuse["PUT volumes"] = "volume_unusable"
        assert await place.do("extend_volume", volume_id, new_size_gib=2) is FAILED
        before = await place.row(Volume, volume_id)
        az1.refuse["PUT volumes"] = "older_revision"
        with pytest.raises(AgentBusy, match="exports"):
            await place.operations.reset_status(volume_id, VolumeStatus.AVAILABLE, project_id="p")
        assert (await place.row(Volume, volume_id)).status is before.status

    at_a_place(sqlite_url, work)


async def turned(place: Place, pair_id: str, now_at: str) -> None:
    """Production of a pair that is in no group goes to its other site, as the refusal of such a pair says."""
    group_id = new_id()
    made = await place.do("create_group", group_id, pair_ids=[pair_id], priority_site=now_at)
    assert made is SUCCEEDED
    for verb, args in (("sync", {}), ("reverse", {}), ("stop", {}), ("update_group", {"remove": [pair_id]})):
        await place.world.converge()
        assert await place.do(verb, group_id, **args) is SUCCEEDED, verb


def test_a_pair_of_the_other_direction_can_be_turned(sqlite_url: str) -> None:
    async def work(place: Place) -> None:
        pair_id, group_id = await place.pair(), await place.group(1)
        await turned(place, pair_id, "az1")
        assert (await place.row(Pair, pair_id)).priority_site == "az2"
        with pytest.raises(
            DirectionsDiffer, match=r"is in az2, that of the group in az1.*sync and reverse that"
        ):
            await place.begin("update_group", group_id, {"add": [pair_id]})
        await turned(place, pair_id, "az2")
        assert await place.do("update_group", group_id, add=[pair_id]) is SUCCEEDED
        assert (await place.row(Pair, pair_id)).group_id == group_id

    at_a_place(sqlite_url, work)
