"""Requests and replies past negotiation, by hand-made bytes over a socket."""

import errno
import os
import random
import socket
from collections.abc import Sequence
from struct import pack

import pytest
from tests.site.nbd import raw
from tests.site.nbd.conftest import Serve
from tests.site.nbd.memory import MemoryTarget, OneExport
from tests.site.nbd.raw import Client, Reply
from tests.site.nbd.running import RunningServer

from bilocate.replication.requests import Op, Request
from bilocate.site.nbd import Limits
from bilocate.site.nbd.long_write import LongWrite

SIZE = 1024 * 1024


@pytest.mark.parametrize("uvloop_used", [True, False])
@pytest.mark.parametrize("tcp", [True, False])
@pytest.mark.parametrize("structured", [True, False])
def test_what_was_written_is_read(serve: Serve, uvloop_used: bool, tcp: bool, structured: bool) -> None:
    with Client(serve(uvloop_used=uvloop_used), tcp).go(structured) as client:
        assert client.do(raw.write(4096, b"abc", cookie=7)) == Reply(7)
        assert client.do(raw.request(raw.READ, 4095, 5, cookie=8)) == Reply(
            8, 0, b"\0abc\0", structured=structured
        )


@pytest.mark.parametrize("structured", [True, False])
def test_a_conversation_is_the_same_byte_by_byte(
    server: RunningServer, target: MemoryTarget, structured: bool
) -> None:
    requests = [
        raw.write(0, b"x" * 700, 1),
        raw.request(raw.READ, 0, 512, 2),
        raw.request(raw.FLUSH, cookie=3),
        raw.request(raw.READ, SIZE, 1, 4),
        raw.request(raw.TRIM, 0, 100, 5),
        raw.request(raw.READ, 0, 200, 6),
    ]
    conversations = []
    for cut in (True, False):
        with Client(server).go(structured) as client:
            if cut:
                client.send(*requests[:0])
                client._read_lengths.update({2: 512, 4: 1, 6: 200})
                for byte in b"".join(requests):
                    client.socket.sendall(bytes([byte]))
            else:
                client.send(*requests)
            conversations.append([client.reply() for _ in requests])
    assert conversations[0] == conversations[1]
    assert conversations[0][5].data == bytes(100) + b"x" * 100


def test_requests_directly_behind_the_negotiation_are_taken(server: RunningServer) -> None:
    with Client(server) as client:
        client.greet()
        client.socket.sendall(raw.option(raw.OPT_GO, raw.go_data()) + raw.write(0, b"early", 5))
        assert client.option_replies(raw.OPT_GO)[-1][0] == raw.ACK
        assert client.reply() == Reply(5)


def test_the_target_sees_operations_with_their_flags(server: RunningServer, target: MemoryTarget) -> None:
    with Client(server).go() as client:
        for one in (
            raw.write(0, b"a", flags=raw.FUA),
            raw.write(1, b"b"),
            raw.request(raw.TRIM, 2, 10),
            raw.request(raw.WRITE_ZEROES, 3, 11, flags=raw.NO_HOLE),
            raw.request(raw.WRITE_ZEROES, 4, 12, flags=raw.FUA | raw.FAST_ZERO),
            raw.request(raw.FLUSH),
        ):
            assert client.do(one).errno == 0
    assert target.seen == [
        (Op.WRITE, 0, 1, True, False),
        (Op.WRITE, 1, 1, False, False),
        (Op.ZERO, 2, 10, False, False),
        (Op.ZERO, 3, 11, False, True),
        (Op.ZERO, 4, 12, True, False),
        (Op.FLUSH, 0, 0, False, False),
    ]


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (raw.write(SIZE - 1, b"ab"), errno.ENOSPC),
        (raw.write(2**64 - 1, b"ab"), errno.ENOSPC),
        (raw.write(SIZE - 1, b"x" * 100_000), errno.ENOSPC),
        (raw.request(raw.WRITE_ZEROES, SIZE, 1), errno.ENOSPC),
        (raw.request(raw.READ, SIZE - 1, 2), errno.EINVAL),
        (raw.request(raw.TRIM, SIZE - 1, 2), errno.EINVAL),
        (raw.request(raw.TRIM, 0, 2**32 - 1), errno.EINVAL),
        (raw.request(raw.CACHE, SIZE, 1), errno.EINVAL),
        (raw.request(raw.CACHE, 0, SIZE), 0),
        (raw.write(0, b"a", flags=raw.NO_HOLE), errno.EINVAL),
        (raw.write(0, b"x" * 100_000, flags=raw.NO_HOLE), errno.EINVAL),
        (raw.request(raw.READ, 0, 1, flags=0x8000), errno.EINVAL),
        (raw.request(raw.BLOCK_STATUS, 0, 1), errno.EINVAL),  # the context was not agreed on
        (raw.request(77, 0, 1), errno.EINVAL),
        (raw.write(SIZE, b""), 0),
        (raw.request(raw.READ, 0, 0), 0),
        (raw.request(raw.TRIM, 0, 0), 0),
        (raw.request(raw.WRITE_ZEROES, SIZE, 0), 0),
        (raw.request(raw.WRITE_ZEROES, 0, 1, flags=raw.FAST_ZERO | raw.NO_HOLE), errno.ENOTSUP),
    ],
)
@pytest.mark.parametrize("structured", [True, False])
def test_requests_that_need_no_target_are_answered_without_it(
    server: RunningServer, target: MemoryTarget, one: bytes, code: int, structured: bool
) -> None:
    with Client(server).go(structured) as client:
        assert client.do(one).errno == code
        assert target.seen == []
        assert client.do(raw.write(0, b"next")).errno == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (errno.ENOSPC, errno.ENOSPC),
        (errno.EPERM, errno.EPERM),
        (errno.EIO, errno.EIO),
        (errno.ENOMEM, errno.ENOMEM),
        (errno.ESHUTDOWN, errno.ESHUTDOWN),
        (errno.ENOTSUP, errno.ENOTSUP),
        (errno.EOVERFLOW, errno.EOVERFLOW),
        (errno.EDQUOT, errno.ENOSPC),
        (errno.EROFS, errno.EPERM),
        (errno.ENOENT, errno.EIO),
        (-1, errno.EIO),
    ],
)
@pytest.mark.parametrize("structured", [True, False])
def test_a_targets_errno_is_told(
    server: RunningServer, target: MemoryTarget, given: int, told: int, structured: bool
) -> None:
    target.fails_with = given
    with Client(server).go(structured, allocation=structured) as client:
        assert client.do(raw.write(0, b"a", 1)) == Reply(1, told)
        assert client.do(raw.request(raw.READ, 0, 9, 2)) == Reply(2, told, structured=structured)
        assert client.do(raw.request(raw.FLUSH, cookie=3)) == Reply(3, told)
        if structured:
            assert client.do(raw.request(raw.BLOCK_STATUS, 0, 9, 4)) == Reply(4, told, structured=True)


def test_too_long_a_read_is_refused(serve: Serve) -> None:
    with Client(serve(Limits(request_bytes_max=65536))).go(structured=True) as client:
        assert client.do(raw.request(raw.READ, 0, 65537)).errno == errno.EINVAL
        assert client.do(raw.request(raw.READ, 0, 65537, flags=raw.DF)).errno == errno.EOVERFLOW
        assert client.do(raw.request(raw.READ, 0, 65536, flags=raw.DF)).errno == 0


@pytest.mark.parametrize("cut", [0, 1, 27, 28, 29, 5000, 65536, 65564, 262143, 262144, 299_999])
def test_long_payloads_arrive_whole_wherever_they_are_cut(
    server: RunningServer, target: MemoryTarget, cut: int
) -> None:
    data = random.Random(cut).randbytes(300_000)
    message = raw.write(0, b"first") + raw.write(1000, data, 2) + raw.write(500_000, b"last", 3)
    with Client(server).go() as client:
        client.socket.sendall(message[: 33 + cut])
        assert client.reply() == Reply(1)
        client.socket.sendall(message[33 + cut :])
        assert [client.reply(), client.reply()] == [Reply(2), Reply(3)]
    assert target.data[1000:301_000] == data
    assert target.data[500_000:500_004] == b"last"


def test_a_mix_of_many_requests_in_one_piece_is_answered(server: RunningServer, target: MemoryTarget) -> None:
    rng = random.Random(5)
    twin = bytearray(SIZE)
    with Client(server).go(structured=True) as client:
        for _ in range(20):
            requests, expected = [], []
            for cookie in range(rng.randrange(1, 60)):
                offset = rng.randrange(SIZE)
                length = min(rng.choice([1, 4096, 4097, 65536, 65537, 200_000]), SIZE - offset)
                if rng.random() < 0.6:
                    data = rng.randbytes(length)
                    twin[offset : offset + length] = data
                    requests.append(raw.write(offset, data, cookie))
                    expected.append(Reply(cookie))
                else:
                    requests.append(raw.request(raw.READ, offset, length, cookie))
                    expected.append(Reply(cookie, 0, bytes(twin[offset : offset + length]), structured=True))
            replies: list[Reply] = []
            client.send(*requests)
            replies.extend(client.reply() for _ in requests)
            assert replies == expected
    assert target.data == twin


def test_a_batch_ends_once_for_many_requests(server: RunningServer, target: MemoryTarget) -> None:
    with Client(server).go() as client:
        before = target.batches
        client.send(*(raw.write(number, b"x", number) for number in range(500)))
        for number in range(500):
            assert client.reply() == Reply(number)
        assert 1 <= target.batches - before <= 20


def test_replies_may_come_late_and_in_any_order(server: RunningServer, target: MemoryTarget) -> None:
    target.holding = True
    with Client(server).go() as client:
        client.send(*(raw.write(number, b"x", number) for number in range(10)))
        server.wait_until(lambda: len(target.held) == 10)
        server.call(target.release)
        assert [client.reply().cookie for _ in range(10)] == list(reversed(range(10)))


@pytest.mark.parametrize("only_first", [True, False])
def test_block_status_is_told(server: RunningServer, target: MemoryTarget, only_first: bool) -> None:
    target.status = [
        (100, True, True),
        (50, True, True),
        (10, False, True),
        (0, True, True),
        (5000, False, False),
    ]
    with Client(server).go(allocation=True) as client:
        flags = raw.REQ_ONE if only_first else 0
        told = client.do(raw.request(raw.BLOCK_STATUS, 0, 200, 3, flags)).status
        assert told == ([(150, 3)] if only_first else [(150, 3), (10, 2), (40, 0)])
        assert client.do(raw.request(raw.BLOCK_STATUS, 0, 0)).errno == errno.EINVAL


@pytest.mark.parametrize("held", [True, False])
def test_long_zeroings_reach_the_target_in_parts(serve: Serve, target: MemoryTarget, held: bool) -> None:
    target.data[:] = b"x" * SIZE
    server = serve(Limits(request_bytes_max=100_000))
    with Client(server).go() as client:
        target.holding = held
        client.send(raw.request(raw.WRITE_ZEROES, 50_000, 900_000, 4, raw.FUA | raw.NO_HOLE))
        for _ in range(10 if held else 0):
            server.wait_until(lambda: len(target.held) == 1)
            server.call(lambda: target.carry_out(target.held.pop()))
        assert client.reply() == Reply(4)
        target.holding = False
        server.call(lambda: setattr(target, "fails_with", errno.EIO))
        assert client.do(raw.request(raw.TRIM, 0, SIZE)).errno == errno.EIO
    parts = target.seen[:10]
    assert parts[0] == (Op.ZERO, 50_000, 50_000, True, True)
    assert [length for _, _, length, _, _ in parts] == [50_000] + [100_000] * 8 + [50_000]
    assert target.data == b"x" * 50_000 + bytes(900_000) + b"x" * (SIZE - 950_000)


def test_disconnect_waits_for_answers(server: RunningServer, target: MemoryTarget) -> None:
    target.holding = True
    with Client(server).go() as client:
        client.send(raw.write(0, b"a", 9), raw.request(raw.DISC), raw.write(0, b"never", 10))
        server.wait_until(lambda: len(target.held) == 1)
        server.call(target.release)
        assert client.reply() == Reply(9)
        assert client.is_closed_by_server()
    server.wait_until(lambda: target.connections == [])
    assert len(target.seen) == 1


def test_a_host_that_stops_sending_still_gets_its_answers(
    server: RunningServer, target: MemoryTarget
) -> None:
    target.holding = True
    with Client(server).go() as client:
        client.send(raw.write(0, b"a", 9))
        client.socket.shutdown(1)
        server.wait_until(lambda: len(target.held) == 1)
        server.call(target.release)
        assert client.reply() == Reply(9)
        assert client.is_closed_by_server()


def test_dropped_connections_get_no_answers(server: RunningServer, target: MemoryTarget) -> None:
    target.holding = True
    with Client(server).go() as client:
        client.send(raw.write(0, b"a"), raw.request(raw.READ, 0, 1, 2))
        server.wait_until(lambda: len(target.held) == 2)
        server.call(lambda: target.connections[0].disconnect("superseded"))
        server.call(target.release)  # answers for a connection that is gone
        with pytest.raises(ConnectionResetError):
            client.reply()
    server.wait_until(lambda: target.connections == [])


def test_answers_for_a_host_that_was_killed_are_dropped(server: RunningServer, target: MemoryTarget) -> None:
    target.holding = True
    with Client(server, tcp=True).go() as client:
        client.send(*(raw.request(raw.READ, 0, 100_000, cookie) for cookie in range(20)))
        client.send(raw.write(0, b"a", 21), raw.request(raw.FLUSH, cookie=22))
        server.wait_until(lambda: len(target.held) == 22)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
    server.wait_until(lambda: target.connections == [])
    server.call(target.release)
    assert target.data[0:1] == b"a"


def test_peers_are_probed(server: RunningServer) -> None:
    with Client(server, tcp=True).go():
        connections = server.call(lambda: list(server.server._connections))
        peer = connections[0]._transport.get_extra_info("socket")
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_an_answer_given_just_before_a_disconnect_may_be_lost_but_nothing_follows(
    server: RunningServer, target: MemoryTarget
) -> None:
    target.holding = True
    with Client(server).go() as client:
        client.send(raw.write(0, b"a"))
        server.wait_until(lambda: len(target.held) == 1)

        def answer_and_drop() -> None:
            target.release()
            target.connections[0].disconnect("superseded")

        server.call(answer_and_drop)
        with pytest.raises(ConnectionResetError):
            client.reply()


def test_nothing_is_moved_from_the_descriptor_of_a_connection_that_was_closed(
    serve: Serve, target: MemoryTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be another's by now."""
    given: list[int] = []
    allocate = LongWrite.allocate

    def noted(long: LongWrite, data: memoryview, socket_fd: int) -> int:
        given.append(socket_fd)
        return allocate(long, data, socket_fd)

    def drop(requests: Sequence[Request]) -> None:
        requests[0].done(requests[0], 0)
        target.connections[0].disconnect("superseded")

    target.takes_unread = True
    monkeypatch.setattr(LongWrite, "allocate", noted)
    long = raw.request(raw.WRITE, 0, 300_000)
    server = serve(Limits(in_flight_max=1))
    with Client(server).go() as client:
        client.send(long)
        server.wait_until(lambda: len(given) == 1)
        assert given[0] >= 0
    monkeypatch.setattr(target, "submit_all", drop)
    with Client(server).go() as client:
        client.send(raw.write(0, b"a") + long)
        assert client.is_closed_by_server()
    assert given[1:] == [-1]


def test_a_defect_in_the_target_costs_one_connection(server: RunningServer, target: MemoryTarget) -> None:
    with Client(server).go() as first, Client(server).go() as second:
        target.raises = True
        first.send(raw.write(0, b"a"))
        assert first.is_closed_by_server()
        target.raises = False
        assert second.do(raw.write(0, b"a")).errno == 0


def test_exports_that_are_not_served_now_are_unknown(
    server: RunningServer, source: OneExport, target: MemoryTarget
) -> None:
    source.target = None
    with Client(server) as client:
        client.greet()
        assert client.ask(raw.OPT_GO, raw.go_data()) == [(raw.ERR_UNKNOWN, b"no such export")]
        source.target = target
        assert client.ask(raw.OPT_GO, raw.go_data())[-1][0] == raw.ACK


def test_a_volume_that_grew_takes_writes_behind_its_old_end(
    server: RunningServer, target: MemoryTarget
) -> None:
    with Client(server).go() as client:
        assert client.do(raw.write(SIZE, b"a")).errno == errno.ENOSPC
        target.data.extend(bytes(SIZE))
        target.size_bytes = 2 * SIZE
        assert client.do(raw.write(SIZE, b"a")).errno == 0


def test_the_socket_of_a_dead_process_is_replaced_and_its_mode_is_private(
    serve: Serve, target: MemoryTarget
) -> None:
    server = serve()
    assert os.stat(server.path).st_mode & 0o777 == 0o600
    server.close()
    assert not server.path.exists()
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(server.path.with_name("nbd1.sock")))
    stale.close()
    with Client(serve()).go() as client:
        assert client.do(raw.write(0, b"a")).errno == 0


def test_a_read_only_export_says_so_and_refuses_whatever_writes(
    server: RunningServer, target: MemoryTarget
) -> None:
    target.read_only = True
    long = bytes(300 * 1024)
    with Client(server).go() as client:
        for change in (
            raw.write(0, b"a"),
            raw.write(0, b""),
            raw.write(0, long),
            raw.write(SIZE, b"a"),
            raw.request(raw.TRIM, 0, 512),
            raw.request(raw.WRITE_ZEROES, 0, 512),
        ):
            assert client.do(change).errno == errno.EPERM
        assert client.do(raw.request(raw.FLUSH)).errno == 0
        assert client.do(raw.request(raw.READ, 0, 4)).data == bytes(4)
    assert {op for op, *_ in target.seen} <= {Op.READ, Op.FLUSH}
