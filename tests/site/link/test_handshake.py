"""Nobody gets a link without the key, and nobody can make the listener grow."""

import asyncio
import contextlib
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bilocate.site.link import Claim, HandshakeRefused, LinkSettings
from bilocate.site.link import handshake as hs
from bilocate.site.link.connection import DialerConnection

pytestmark = pytest.mark.anyio

KEY = bytes(range(32))
CLAIM = Claim("az1", "az2", "ses-1")


def logged(logs: Any, event: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == event]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"key": bytes(32)}, "wrong installation key"),
        ({"claim": Claim("az1", "az3", "ses-1")}, "az2"),
        ({"claim": Claim("az2", "az2", "ses-1")}, "itself"),
        ({"claim": Claim("az1", "az2", "unknown")}, "session unknown is not here"),
    ],
)
async def test_both_sides_log_why(world: Any, wait: Any, owner: Any, changed: Any, reason: str) -> None:
    near, far = owner(), owner()

    def accept(link: Any) -> Any:
        return far.own(link) if link.session_id == "ses-1" else f"session {link.session_id} is not here"

    with capture_logs() as logs:
        listener = await world.listen(accept)
        dialer = world.dial(listener.address, near.own, **changed)
        await wait(lambda: logged(logs, "link_refused") and logged(logs, "link_dial_failed"))
        dialer.stop()
    assert reason in logged(logs, "link_refused")[0]["reason"]
    assert reason in logged(logs, "link_dial_failed")[0]["reason"]
    assert near.link is None
    assert KEY.hex() not in str(logs)
    assert repr(KEY) not in str(logs)


async def test_another_version_is_said_to_both(world: Any, wait: Any, owner: Any, monkeypatch: Any) -> None:
    listener = await world.listen(owner().own)
    reader, writer = await asyncio.open_connection(*listener.address)
    hello = bytearray(hs.DialerHandshake(KEY, CLAIM).start())
    hello[8:10] = (9).to_bytes(2, "big")
    with capture_logs() as logs:
        writer.write(hello)
        answer = await reader.read()
        await wait(lambda: logged(logs, "link_refused"))
    with pytest.raises(HandshakeRefused, match="version 9") as refused:
        hs.decode(memoryview(answer))
    assert refused.value.by_peer
    assert "version 9" in logged(logs, "link_refused")[0]["reason"]
    writer.close()


def shake(dialer: hs.DialerHandshake, listener: hs.ListenerHandshake) -> None:
    """Both handshakes, without sockets."""

    def message(data: bytes) -> hs.Message:
        got = hs.decode(memoryview(data))
        assert got is not None
        return got

    challenge = listener.take(message(dialer.start()))
    proof = dialer.take(message(challenge))
    listener.take(message(proof))
    dialer.take(message(hs.encode(hs.Kind.ACCEPTED)))


def test_the_claim_is_proven() -> None:
    dialer, listener = hs.DialerHandshake(KEY, CLAIM), hs.ListenerHandshake(KEY, "az2")
    shake(dialer, listener)
    assert (dialer.done, listener.done, listener.claim) == (True, True, CLAIM)


def test_a_proof_sent_back_proves_nothing() -> None:
    """An attacker without the key answers the listener with the listener's own proof."""
    listener = hs.ListenerHandshake(KEY, "az2")
    hello = hs.decode(memoryview(hs.DialerHandshake(bytes(32), CLAIM).start()))
    assert hello is not None
    challenge = listener.take(hello)
    reflected = hs.decode(memoryview(hs.encode(hs.Kind.PROOF, challenge[-32:])))
    assert reflected is not None
    with pytest.raises(HandshakeRefused, match="wrong installation key"):
        listener.take(reflected)


def test_a_recorded_handshake_is_of_no_use() -> None:
    """The listener's nonce is new each time."""
    dialer = hs.DialerHandshake(KEY, CLAIM)
    hello = hs.decode(memoryview(dialer.start()))
    assert hello is not None
    challenge = hs.decode(memoryview(hs.ListenerHandshake(KEY, "az2").take(hello)))
    assert challenge is not None
    proof = hs.decode(memoryview(dialer.take(challenge)))
    assert proof is not None
    other = hs.ListenerHandshake(KEY, "az2")
    other.take(hello)
    with pytest.raises(HandshakeRefused, match="wrong installation key"):
        other.take(proof)


def test_a_changed_byte_is_never_accepted() -> None:
    """Every byte of HELLO and CHALLENGE is under the proofs."""
    for place in range(len(hs.DialerHandshake(KEY, CLAIM).start())):
        dialer, listener = hs.DialerHandshake(KEY, CLAIM), hs.ListenerHandshake(KEY, "az2")
        changed = bytearray(dialer.start())
        changed[place] ^= 1
        with contextlib.suppress(HandshakeRefused):
            hello = hs.decode(memoryview(changed))
            if hello is not None:
                challenge = hs.decode(memoryview(listener.take(hello)))
                assert challenge is not None
                dialer.take(challenge)
                pytest.fail(f"byte {place} was changed and the challenge believed")


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), st.booleans(), st.integers(0, 9), st.integers(0, 2000))
def test_garbage_is_refused_or_awaited_never_worse(
    garbage: bytes, enveloped: bool, kind: int, length: int
) -> None:
    if enveloped:
        garbage = hs.MAGIC + (1).to_bytes(2, "big") + bytes([kind]) + length.to_bytes(2, "big") + garbage
    for side in (hs.ListenerHandshake(KEY, "az2"), hs.DialerHandshake(KEY, CLAIM)):
        try:
            message = hs.decode(memoryview(garbage))
            if message is not None:
                side.take(message)
        except HandshakeRefused:
            pass
        assert not side.done


def test_any_split_of_a_message_is_the_same_message() -> None:
    hello = hs.DialerHandshake(KEY, CLAIM).start()
    for cut in range(len(hello)):
        assert hs.decode(memoryview(hello)[:cut]) is None
    whole = hs.decode(memoryview(hello + b"more"))
    assert whole is not None
    assert whole.size == len(hello)


def test_a_refusal_can_not_forge_log_lines() -> None:
    refusal = hs.encode(hs.Kind.REFUSED, "a\nb\x1b[31m\xff".encode("latin-1") + b"x" * 500)
    with pytest.raises(HandshakeRefused) as refused:
        hs.decode(memoryview(refusal))
    assert refused.value.reason.isprintable()
    assert len(refused.value.reason) <= 200


# --- over sockets ---


async def test_whatever_strangers_send_the_listener_lives(world: Any, wait: Any, owner: Any) -> None:
    far, near = owner(), owner()
    listener = await world.listen(far.own)
    for junk in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 5000,
        hs.MAGIC * 700,
        hs.MAGIC + b"\0\1\3" + b"\xff" * 3000,
    ):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(junk)
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 10)
        writer.close()
    await wait(lambda: listener.half_open == 0)
    world.dial(listener.address, near.own)
    await wait(lambda: near.link)


async def test_frames_before_the_proof_are_refused(world: Any, wait: Any, owner: Any, frame: Any) -> None:
    far = owner()
    listener = await world.listen(far.own)
    reader, writer = await asyncio.open_connection(*listener.address)
    writer.write(hs.DialerHandshake(KEY, CLAIM).start() + frame(1, b"early")[0])
    await asyncio.wait_for(reader.read(), 10)
    assert far.link is None
    writer.close()


async def test_a_slow_handshake_is_ended_with_a_reason(world: Any, wait: Any, owner: Any) -> None:
    listener = await world.listen(owner().own, settings=LinkSettings(handshake_seconds=0.05))
    reader, writer = await asyncio.open_connection(*listener.address)
    writer.write(hs.MAGIC)
    answer = await asyncio.wait_for(reader.read(), 10)
    with pytest.raises(HandshakeRefused, match="took longer"):
        hs.decode(memoryview(answer))
    assert listener.half_open == 0
    writer.close()


async def test_a_listener_that_says_nothing_does_not_hold_the_dialer(
    world: Any, wait: Any, owner: Any
) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    dialer = world.dial(
        silent.sockets[0].getsockname(), owner().own, settings=LinkSettings(handshake_seconds=0.05)
    )
    await wait(lambda: dialer.error)
    assert "took longer" in dialer.error
    dialer.stop()
    silent.close()


async def test_a_try_that_was_given_up_as_it_connected_leaves_nothing_behind(
    world: Any, wait: Any, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop closes that without a word to its protocol, whose timer would later speak into a closed connection."""
    loop = asyncio.get_running_loop()
    complaints: list[object] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    settings = LinkSettings(handshake_seconds=0.1)
    made = DialerConnection.connection_made
    timers: list[asyncio.TimerHandle] = []

    def made_and_given_up(connection: DialerConnection, transport: asyncio.BaseTransport) -> None:
        made(connection, transport)
        assert connection._timeout is not None
        timers.append(connection._timeout)
        dialer.stop()

    monkeypatch.setattr(DialerConnection, "connection_made", made_and_given_up)
    listener = await world.listen(owner().own)
    dialer = world.dial(listener.address, owner().own, settings=settings)
    await wait(lambda: timers and loop.time() > timers[-1].when() + 0.05)
    assert complaints == []


async def test_a_thousand_half_open_connections_are_bounded(world: Any, wait: Any, owner: Any) -> None:
    """And an agent gets through among them."""
    far, near = owner(), owner()
    listener = await world.listen(far.own, settings=LinkSettings(half_open_max=20))
    sockets = []
    most = 0
    for number in range(1000):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(listener.address)
        sockets.append(sock)
        await asyncio.sleep(0)  # the kernel's queue of connections to be accepted is short
        most = max(most, listener.half_open)
        if number == 500:
            world.dial(listener.address, near.own)
    await wait(lambda: near.link)
    await wait(lambda: listener.half_open_dropped > 800)
    assert max(most, listener.half_open) <= 20
    for sock in sockets:
        sock.close()
    await wait(lambda: listener.half_open == 0)


async def test_a_socket_file_left_by_a_killed_agent_is_no_obstacle(
    world: Any, wait: Any, owner: Any, tmp_path: Any
) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "link.sock"))
    stale.close()
    near, _ = await world.pair(unix=True)
    assert (tmp_path / "link.sock").stat().st_mode & 0o777 == 0o600
    assert near.up.peer_site == "az2"
