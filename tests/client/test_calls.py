"""The awaited client against the real API: volumes, pairs, groups and their verbs, attachments, quotas."""

import asyncio
import inspect

import pytest
from tests.api.conftest import World
from tests.client.conftest import AUTH_URL

from bilocate.client import (
    AsyncClient,
    Client,
    Conflict,
    Login,
    NotFound,
    OverLimit,
    Pair,
    Volume,
    WorkFailed,
)
from bilocate.client.client import Call, Calls
from bilocate.client.waiting import judge_reversed

pytestmark = pytest.mark.anyio
SECONDS = 20.0
SERVER = "99999999-2222-4333-8444-555555555555"


async def volume_at(client: AsyncClient, site: str, name: str = "data") -> Volume:
    made = await client.create_volume(name, 1, site, description="d", metadata={"tier": "1"})
    return await client.wait_for_volume(made.id, timeout_seconds=SECONDS)


async def pair_of(client: AsyncClient, name: str = "data") -> Pair:
    first, second = await asyncio.gather(
        volume_at(client, "az1", f"{name}-1"), volume_at(client, "az2", f"{name}-2")
    )
    made = await client.create_pair(name, [second.id, first.id], "az1", "p")
    return await client.wait_for_pair(made.id, timeout_seconds=SECONDS)


async def test_a_copy_takes_size_and_site_from_its_source(client: AsyncClient) -> None:
    source = await volume_at(client, "az2")
    made = await client.copy_volume("copy", source.id, metadata={"tier": "2"})
    copy = await client.wait_for_volume(made.id, timeout_seconds=SECONDS)
    assert (copy.name, copy.size, copy.site, copy.metadata) == ("copy", 1, "az2", {"tier": "2"})
    assert copy["source_volid"] == source.id
    assert (await client.copy_volume("larger", source.id, 3, "d")).size == 3


async def test_a_volume_is_typed_and_holds_all_that_the_api_said(client: AsyncClient) -> None:
    volume = await volume_at(client, "az1")
    assert (volume.name, volume.size, volume.site, volume.multiattach) == ("data", 1, "az1", False)
    assert volume.metadata == {"tier": "1"}
    assert volume["os-vol-tenant-attr:tenant_id"]  # a field that the type does not name
    assert Volume.of({**volume, "bilocate:site": "az1-2"}).site == "az1-2", "where its zone has several"
    changed = await client.update_volume(volume.id, name="books")
    assert (changed.name, changed.description) == ("books", "d")
    await client.extend_volume(volume.id, 2)
    grown = await client.wait_for_volume(volume.id, timeout_seconds=SECONDS)
    assert grown.size == 2
    connection = await client.connect_volume(volume.id, "shop-1")
    assert connection["data"]["uri"].startswith("nbd://")
    with pytest.raises(Conflict) as refused:
        await client.delete_volume(volume.id)
    assert (refused.value.status, refused.value.evs_code) == (409, "EVS.5409")
    await client.disconnect_volume(volume.id, "shop-1")
    await client.delete_volume(volume.id)
    await client.wait_volume_gone(volume.id, SECONDS)
    with pytest.raises(NotFound):
        await client.volume(volume.id)


async def test_a_pair_tells_its_volumes_in_the_order_given(client: AsyncClient) -> None:
    pair = await pair_of(client)
    ids = [(await client.find_volume(f"data-{number}")).id for number in (2, 1)]
    assert pair.volumes == ids
    assert (pair.size_gib, pair.percent, pair.priority_station, pair.replication_model) == (
        1, None, "az1", "hypermetro"
    )  # fmt: skip
    assert [each.id for each in await client.pairs(volume_id=ids[0])] == [pair.id]
    await client.delete_pair(pair.id)
    await client.wait_pair_gone(pair.id, SECONDS)
    assert await client.pairs() == []


async def test_a_group_through_all_its_verbs(client: AsyncClient) -> None:
    pairs = [await pair_of(client, name) for name in ("data", "log")]
    group = await client.create_group("shop", [pairs[0].id], "az1", "g")
    await client.wait_for_group(group.id, timeout_seconds=SECONDS)
    await client.update_group(group.id, {"add_replication_ids": [pairs[1].id]})
    group = await client.wait_for_group(group.id, timeout_seconds=SECONDS)
    assert group.replication_ids == [pair.id for pair in pairs]

    await client.act(group.id, "sync")
    await client.wait_for_group(group.id, "available", "active", timeout_seconds=SECONDS)
    await client.extend_group(group.id, {pairs[0].id: 2})
    assert (await client.pair(pairs[0].id)).size_gib == 2
    await client.act(group.id, "reverse", {"force": True})
    seen = await client.wait_for_group(group.id, judge=judge_reversed("az1"), timeout_seconds=SECONDS)
    assert seen.priority_station == "az2"
    await client.act(group.id, "failover")
    seen = await client.wait_for_group(group.id, "failovered", timeout_seconds=SECONDS)
    assert (seen.priority_station, seen.replication_status) == ("az1", "active-stopped")
    await client.act(group.id, "reprotect")
    await client.wait_for_group(group.id, "available", "active", timeout_seconds=SECONDS)
    await client.act(group.id, "stop")
    await client.wait_for_group(group.id, "available", "active-stopped", timeout_seconds=SECONDS)

    await client.update_group(group.id, {"remove_replication_ids": [pair.id for pair in pairs]})
    await client.wait_for_group(group.id, timeout_seconds=SECONDS)
    await client.delete_group(group.id)
    await client.wait_group_gone(group.id, SECONDS)
    assert await client.groups() == []


async def test_a_failover_that_was_taken_back_ends_the_wait_for_it(client: AsyncClient) -> None:
    """It would otherwise last until its time is over."""
    group = await client.create_group("shop", [(await pair_of(client)).id], "az1")
    await client.wait_for_group(group.id, timeout_seconds=SECONDS)
    with pytest.raises(WorkFailed, match="status available") as failed:
        await client.wait_for_group(group.id, "failovered", timeout_seconds=SECONDS)
    assert failed.value.seen["id"] == group.id


async def test_an_attachment_from_reservation_to_end(client: AsyncClient) -> None:
    volume = await volume_at(client, "az1")
    made = await client.create_attachment(volume.id, instance=SERVER)
    assert (made.volume_id, made.instance, made.status) == (volume.id, SERVER, "reserved")
    opened = await client.update_attachment(made.id, "shop-1")
    assert opened.connection_info is not None
    assert opened.connection_info["driver_volume_type"] == "nbd"
    await client.complete_attachment(made.id)
    assert [each.status for each in await client.attachments(volume_id=volume.id)] == ["attached"]
    assert (await client.attachment(made.id)).attach_mode == "rw"
    assert (await client.volume(volume.id)).status == "in-use"
    await client.delete_attachment(made.id)
    assert (await client.volume(volume.id)).status == "available"
    direct = await client.create_attachment(volume.id, "shop-2")
    assert direct.connection_info is not None


async def test_quotas_are_set_kept_and_taken_back(client: AsyncClient, world: World) -> None:
    project = world.api.project_id
    assert (await client.quotas(project)).volumes == -1
    assert (await client.set_quotas(project, volumes=0)).volumes == 0
    with pytest.raises(OverLimit, match="quota"):
        await client.create_volume("one too many", 1, "az1")
    await client.reset_quotas(project)
    assert (await client.quotas(project)).volumes == -1


async def test_readiness_is_told_by_site(client: AsyncClient) -> None:
    ready, told = await client.ready()
    assert ready
    assert told["agents"] == {"az1": "ok", "az2": "ok"}


def test_both_clients_have_every_call_and_tell_what_it_does() -> None:
    calls = [name for name, value in vars(Calls).items() if isinstance(value, Call)]
    assert len(calls) >= 40
    for kind in (Client, AsyncClient):
        client = kind(Login(AUTH_URL))
        for name in calls:
            assert inspect.getdoc(getattr(client, name)), name
