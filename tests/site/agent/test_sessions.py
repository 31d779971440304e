"""Sessions at one agent whose peer is away: volumes change hands, and hosts notice nothing they should not."""

import asyncio

import pytest
from tests.site.agent.world import Controller, Json, Site, session_body, until, volume_body

from bilocate.demo.nbd_client import NbdGone
from bilocate.domain.arbiter import RowState

pytestmark = pytest.mark.anyio


async def alone(az1: Site, peer: Site, controller: Controller, epoch: int = 1) -> Json:
    """The session `ses` with the volume `vol`, served under a permit."""
    controller.make_row("ses", epoch)
    await az1.put_session("ses", session_body(peer, "primary", ("vol",), epoch))
    return await az1.until_session("ses", lambda told: told["serving"])


async def test_a_volume_goes_into_a_session_and_out_under_a_connected_host(
    az1: Site, peer: Site, controller: Controller
) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    await host.write(0, b"bare")
    told = await alone(az1, peer, controller)
    assert told["permit"]
    assert told["connections"] == 1
    assert told["link"]["error"]
    assert told["volumes"][0]["present"]
    await host.write(4, b"held")
    assert await host.read(0, 8) == b"bareheld"
    assert (await az1.session("ses"))["volumes"][0]["dirty_bytes"] > 0
    volume = await az1.volume("vol")
    assert (volume["session_id"], volume["served"]) == ("ses", True)
    assert await az1.refused("DELETE", "/v1/volumes/vol") == (409, "in_session")

    assert await az1.refused("DELETE", "/v1/sessions/ses?epoch=0") == (409, "older_epoch")
    assert await az1.ask("DELETE", "/v1/sessions/ses?epoch=1") == {}
    assert await host.read(0, 8) == b"bareheld"
    volume = await az1.volume("vol")
    assert (volume["session_id"], volume["served"]) == (None, True)
    await az1.restart()
    assert await az1.findable("name")
    await host.close()


async def test_requests_wait_while_the_session_may_not_serve(
    az1: Site, peer: Site, controller: Controller
) -> None:
    """Also hosts that connect find nothing until it serves."""
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    controller.deaf = True
    controller.make_row("ses")
    await az1.put_session("ses", session_body(peer, "primary", ("vol",)))
    waiting = [asyncio.create_task(host.write(number * 512, b"w" * 512)) for number in range(100)]
    waiting.append(asyncio.create_task(host.flush()))
    assert not await az1.findable("name")
    assert not any(task.done() for task in waiting)
    assert az1.bytes_at("vol", 0, 512) == bytes(512)
    controller.deaf = False
    await asyncio.gather(*waiting)
    assert az1.bytes_at("vol", 99 * 512, 512) == b"w" * 512
    await host.close()


async def test_a_new_epoch_of_the_primary_keeps_connections_and_what_is_under_way(
    az1: Site, peer: Site, controller: Controller
) -> None:
    await az1.put_volume("vol", ("name",))
    await az1.put_volume("more")
    host = await az1.connect("name")
    await alone(az1, peer, controller)

    async def write(number: int) -> None:
        await host.write(number % 64 * 4096, number.to_bytes(4, "big") * 1024)

    async def keep_writing() -> int:
        number = 0
        while not done.is_set():
            await asyncio.gather(*(write(number + more) for more in range(16)))
            number += 16
        return number

    done = asyncio.Event()
    writer = asyncio.create_task(keep_writing())
    for epoch in range(3, 9):
        controller.make_row("ses", epoch)
        members = ("vol", "more") if epoch % 2 else ("vol",)
        await az1.put_session("ses", session_body(peer, "primary", members, epoch))
        await az1.until_session("ses", lambda told: told["serving"])
        # One that left waits for the session that takes it.
        assert (await az1.volume("more"))["served"] == bool(epoch % 2)
    done.set()
    number = await writer
    assert number > 16
    assert az1.bytes_at("vol", (number - 1) % 64 * 4096, 4) == (number - 1).to_bytes(4, "big")
    await host.close()


async def test_a_group_takes_the_volumes_of_two_sessions_and_is_taken_apart(
    az1: Site, peer: Site, controller: Controller
) -> None:
    for name in ("a", "b"):
        await az1.put_volume(name, (f"name-{name}",))
        controller.make_row(f"ses-{name}", 1)
        await az1.put_session(f"ses-{name}", session_body(peer, "primary", (name,), 1))
    hosts = [await az1.connect_soon(f"name-{name}") for name in ("a", "b")]
    controller.make_row("group", 3)
    await az1.put_session("group", session_body(peer, "primary", ("a", "b"), 3))
    await az1.until_session("group", lambda told: told["serving"])
    for host in hosts:
        await host.write(0, b"group")
    assert (await az1.session("ses-a"))["state"] == "stopped"
    late = session_body(peer, "primary", ("a",), 1, revision=9)
    assert await az1.refused("PUT", "/v1/sessions/ses-a", late) == (409, "superseded")
    for name in ("a", "b"):
        await az1.ask("DELETE", f"/v1/sessions/ses-{name}?epoch=1")
        assert (await az1.volume(name))["session_id"] == "group"

    await az1.restart()  # the hosts of before are gone with the process
    await az1.until_session("group", lambda told: told["serving"])
    hosts = [await az1.connect_soon(f"name-{name}") for name in ("a", "b")]
    controller.make_row("ses-a", 5)
    await az1.put_session("ses-a", session_body(peer, "primary", ("a",), 5))
    await hosts[0].write(0, b"alone")
    waiting = asyncio.create_task(hosts[1].write(0, b"waits"))
    assert not (await az1.volume("b"))["served"]
    assert not waiting.done()
    controller.make_row("group", 6)
    await az1.put_session("group", session_body(peer, "primary", ("b",), 6))
    await waiting
    assert az1.bytes_at("b", 0, 5) == b"waits"
    for host in hosts:
        await host.close()


async def test_a_volume_between_two_sessions_is_not_served_bare_after_a_restart(
    az1: Site, peer: Site, controller: Controller
) -> None:
    for name in ("a", "b"):
        await az1.put_volume(name, (f"name-{name}",))
    controller.make_row("ses", 1)
    await az1.put_session("ses", session_body(peer, "primary", ("a", "b"), 1))
    controller.make_row("ses", 2)
    await az1.put_session("ses", session_body(peer, "primary", ("a",), 2))
    await az1.restart()
    await az1.connect_soon("name-a")
    assert not await az1.findable("name-b")
    silent = volume_body(("name-b",), revision=2)
    del silent["session_id"]  # says nothing of sessions, so it changes nothing there
    await az1.ask("PUT", "/v1/volumes/b", silent)
    assert not await az1.findable("name-b")
    controller.make_row("other", 3)
    await az1.put_session("other", session_body(peer, "primary", ("b",), 3))
    await az1.connect_soon("name-b")
    await az1.ask("DELETE", "/v1/sessions/other?epoch=3")
    await az1.restart()
    assert await az1.findable("name-b")


async def test_a_secondary_is_not_served_and_its_hosts_are_disconnected(
    az1: Site, peer: Site, controller: Controller
) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    await alone(az1, peer, controller)
    await host.write(0, b"mine")
    await az1.put_session("ses", session_body(peer, "secondary", ("vol",), 2))
    with pytest.raises(NbdGone):
        await host.read(0, 512)
    assert not await az1.findable("name")
    told = await az1.session("ses")
    assert (told["role"], told["serving"], told["connections"]) == ("secondary", False, 0)
    assert told["volumes"][0]["dirty_bytes"] > 0
    older = session_body(peer, "primary", ("vol",), 1)
    assert await az1.refused("PUT", "/v1/sessions/ses", older) == (409, "older_epoch")
    dirty = session_body(peer, "primary", ("vol",), 3)
    assert await az1.refused("PUT", "/v1/sessions/ses", dirty) == (409, "cannot_promote")
    assert (await az1.session("ses"))["role"] == "secondary"


async def test_a_secondary_that_takes_another_sessions_volume_disconnects_its_hosts_too(
    az1: Site, peer: Site, controller: Controller
) -> None:
    """An old primary that did not hear of a change of members: until now it served the volume in another session."""
    for epoch, (session, name) in enumerate((("group", "a"), ("ses-b", "b")), 1):
        await az1.put_volume(name, (f"name-{name}",))
        controller.make_row(session, epoch)
        await az1.put_session(session, session_body(peer, "primary", (name,), epoch))
        await az1.until_session(session, lambda told: told["serving"])
    hosts = [await az1.connect_soon(f"name-{name}") for name in ("a", "b")]
    await az1.put_session("group", session_body(peer, "secondary", ("a", "b"), 3))
    for host in hosts:
        with pytest.raises(NbdGone):
            async with asyncio.timeout(5.0):
                await host.read(0, 512)
    assert (await az1.session("group"))["connections"] == 0


async def test_a_superseded_primary_disconnects_its_hosts(
    az1: Site, peer: Site, controller: Controller
) -> None:
    await az1.put_volume("vol", ("name",))
    await alone(az1, peer, controller)
    await az1.restart()
    await az1.until_session("ses", lambda told: told["serving"])
    controller.make_row("ses", 2)  # somebody else's
    await az1.restart()
    await az1.until_session("ses", lambda told: told["refusal"])
    assert not await az1.findable("name")
    assert not (await az1.volume("vol"))["served"]


async def test_a_put_may_be_repeated_and_an_older_revision_is_refused(
    az1: Site, peer: Site, controller: Controller
) -> None:
    await az1.put_volume("vol", ("name",))
    told = await alone(az1, peer, controller)
    body = session_body(peer, "primary", ("vol",), revision=4)
    for _ in range(2):
        assert (await az1.put_session("ses", body))["revision"] == 4
    assert await az1.refused("PUT", "/v1/sessions/ses", {**body, "revision": 3}) == (409, "older_revision")
    assert (await az1.session("ses"))["epoch"] == told["epoch"]
    assert await az1.findable("name")


async def test_steps_are_answered_by_the_right_half_and_epoch(
    az1: Site, peer: Site, controller: Controller
) -> None:
    await az1.put_volume("vol")
    await alone(az1, peer, controller)
    for step, epoch, code in [
        ("precheck", 1, "not_secondary"),
        ("quiesce", 0, "older_epoch"),
        ("quiesce", 2, "newer_epoch"),
        ("quiesce", 1, "not_in_step"),
    ]:
        body = {"epoch": epoch, "attempt": 2}
        assert await az1.refused("POST", f"/v1/sessions/ses/{step}", body) == (409, code)
    assert await az1.ask("POST", "/v1/sessions/ses/resume", {"epoch": 1, "attempt": 2}) == {}
    for wrong in ({}, {"epoch": 1}, {"epoch": 1, "attempt": "2"}):
        assert await az1.refused("POST", "/v1/sessions/ses/quiesce", wrong) == (400, "malformed")


async def test_attachments_from_before_a_crash_are_refused_for_good(
    az1: Site, peer: Site, controller: Controller
) -> None:
    """OLD MEMORY: another boot id, the row says in_sync, and the secondary stays away."""
    await az1.put_volume("vol", ("old",))
    await alone(az1, peer, controller)
    controller.make_row("ses", 1, RowState.IN_SYNC)
    await az1.restart(boot_id="boot-2")
    await az1.until_session("ses", lambda told: told["serving"])
    assert not await az1.findable("old")
    told = await az1.put_volume("vol", ("old", "new"), revision=2)
    assert told["refused_attachments"] == ["att-old"]
    assert not await az1.findable("old")
    assert await az1.findable("new")
    await az1.restart()  # no crash between
    await az1.until_session("ses", lambda told: told["serving"])
    assert not await az1.findable("old")
    assert await az1.findable("new")


async def test_a_process_that_only_restarted_keeps_its_attachments(
    az1: Site, peer: Site, controller: Controller
) -> None:
    await az1.put_volume("vol", ("old",))
    await alone(az1, peer, controller)
    await az1.restart()
    await az1.until_session("ses", lambda told: told["serving"])
    assert await az1.findable("old")


async def test_a_session_whose_disk_is_gone_does_not_serve_and_tells_why(
    az1: Site, peer: Site, controller: Controller
) -> None:
    await az1.put_volume("vol", ("name",))
    await alone(az1, peer, controller)
    await az1.stop()
    az1.file("vol").unlink()
    await az1.start()
    told = await az1.until_session("ses", lambda told: told["refusal"])
    assert not told["serving"]
    assert not told["volumes"][0]["present"]
    assert "no such file" in told["volumes"][0]["error"]
    assert not await az1.findable("name")


async def test_after_a_lost_ledger_a_primary_serves_only_when_an_operator_says_so(
    az1: Site, peer: Site, controller: Controller
) -> None:
    await az1.put_volume("vol", ("name",))
    await alone(az1, peer, controller)
    await az1.stop()
    for file in az1.state_dir.glob("ledger.db*"):
        file.unlink()
    await az1.start()
    await az1.put_volume("vol", ("name",), create=False, session_id="ses")
    body = session_body(peer, "primary", ("vol",))
    await az1.put_session("ses", body)
    told = await az1.until_session("ses", lambda told: told["refusal"])
    assert told["volumes"][0]["blank"]
    assert not await az1.findable("name")
    await az1.put_session("ses", {**body, "revision": 2, "trust_blank": True})
    await az1.until_session("ses", lambda told: told["serving"])
    assert await az1.findable("name")


async def test_a_defect_stops_its_session_and_nothing_else(
    az1: Site, peer: Site, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await az1.put_volume("vol", ("name",))
    await az1.put_volume("plain", ("plain",))
    await alone(az1, peer, controller)
    host = await az1.connect("name")

    def fall(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("bilocate.replication.session.Session.tick", fall)

    async def write_on() -> None:
        while True:
            await host.write(0, b"x" * 512)

    with pytest.raises(NbdGone):
        await write_on()
    told = await az1.session("ses")
    assert "internal error" in told["refusal"]
    assert not told["serving"]
    assert not await az1.findable("name")
    assert await az1.findable("plain")
    newer = session_body(peer, "primary", ("vol",), 2)
    assert await az1.refused("PUT", "/v1/sessions/ses", newer) == (409, "session_failed")
    assert await az1.refused("DELETE", "/v1/sessions/ses?epoch=1") == (409, "session_failed")
    monkeypatch.undo()
    await az1.restart()
    await az1.until_session("ses", lambda told: told["serving"])


async def test_puts_of_one_volume_at_once_end_in_the_newest(
    az1: Site, peer: Site, controller: Controller
) -> None:
    await az1.put_volume("vol", ("name",))
    host = await az1.connect("name")
    bodies = [session_body(peer, "primary", ("vol",), epoch) for epoch in range(1, 9)]
    controller.make_row("ses", 8)
    answers = await asyncio.gather(*(az1.call("PUT", "/v1/sessions/ses", body) for body in bodies))
    assert {answer.status_code for answer in answers} <= {200, 409}
    await az1.until_session("ses", lambda told: told["serving"] and told["epoch"] == 8)
    assert await host.read(0, 512) == bytes(512)
    await asyncio.gather(
        *(az1.call("PUT", "/v1/volumes/vol", volume_body(("name",), revision=n)) for n in range(9))
    )
    assert (await az1.volume("vol"))["exports_revision"] == 8
    await until(lambda: controller.hellos)
    await host.close()
