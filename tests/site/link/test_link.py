"""Frames cross in order; a link ends once, for a reason; a dialer dials on while it is wanted."""

import asyncio
import random
from typing import Any

import pytest

from bilocate.replication.frames import HEADER, Frame, MalformedFrame
from bilocate.site.link import Link, LinkSettings

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("unix", [False, True])
async def test_frames_cross_in_order_and_whole(world: Any, wait: Any, frame: Any, unix: bool) -> None:
    near, far = await world.pair(unix=unix)
    rng = random.Random(1)
    sizes = [
        0,
        1,
        4096,
        65536,
        1 << 20,
        32 << 10,
        (32 << 10) - 1,
        300_000,
        *(rng.randrange(100_000) for _ in range(200)),
    ]
    sent = [(number, rng.randbytes(size)) for number, size in enumerate(sizes)]
    for number, payload in sent:
        near.up.send(*frame(number, payload))
    far.up.send(*frame(7, b"back"))
    await wait(lambda: len(far.frames) == len(sent) and near.frames)
    assert far.frames == sent
    assert near.frames == [(7, b"back")]
    assert near.up.bytes_out == sum(HEADER.size + len(payload) for _, payload in sent) == far.up.bytes_in
    assert far.up.bytes_out == near.up.bytes_in


async def test_small_frames_go_together_and_payloads_are_not_copied(
    world: Any, wait: Any, frame: Any
) -> None:
    near, far = await world.pair()
    for number in range(100):
        near.up.send(*frame(number, bytes(100)))
    await wait(lambda: len(far.frames) == 100)
    assert far.batches == 1
    assert set(far.kinds) == {memoryview}
    near.up.send(*frame(101, bytes(4 << 20)))
    await wait(lambda: len(far.frames) == 101)
    assert far.kinds[-1] is bytearray


async def test_flush_sends_without_a_turn_of_the_loop(world: Any, wait: Any, frame: Any) -> None:
    near, far = await world.pair()
    near.up.send(*frame(1, b"x"))
    assert near.up.bytes_out == 0
    near.up.flush()
    assert near.up.bytes_out == near.up.bytes_out > 0
    await wait(lambda: far.frames)


async def test_close_sends_what_was_sent_and_tells_its_owner_nothing(
    world: Any, wait: Any, frame: Any
) -> None:
    near, far = await world.pair()
    world.dialers[0].stop()
    for number in range(10):
        near.up.send(*frame(number, bytes(1 << 20)))
    near.up.close("done")
    near.up.send(*frame(99))
    await wait(lambda: far.lost)
    assert [number for number, _ in far.frames] == list(range(10))
    assert far.lost == ["the peer closed the connection"]
    await asyncio.sleep(0.01)
    assert near.lost == []


async def test_nothing_is_delivered_after_close_not_even_of_the_same_batch(
    world: Any, wait: Any, frame: Any
) -> None:
    near, far = await world.pair()
    world.dialers[0].stop()
    far.on_frame = lambda got: far.up.close("enough") if got.seq == 3 else None
    for number in range(10):
        near.up.send(*frame(number))
    await wait(lambda: near.lost)
    assert [number for number, _ in far.frames] == [0, 1, 2, 3]
    assert far.lost == []


async def test_a_lost_link_is_told_once_to_both(world: Any, wait: Any) -> None:
    near, far = await world.pair()
    world.dialers[0].stop()
    near.up.fail("cut")
    assert near.lost == [], "never from inside the call"
    await wait(lambda: near.lost and far.lost)
    near.up.close("again")
    near.up.abort("again")
    await asyncio.sleep(0.01)
    assert near.lost == ["cut"]
    assert len(far.lost) == 1


async def test_a_connection_cut_in_the_middle_of_a_frame(world: Any, wait: Any, frame: Any) -> None:
    near, far = await world.pair()
    world.dialers[0].stop()
    header, payload = frame(1, bytes(1 << 20))
    near.up.send(*frame(0, b"whole"))
    near.up.send(header, payload[: 1 << 19])
    near.up.close("cut")
    await wait(lambda: far.lost)
    assert far.frames == [(0, b"whole")]


async def test_a_malformed_frame_ends_the_link_behind_the_good_ones(
    world: Any, wait: Any, frame: Any
) -> None:
    near, far = await world.pair()
    world.dialers[0].stop()
    near.up.send(*frame(0, b"good"))
    near.up.send(b"\xff" * 200)
    await wait(lambda: far.lost)
    assert far.frames == [(0, b"good")]
    assert far.lost[0].startswith("malformed frame")


async def test_a_peer_that_does_not_read_loses_the_link(world: Any, wait: Any, frame: Any) -> None:
    near, far = await world.pair(settings=LinkSettings(unsent_bytes_max=8 << 20))
    world.dialers[0].stop()
    far.up.pause_reading()
    payload = bytes(1 << 20)
    for number in range(64):
        near.up.send(*frame(number, payload))
    await wait(lambda: near.lost)
    assert "does not read" in near.lost[0]


async def test_paused_reading_goes_on_later(world: Any, wait: Any, frame: Any) -> None:
    near, far = await world.pair()
    far.up.pause_reading()
    near.up.send(*frame(1))
    await asyncio.sleep(0.02)
    assert far.frames == []
    far.up.resume_reading()
    await wait(lambda: far.frames)


async def test_close_does_not_wait_for_ever_for_a_peer_that_does_not_read(
    world: Any, wait: Any, frame: Any
) -> None:
    near, far = await world.pair(settings=LinkSettings(linger_seconds=0.05))
    world.dialers[0].stop()
    far.up.pause_reading()
    for number in range(32):
        near.up.send(*frame(number, bytes(1 << 20)))
    near.up.close("done")
    await wait(lambda: near.up.unsent_bytes() == 0)


async def test_the_owner_may_send_and_close_while_it_accepts(
    world: Any, wait: Any, frame: Any, owner: Any
) -> None:
    near, far = owner(), owner()

    def accept(link: Link) -> Any:
        link.send(*frame(1, bytes(1 << 20)))
        return far.own(link)

    listener = await world.listen(accept)
    world.dial(listener.address, near.own)
    await wait(lambda: near.frames)
    assert near.frames[0][0] == 1


async def test_an_owner_that_fails_loses_its_link_and_nothing_else(world: Any, wait: Any, frame: Any) -> None:
    near, far = await world.pair()
    world.dialers[0].stop()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)

    def fail(_: Frame) -> None:
        raise ValueError("a defect")

    far.on_frame = fail
    near.up.send(*frame(1))
    await wait(lambda: far.lost and near.lost)
    assert "a defect" in far.lost[0]


async def test_content_that_its_owner_calls_malformed_ends_the_link(
    world: Any, wait: Any, frame: Any
) -> None:
    near, far = await world.pair()
    world.dialers[0].stop()

    def read(got: Frame) -> None:
        if got.seq == 1:
            raise MalformedFrame("no JSON")

    far.on_frame = read
    for number in range(3):
        near.up.send(*frame(number))
    await wait(lambda: far.lost and near.lost)
    assert far.lost == ["malformed frame: no JSON"]
    assert [number for number, _ in far.frames] == [0, 1]


# --- the dialer ---


async def test_the_dialer_dials_again_and_numbers_rise(world: Any, wait: Any) -> None:
    near, far = await world.pair()
    for _ in range(3):
        first = near.up
        far.up.abort("cut")
        await wait(lambda first=first: near.link is not first)
        assert near.up.number > first.number
    assert len(near.lost) == 3


async def test_a_closed_link_is_dialed_again_too(world: Any, wait: Any) -> None:
    near, _ = await world.pair()
    first = near.up
    near.up.close("again please")
    await wait(lambda: near.link is not first)


async def test_a_stopped_dialer_dials_no_more_and_leaves_its_link(world: Any, wait: Any, frame: Any) -> None:
    near, far = await world.pair()
    dialer = world.dialers[0]
    dialer.stop()
    assert not dialer.wanted
    near.up.send(*frame(1))
    await wait(lambda: far.frames)
    first = near.up
    dialer.start()
    await asyncio.sleep(0.05)
    assert near.link is first, "no second link beside the first"
    assert first.open
    dialer.stop()
    far.up.abort("cut")
    await wait(lambda: near.lost)
    await asyncio.sleep(0.1)
    assert near.link is first


async def test_stop_in_the_middle_of_a_handshake_leaves_no_link(world: Any, wait: Any, owner: Any) -> None:
    near, far = owner(), owner()
    listener = await world.listen(far.own)
    for turns in range(12):
        dialer = world.dial(listener.address, near.own)
        for _ in range(turns):
            await asyncio.sleep(0)
        had = near.link
        dialer.stop()
        await asyncio.sleep(0.02)
        assert near.link is had


async def test_nobody_there_is_said_and_dialed_again(
    world: Any, wait: Any, owner: Any, tmp_path: Any
) -> None:
    near, far = owner(), owner()
    dialer = world.dial(str(tmp_path / "link.sock"), near.own)
    await wait(lambda: dialer.error)
    await world.listen(far.own, unix=True)
    await wait(lambda: near.link)
    assert dialer.error is None


async def test_a_lost_link_is_dialed_again_often_while_hosts_are_held_for_it(world: Any, wait: Any) -> None:
    """A cut of a tenth of a second must find a dialer that tries again soon after it, whatever came before."""
    near, far = await world.pair()
    host, port = world.listeners[0].address
    await asyncio.sleep(0.3)  # longer than what makes a link count
    tries: list[float] = []
    loop = asyncio.get_running_loop()

    def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(loop.time())
        writer.transport.abort()

    world.listeners[0].close()
    server = await asyncio.start_server(refuse, host, port)
    lost_at = loop.time()
    far.up.abort("cut")
    await wait(lambda: near.lost)
    await asyncio.sleep(0.45)
    server.close()
    assert len([at for at in tries if at - lost_at < 0.45]) >= 4
