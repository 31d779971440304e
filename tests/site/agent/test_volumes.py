"""Volumes at one agent: made, exported, restarted, lost and deleted over the control endpoint."""

import asyncio
import errno
import stat
from dataclasses import replace
from struct import pack, unpack

import pytest
from tests.site.agent.world import MIB, Controller, Site, until, volume_body

from bilocate.config import NbdListener
from bilocate.demo.nbd_client import NbdError, NbdGone

pytestmark = pytest.mark.anyio


async def test_a_volume_is_made_once_and_served_by_its_export(az1: Site) -> None:
    told = await az1.put_volume("vol", ("name",))
    assert told == {
        "size_bytes": 8 * MIB,
        "present": True,
        "error": None,
        "connections": 0,
        "blank": False,
        "exports_revision": 1,
        "session_id": None,
        "served": True,
        "refused_attachments": [],
    }
    assert stat.S_IMODE(az1.file("vol").stat().st_mode) == 0o600
    host = await az1.connect("name")
    assert host.size_bytes == 8 * MIB
    await host.write(4096, b"x" * 4096)
    await host.flush()
    assert await host.read(0, 8192) == bytes(4096) + b"x" * 4096
    assert az1.bytes_at("vol", 4096, 4096) == b"x" * 4096
    assert (await az1.volume("vol"))["connections"] == 1
    assert await az1.put_volume("vol", ("name",)) == {**told, "connections": 1}
    assert await host.read(4096, 1) == b"x"
    await host.close()


async def test_hosts_of_an_export_that_is_gone_are_disconnected_and_no_others(az1: Site) -> None:
    await az1.put_volume("vol", ("one", "two"))
    one, two = await az1.connect("one"), await az1.connect("two")
    await az1.put_volume("vol", ("two",), revision=2)
    with pytest.raises(NbdGone):
        await one.read(0, 512)
    assert await two.read(0, 512) == bytes(512)
    assert not await az1.findable("one")
    await two.close()


async def test_an_older_revision_is_refused(az1: Site) -> None:
    await az1.put_volume("vol", ("new",), revision=3)
    assert await az1.refused("PUT", "/v1/volumes/vol", volume_body(("old",), revision=2)) == (
        409,
        "older_revision",
    )
    assert await az1.findable("new")


async def test_what_was_made_once_is_not_made_again(az1: Site) -> None:
    assert await az1.refused("PUT", "/v1/volumes/vol", volume_body(create=False)) == (409, "volume_missing")
    assert not az1.file("vol").exists()


async def test_two_volumes_cannot_have_one_export_name(az1: Site) -> None:
    await az1.put_volume("vol", ("same",))
    answer = await az1.call("PUT", "/v1/volumes/other", volume_body(("same",)))
    assert (answer.status_code, answer.json()["error"]) == (409, "export_taken")
    assert "same" not in answer.json()["message"]


async def test_a_volume_grows_and_never_shrinks(az1: Site) -> None:
    await az1.put_volume("vol", ("name",))
    assert (await az1.put_volume("vol", ("name",), size_bytes=16 * MIB))["size_bytes"] == 16 * MIB
    assert (await az1.put_volume("vol", ("name",), size_bytes=8 * MIB))["size_bytes"] == 16 * MIB
    await az1.restart()
    host = await az1.connect("name")
    assert host.size_bytes == 16 * MIB
    await host.close()


async def test_a_restart_keeps_volumes_exports_and_data(az1: Site, controller: Controller) -> None:
    await az1.put_volume("vol", ("name",), revision=7)
    host = await az1.connect("name")
    await host.write(0, b"kept")
    before = await az1.ask("GET", "/v1/health")
    await controller.stop()  # it needs no controller for that
    await az1.restart()
    host = await az1.connect("name")
    assert await host.read(0, 4) == b"kept"
    await host.close()
    assert (await az1.volume("vol"))["exports_revision"] == 7
    after = await az1.ask("GET", "/v1/health")
    assert after["instance"] != before["instance"]
    assert after["boot_id"] == "boot-1"
    assert not after["announced"]


async def test_hosts_of_a_read_only_export_only_read_also_after_a_restart(az1: Site) -> None:
    reading = [{"name": "reader", "attachment_id": "att-reader"}]
    await az1.put_volume("vol", ("writer",), read_only_exports=reading)
    writer = await az1.connect("writer")
    await writer.write(0, b"kept")
    await writer.close()
    for _ in range(2):
        reader = await az1.connect("reader")
        assert await reader.read(0, 4) == b"kept"
        with pytest.raises(NbdError) as refused:
            await reader.write(0, b"lost")
        assert refused.value.errno == errno.EPERM
        await reader.flush()
        await reader.close()
        await az1.restart()
    reader = await az1.connect("reader")
    await az1.put_volume("vol", ("reader",), revision=2)  # what it may do is another connection's
    with pytest.raises(NbdGone):
        await reader.read(0, 4)
    writer = await az1.connect("reader")
    await writer.write(0, b"more")
    await writer.close()


async def test_a_deleted_volume_is_gone_and_may_be_deleted_again(az1: Site) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    for _ in range(2):
        assert await az1.ask("DELETE", "/v1/volumes/vol") == {}
    assert not az1.file("vol").exists()
    with pytest.raises(NbdGone):
        await host.read(0, 512)
    await az1.put_volume("vol", ("name",))  # the same name is free again
    await az1.restart()
    assert (await az1.volume("vol"))["present"]


async def test_a_missing_disk_is_told_and_the_others_are_served(az1: Site) -> None:
    await az1.put_volume("lost", ("lost",))
    await az1.put_volume("kept", ("kept",))
    await az1.stop()
    moved = az1.file("lost").rename(az1.file("lost").with_name("elsewhere"))
    await az1.start()
    told = await az1.volume("lost")
    assert not told["present"]
    assert "no such file" in told["error"]
    assert not await az1.findable("lost")
    assert await az1.findable("kept")
    moved.rename(az1.file("lost"))
    assert (await az1.put_volume("lost", ("lost",), create=False))["present"]
    assert await az1.findable("lost")


async def test_a_disk_shorter_than_its_volume_is_not_served(az1: Site) -> None:
    await az1.put_volume("vol", ("name",))
    await az1.stop()
    with az1.file("vol").open("r+b") as file:
        file.truncate(MIB)
    await az1.start()
    assert "1048576 bytes" in (await az1.volume("vol"))["error"]
    assert not await az1.findable("name")


async def test_a_half_made_volume_is_completed(az1: Site) -> None:
    az1.file("vol").touch()  # a crash between the file and the ledger
    await az1.restart()
    told = await az1.put_volume("vol", ("name",))
    assert not told["blank"]
    host = await az1.connect("name")
    assert await host.read(8 * MIB - 512, 512) == bytes(512)
    await host.close()


async def lose_ledger(site: Site) -> None:
    await site.stop()
    for file in site.state_dir.glob("ledger.db*"):
        file.unlink()
    await site.start()


async def test_after_a_lost_ledger_a_replicated_volume_is_blank_and_not_served(az1: Site) -> None:
    await az1.put_volume("vol", ("name",))
    await lose_ledger(az1)
    told = await az1.put_volume("vol", ("name",), create=False, session_id="ses")
    assert (told["blank"], told["served"]) == (True, False)
    assert not await az1.findable("name")
    await az1.restart()  # nor after another start, with the new ledger
    assert not await az1.findable("name")
    # The controller says that it is in no session after all.
    assert (await az1.put_volume("vol", ("name",), create=False, revision=2))["served"]
    await az1.restart()
    assert await az1.findable("name")


async def test_after_a_lost_ledger_a_plain_volume_is_blank_and_served(az1: Site) -> None:
    await az1.put_volume("vol")
    await lose_ledger(az1)
    told = await az1.put_volume("vol", ("name",), create=False)
    assert (told["blank"], told["served"]) == (True, True)
    assert await az1.findable("name")


async def test_a_lost_ledger_makes_a_found_file_blank_even_where_it_may_be_new(az1: Site) -> None:
    await az1.put_volume("vol")
    await lose_ledger(az1)
    assert (await az1.put_volume("vol", create=True))["blank"]


async def test_a_disk_fault_reaches_the_host_as_an_error(az1: Site) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    az1.fail("write", "ENOSPC")
    with pytest.raises(NbdError):
        await host.write(0, b"x")
    await host.close()


async def test_the_agent_announces_itself(az1: Site, controller: Controller) -> None:
    await until(lambda: controller.hellos == ["az1"])
    await until(lambda: az1.up.facts.announced)
    assert (await az1.ask("GET", "/v1/health"))["announced"]


@pytest.mark.parametrize("allowed", [False, True])
async def test_names_are_listed_only_where_a_setting_says_so(az1: Site, allowed: bool) -> None:
    az1.config = replace(az1.config, nbd=NbdListener(list_exports=allowed))
    await az1.restart()
    await az1.put_volume("vol", ("name",))
    reader, writer = await asyncio.open_connection(*az1.up.nbd_address)
    await reader.readexactly(18)
    writer.write(pack(">I", 3) + b"IHAVEOPT" + pack(">II", 3, 0))  # NBD_OPT_LIST
    kinds = []
    while 1 not in kinds:  # NBD_REP_ACK
        _, _, kind, length = unpack(">QIII", await reader.readexactly(20))
        kinds.append(kind)
        await reader.readexactly(length)
    assert kinds == ([2, 1] if allowed else [1])
    writer.close()
