"""Bounds (rule 27): past each the server stops reading or ends that connection, and nothing else suffers."""

import resource
import socket
from collections.abc import Iterator
from contextlib import suppress
from struct import pack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.site.nbd import raw
from tests.site.nbd.conftest import Serve
from tests.site.nbd.memory import MemoryTarget, OneExport
from tests.site.nbd.raw import Client, Reply
from tests.site.nbd.running import RunningServer

from bilocate.site.nbd import Limits
from bilocate.site.nbd.transmission import Transmission

SIZE = 1024 * 1024


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def works(server: RunningServer) -> bool:
    with Client(server).go() as client:
        return client.do(raw.write(0, b"a", 3)) == Reply(3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(min_size=1, max_size=200), negotiated=st.booleans())
def test_random_bytes_end_their_connection_at_most(
    server: RunningServer, junk: bytes, negotiated: bool
) -> None:
    with Client(server) as client:
        if negotiated:
            client.go()
        client.socket.sendall(junk)
        client.socket.shutdown(1)
        client.is_closed_by_server()
    assert works(server)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.lists(
        st.tuples(
            st.integers(0, 9),
            st.integers(0, 40),
            st.one_of(st.integers(0, SIZE), st.integers(0, 2**64 - 1)),
            st.one_of(st.integers(0, 200_000), st.integers(0, 2**32 - 1)),
        ),
        max_size=12,
    ),
    structured=st.booleans(),
)
def test_random_requests_are_answered_or_end_it(
    server: RunningServer, fields: list[tuple[int, int, int, int]], structured: bool
) -> None:
    with Client(server).go(structured) as client:
        for cookie, (kind, flags, offset, length) in enumerate(fields):
            if kind == raw.DISC or (kind == raw.WRITE and length > 300_000):
                continue
            data = bytes(length) if kind == raw.WRITE else b""
            client.send(raw.request(kind, offset, length, cookie, flags, data))
            assert client.reply().cookie == cookie
    assert works(server)


@pytest.mark.parametrize(
    "message",
    [
        pack(">IHHQQI", 0x25609514, 0, 0, 1, 0, 1),
        raw.request(raw.WRITE, 0, 32 * 1024 * 1024 + 1),
        raw.request(raw.WRITE, 0, 2**32 - 1),
    ],
)
def test_wrong_magic_and_huge_payloads_end_it(server: RunningServer, message: bytes) -> None:
    with Client(server).go() as client:
        client.send(raw.write(0, b"a", 1))
        assert client.reply() == Reply(1)
        client.socket.sendall(message)
        assert client.is_closed_by_server()
    assert works(server)


def test_a_thousand_half_open_connections_keep_no_host_out(server: RunningServer, many_files: None) -> None:
    crowd = [Client(server, tcp=number % 2 == 0) for number in range(1000)]
    try:
        assert works(server)
        assert len(server.call(lambda: list(server.server._negotiating))) <= 64
        assert crowd[0].is_closed_by_server()
    finally:
        for client in crowd:
            client.socket.close()


def test_negotiation_ends_after_its_time(serve: Serve) -> None:
    with Client(serve(Limits(negotiation_seconds_max=0.1))) as client:
        client.greet()
        client.socket.sendall(b"IHAVE")
        assert client.is_closed_by_server()


def test_connections_past_the_limit_are_closed_and_room_comes_back(
    serve: Serve, target: MemoryTarget
) -> None:
    server = serve(Limits(connections_max=2))
    with Client(server).go(), Client(server).go():
        with Client(server) as third:
            third.greet()
            third.socket.sendall(raw.option(raw.OPT_GO, raw.go_data()))
            assert third.is_closed_by_server()
        assert len(target.connections) == 2
    server.wait_until(lambda: target.connections == [])
    assert works(server)


def test_a_client_that_takes_no_option_replies_is_read_no_further(serve: Serve, source: OneExport) -> None:
    source.shown = True
    source.name = "n" * 4096
    server = serve(Limits(negotiation_seconds_max=60))
    with Client(server) as client:
        client.greet()
        client.socket.settimeout(0.5)
        flood, sent = raw.option(raw.OPT_LIST) * 1000, 0
        with suppress(TimeoutError):
            while sent < 64 * SIZE:
                sent += client.socket.send(flood)
        # Each 16 bytes call for 4 KiB: what was taken must be little.
        assert sent < 2 * SIZE
        client.socket.settimeout(30)
        for _ in range(100):
            assert [kind for kind, _ in client.option_replies(raw.OPT_LIST)] == [raw.SERVER, raw.ACK]


def test_a_slow_reader_costs_bounded_memory_and_gets_all_in_the_end(
    serve: Serve, target: MemoryTarget
) -> None:
    limit = 2 * SIZE
    server = serve(Limits(unsent_bytes_max=limit))
    with Client(server).go(structured=True) as client:
        client.send(*(raw.request(raw.READ, 0, SIZE, cookie) for cookie in range(200)))
        server.wait_until(lambda: len(target.seen) >= 3)
        assert server.call(lambda: len(target.seen)) * SIZE <= 2 * limit + 3 * SIZE
        assert works(server)
        for cookie in range(200):
            reply = client.reply()
            assert (reply.cookie, len(reply.data)) == (cookie, SIZE)


def test_a_host_that_takes_no_replies_is_read_no_further(serve: Serve, target: MemoryTarget) -> None:
    server = serve(Limits(unsent_bytes_max=64 * 1024))
    with Client(server).go() as client:
        client.socket.settimeout(0.5)
        flood, sent = raw.request(raw.FLUSH) * 1000, 0
        with suppress(TimeoutError):
            while sent < 64 * SIZE:
                sent += client.socket.send(flood)
        assert sent < 8 * SIZE
        client.socket.settimeout(30)
        for _ in range(sent // 28):
            assert client.reply() == Reply(1)


def test_held_reads_are_bounded_too(serve: Serve, target: MemoryTarget) -> None:
    server = serve(Limits(unsent_bytes_max=SIZE))
    target.holding = True
    with Client(server).go() as client:
        client.send(*(raw.request(raw.READ, 0, SIZE // 4, cookie) for cookie in range(50)))
        server.wait_until(lambda: len(target.held) == 4)
        server.call(target.release)
        assert [client.reply().cookie for _ in range(50)] == [3, 2, 1, 0, *range(4, 50)]


def test_no_more_requests_than_allowed_are_in_flight(serve: Serve, target: MemoryTarget) -> None:
    server = serve(Limits(in_flight_max=16))
    target.holding = True
    with Client(server).go() as client:
        client.send(*(raw.write(0, b"x", cookie) for cookie in range(100)))
        server.wait_until(lambda: len(target.held) == 16)
        assert server.call(lambda: len(target.seen)) == 16
        server.call(target.release)
        assert sorted(client.reply().cookie for _ in range(100)) == list(range(100))


def test_refused_requests_between_them_let_no_more_in(serve: Serve, target: MemoryTarget) -> None:
    """What came before a refused one goes to the target at once."""
    server = serve(Limits(in_flight_max=16))
    target.holding = True
    refused = raw.request(raw.READ, SIZE, 1, 1000)
    with Client(server).go() as client:
        client.send(*(raw.write(0, b"x", cookie) + refused for cookie in range(50)))
        server.wait_until(lambda: len(target.held) == 16)
        assert server.call(lambda: len(target.seen)) == 16
        server.call(target.release)
        found = [client.reply().cookie for _ in range(100)]
        assert sorted(found) == [*range(50), *[1000] * 50]


def test_a_busy_target_is_left_alone_until_it_says_so(server: RunningServer, target: MemoryTarget) -> None:
    with Client(server).go() as client:
        target.is_busy = True
        # The client hears of the end of negotiation first.
        server.wait_until(lambda: len(target.connections) == 1)
        (connection,) = target.connections
        assert isinstance(connection, Transmission)
        client.send(raw.write(0, b"a", 1), raw.write(0, b"b" * 100_000, 2))
        server.wait_until(lambda: connection._stalled)
        assert target.seen == []
        target.is_busy = False
        server.call(connection.resume_reading)
        assert [client.reply(), client.reply()] == [Reply(1), Reply(2)]


def test_long_payloads_wait_for_room(serve: Serve, target: MemoryTarget) -> None:
    server = serve(Limits(request_bytes_max=150_000, receiving_bytes_max=200_000))
    with Client(server).go() as first, Client(server).go() as second, Client(server).go() as third:
        first.send(raw.write(0, b"1" * 150_000, 1)[:1000])
        server.wait_until(lambda: server.server.room._free_bytes == 50_000)
        second.send(raw.write(200_000, b"2" * 150_000, 2)[:120_000])
        server.wait_until(lambda: len(server.server.room._waiting) == 1)
        third.send(raw.write(400_000, b"3" * 150_000, 3))
        assert works(server)  # small requests need no room
        first.socket.sendall(b"1" * 149_028)
        assert first.reply() == Reply(1)
        second.socket.sendall((b"2" * 150_028)[120_000:])
        assert [second.reply(), third.reply()] == [Reply(2), Reply(3)]
    assert target.data[0:600_000:200_000] == b"123"
    assert target.data[349_999:350_001] == b"2\0"
    server.wait_until(lambda: server.server.room._free_bytes == 200_000)


def test_who_holds_room_and_sends_nothing_is_dropped_when_others_wait(serve: Serve) -> None:
    limits = Limits(request_bytes_max=150_000, receiving_bytes_max=200_000, receiving_seconds_max=0.2)
    server = serve(limits)
    with Client(server).go() as idle, Client(server).go() as other:
        idle.send(raw.write(0, b"1" * 150_000)[:1000])
        server.wait_until(lambda: server.server.room._free_bytes == 50_000)
        assert other.do(raw.write(0, b"2" * 150_000, 2)) == Reply(2)
        assert idle.is_closed_by_server()


def test_closing_while_waiting_for_room_gives_the_turn_to_the_next(serve: Serve) -> None:
    server = serve(Limits(request_bytes_max=150_000, receiving_bytes_max=200_000))
    with Client(server).go() as first, Client(server).go() as third:
        first.send(raw.write(0, b"1" * 150_000)[:1000])
        with Client(server).go() as second:
            server.wait_until(lambda: server.server.room._free_bytes == 50_000)
            second.send(raw.write(0, b"2" * 150_000)[:1000])
            server.wait_until(lambda: len(server.server.room._waiting) == 1)
            third.send(raw.write(0, b"3" * 150_000, 3))
            server.wait_until(lambda: len(server.server.room._waiting) == 2)
            second.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        first.socket.close()
        assert third.reply() == Reply(3)
