"""The agent's small parts by themselves: turns, the waiting room, and which link of a session counts."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.site.agent.world import KEY, MIB, Controller, Site, session_body, until

from bilocate.config import SiteLimits
from bilocate.replication.frames import Arrival, Frame, Kind, encode_json, header
from bilocate.replication.requests import Op, Request
from bilocate.site import turns
from bilocate.site.errors import Busy
from bilocate.site.link import Claim, Dialer, Link, LinkEvents
from bilocate.site.turns import Turns
from bilocate.site.waiting import WaitingRoom

pytestmark = pytest.mark.anyio


async def test_turns_are_taken_all_at_once_and_names_are_asked_anew() -> None:
    them, order = Turns(), []
    first_held, go = asyncio.Event(), asyncio.Event()
    names = {"b"}

    async def hold(mark: str, *wanted: str) -> None:
        async with them.hold(lambda: wanted):
            order.append(mark)
            if mark == "first":
                first_held.set()
                await go.wait()

    async def hold_changing() -> None:
        async with them.hold(lambda: names):
            order.append("changing")

    first = asyncio.create_task(hold("first", "a", "b"))
    await first_held.wait()
    waiting = [asyncio.create_task(hold("second", "b", "c")), asyncio.create_task(hold_changing())]
    await hold("apart", "d")
    await asyncio.sleep(0)  # the others have found that they must wait
    assert order == ["first", "apart"]
    names.clear()
    names.add("z")
    go.set()
    await asyncio.gather(first, *waiting)
    assert order == ["first", "apart", "second", "changing"]


async def test_who_waits_too_long_for_a_turn_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_WAIT_SECONDS_MAX", 0.01)
    them = Turns()
    async with them.hold(lambda: ["a"]):
        with pytest.raises(Busy):
            async with them.hold(lambda: ["a", "b"]):
                raise AssertionError("unreachable")
        async with them.hold(lambda: ["b"]):  # nothing is left behind
            pass
    async with them.hold(lambda: ["a", "b"]):
        pass


def test_the_waiting_room_keeps_order_and_its_bounds() -> None:
    room = WaitingRoom(bytes_max=1000)

    def request(number: int, length: int = 100) -> Request:
        return Request(Op.WRITE, number, length, lambda _, __: None, bytes(length))

    for number in (3, 4):
        room.submit(request(number))
    for number in (1, 2):  # these came first, to an earlier carrier
        room.give_back(request(number))
    assert not room.busy()
    room.submit(request(5, 600))
    assert room.busy()
    assert [one.offset for one in room.take_all()] == [1, 2, 3, 4, 5]
    assert not room.busy()
    for _ in range(4096):
        room.submit(Request(Op.FLUSH, 0, 0, lambda _, __: None))
    assert room.busy()
    room.clear()
    assert room.take_all() == []


async def test_hosts_are_read_no_further_while_nobody_carries_them_and_go_on_then(
    az1: Site, az2: Site, controller: Controller
) -> None:
    """Rule 27 over a hand-over: 32 MiB come while at most about 1 MiB may wait."""
    az1.config = replace(az1.config, limits=SiteLimits(unanswered_bytes_max=MIB))
    await az1.restart()
    await az1.put_volume("vol", ("name",), size_bytes=32 * MIB)
    host = await az1.connect("name")
    controller.deaf = True
    controller.make_row("ses")
    body = session_body(az2, "primary", ("vol",))
    body["members"][0]["size_bytes"] = 32 * MIB
    await az1.put_session("ses", body)
    writes = [asyncio.create_task(host.write(at * MIB, bytes([at]) * MIB)) for at in range(32)]
    await asyncio.sleep(0.1)
    assert not any(write.done() for write in writes)
    controller.deaf = False
    await asyncio.gather(*writes)
    for at in range(32):
        assert az1.bytes_at("vol", at * MIB, 3) == bytes([at]) * 3
    await host.close()


class Peer:
    """A primary's agent that we are ourselves."""

    def __init__(self, site: Site) -> None:
        self.link: Link | None = None
        self.frames: list[Kind] = []
        self.lost = ""
        self.dialer = Dialer(site.config.link.unix_socket, KEY, Claim("az1", "az2", "ses"), self.own)

    def own(self, link: Link) -> LinkEvents:
        self.link = link
        return self

    def on_frames(self, link: Link, frames: Sequence[Arrival]) -> None:
        self.frames += [frame.kind for frame in frames if isinstance(frame, Frame)]

    def on_lost(self, link: Link, reason: str) -> None:
        self.lost = reason


async def test_the_newest_link_of_a_session_counts_and_a_malformed_one_ends_alone(
    az2: Site, controller: Controller, tmp_path: Path
) -> None:
    away = Site(tmp_path, "az1", controller)
    await az2.put_volume("s0")
    await az2.put_session("ses", session_body(away, "secondary", ("s0",)))
    first, second = Peer(az2), Peer(az2)
    first.dialer.start()
    await until(lambda: first.link)
    first.dialer.stop()
    assert first.link is not None
    second.dialer.start()
    await until(lambda: second.link)
    second.dialer.stop()
    await until(lambda: first.lost)
    assert first.frames == [Kind.BYE]
    assert (await az2.session("ses"))["link"]["since"]
    assert not second.lost

    assert second.link is not None
    hello = {"session_id": "ses", "epoch": 1, "site": "az1", "instance": "i", "pairs": ["pair-0"]}
    second.link.send(*encode_json(Kind.HELLO, {**hello, "sizes": [8 * MIB]}))
    await until(lambda: Kind.WELCOME in second.frames)
    second.link.send(header(Kind.WRITE, volume=7, length=512, payload=512, seq=1), bytes(512))
    await until(lambda: second.lost)
    told = await az2.session("ses")
    assert told["link"]["since"] is None
    assert "malformed" in told["link"]["error"]
    third = Peer(az2)
    third.dialer.start()
    await until(lambda: third.link)
    third.dialer.stop()
    await away.close()
