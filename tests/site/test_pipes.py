"""Payloads that stay in the kernel: whole and in order in whatever pieces they come, and a pipe never has another's
bytes."""

import errno
import fcntl
import gc
import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bilocate.site import long_payload
from bilocate.site.disks import syscalls
from bilocate.site.long_payload import LongPayload, plain_socket
from bilocate.site.pipes import KIB, PIPED_BYTES_MAX, PIPED_BYTES_MIN, PIPES_MAX, Piped, Pipes

LENGTHS = [PIPED_BYTES_MIN, 300_001, PIPED_BYTES_MAX]


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pipes:
    """A pool of this test's own in place of the process's."""
    own = Pipes()
    monkeypatch.setattr(long_payload, "pipes", own)
    return own


@pytest.fixture(params=["tcp", "unix"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection: the end that sends, and the end that is read without waiting."""
    if request.param == "unix":
        near, far = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = socket.create_connection(listener.getsockname())
            far, _ = listener.accept()
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    near.setblocking(False)
    far.setblocking(False)
    with near, far:
        yield near, far


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "disk", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def bytes_of(length: int) -> bytes:
    return random.Random(length).randbytes(length)


def receive(ends: tuple[socket.socket, socket.socket], data: bytes, first: int, piece: int) -> LongPayload:
    """A payload of which `first` bytes were in a buffer and the others came in pieces, each in a packet of its own."""
    near, far = ends
    payload = LongPayload(len(data), memoryview(data)[:first], far.fileno())
    at = first
    while not payload.whole:
        if at < len(data):
            with suppress(BlockingIOError):
                at += near.send(data[at : at + piece])
        with suppress(BlockingIOError):
            payload.received(far.recv_into(payload.rest()))
    assert at == len(data)
    return payload


def written(payload: LongPayload, file: int, offset: int = 0) -> bytes:
    """What is in the file where it was written."""
    data = payload.data
    assert isinstance(data, Piped)
    length = len(data)
    assert data.write_to(file, offset) == 0
    return os.pread(file, length, offset)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("first", [0, 1, 4068, 100_000])
def test_it_is_written_as_it_was_sent(pool: Pipes, ends: Any, file: int, length: int, first: int) -> None:
    data = bytes_of(length)
    assert written(receive(ends, data, first, 64 * KIB), file, 12_345) == data
    assert os.pread(file, 12_345, 0) == bytes(12_345)


@pytest.mark.parametrize("length", LENGTHS)
def test_it_can_be_brought_to_memory_instead(pool: Pipes, ends: Any, length: int) -> None:
    data = bytes_of(length)
    payload = receive(ends, data, 4068, 64 * KIB)
    assert isinstance(payload.data, Piped)
    assert payload.bring_to_memory() == data
    assert len(pool._free) == PIPES_MAX, "its pipe is free again"


def test_one_that_came_in_too_many_pieces_goes_on_in_memory(pool: Pipes, ends: Any) -> None:
    data = bytes_of(PIPED_BYTES_MAX)
    received = receive(ends, data, 0, 700).data
    assert isinstance(received, bytearray)
    assert received == data
    assert len(pool._free) == PIPES_MAX


def test_what_follows_stays_in_the_socket(pool: Pipes, ends: Any, file: int) -> None:
    near, far = ends
    data = bytes_of(PIPED_BYTES_MIN)
    near.setblocking(True)
    payload = LongPayload(len(data), memoryview(b""), far.fileno())
    near.sendall(data[:50_000])
    payload.received(far.recv_into(payload.rest()))
    near.sendall(data[50_000:] + b"the next request")
    while not payload.whole:
        payload.received(far.recv_into(payload.rest()))
    assert written(payload, file) == data
    assert far.recv(100) == b"the next request"


def test_its_last_bytes_are_not_received_with_what_follows(pool: Pipes, ends: Any, file: int) -> None:
    near, far = ends
    data = bytes_of(PIPED_BYTES_MIN)
    near.setblocking(True)
    payload = LongPayload(len(data), memoryview(data)[:-100], far.fileno())
    near.sendall(data[-100:] + b"the next request")
    far.recv_into(payload.rest())
    payload.received(100)
    assert written(payload, file) == data
    assert far.recv(100) == b"the next request"


def test_a_pipe_that_takes_a_part_of_what_came_loses_and_repeats_nothing(
    pool: Pipes, ends: Any, monkeypatch: Any
) -> None:
    put, left = os.write, [200, 100]

    def partly(fd: int, data: memoryview) -> int:
        return put(fd, data[: left.pop()])

    monkeypatch.setattr(os, "write", partly)
    data = bytes_of(PIPED_BYTES_MIN)
    payload = LongPayload(len(data), memoryview(data)[:100], ends[1].fileno())
    payload.rest()[:300] = data[100:400]
    payload.received(300)
    payload.rest()[:] = data[400:]
    payload.received(len(data) - 400)
    assert payload.bring_to_memory() == data


def test_neither_short_ones_nor_what_no_pipe_holds_nor_what_has_no_socket(pool: Pipes, ends: Any) -> None:
    fd = ends[1].fileno()
    for length, socket_fd in ((PIPED_BYTES_MIN - 1, fd), (PIPED_BYTES_MAX + 1, fd), (PIPED_BYTES_MAX, -1)):
        payload = LongPayload(length, memoryview(b"x"), socket_fd)
        assert type(payload.data) is bytearray
        assert len(payload.rest()) == length - 1


def test_a_pipe_with_something_left_in_it_is_not_used_again(pool: Pipes, ends: Any, file: int) -> None:
    near, far = ends
    near.setblocking(True)
    given_up = LongPayload(PIPED_BYTES_MIN, memoryview(b"of a host that is gone"), far.fileno())
    assert isinstance(given_up.data, Piped)
    reads, _ = given_up.data._pipe
    del given_up
    gc.collect()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(reads)
    data = bytes_of(PIPED_BYTES_MIN)
    assert written(receive(ends, data, 10, 64 * KIB), file) == data
    assert len(pool._free) == PIPES_MAX


def test_an_empty_pipe_is_used_again(pool: Pipes, ends: Any, file: int) -> None:
    seen = set()
    for _ in range(5):
        payload = receive(ends, bytes_of(PIPED_BYTES_MIN), 10, 64 * KIB)
        assert isinstance(payload.data, Piped)
        seen.add(os.fstat(payload.data._pipe[0]).st_ino)
        written(payload, file)
        del payload
    assert len(seen) == 1


def test_a_write_that_failed_keeps_its_pipe_from_the_next(pool: Pipes, ends: Any, tmp_path: Path) -> None:
    payload = receive(ends, bytes_of(PIPED_BYTES_MIN), 10, 64 * KIB)
    data = payload.data
    assert isinstance(data, Piped)
    reads, _ = data._pipe
    fd = os.open(tmp_path / "disk", os.O_RDONLY | os.O_CREAT)
    assert data.write_to(fd, 0) == errno.EBADF
    os.close(fd)
    del payload, data
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(reads)
    assert len(pool._free) == PIPES_MAX


def test_when_all_are_in_use_memory_is(pool: Pipes, ends: Any) -> None:
    held = [LongPayload(PIPED_BYTES_MIN, memoryview(b""), ends[1].fileno()) for _ in range(PIPES_MAX + 1)]
    kinds = [type(each.data) for each in held]
    assert kinds == [Piped] * PIPES_MAX + [bytearray]
    del held
    assert isinstance(LongPayload(PIPED_BYTES_MIN, memoryview(b""), ends[1].fileno()).data, Piped)


def test_where_the_system_gives_none_memory_is_used(pool: Pipes, ends: Any, monkeypatch: Any) -> None:
    def refuse(*args: Any) -> int:
        raise PermissionError(errno.EPERM, "the user has too many pages in pipes")

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert type(LongPayload(PIPED_BYTES_MIN, memoryview(b""), ends[1].fileno()).data) is bytearray
    assert os.listdir("/proc/self/fd") == before, "the pipe that was too small is closed"


@pytest.mark.parametrize("refused", [errno.EINVAL, errno.ENOSYS, errno.EPERM])
def test_where_nothing_can_be_moved_it_arrives_all_the_same(
    pool: Pipes, ends: Any, file: int, monkeypatch: Any, refused: int
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> int:
        raise OSError(refused, "no splice here")

    monkeypatch.setattr(os, "splice", refuse)
    data = bytes_of(PIPED_BYTES_MIN)
    assert written(receive(ends, data, 10, 4096), file) == data
    assert type(LongPayload(len(data), memoryview(b""), ends[1].fileno()).data) is bytearray, (
        "not tried again"
    )


def test_a_file_system_that_takes_none_gets_a_copy(
    pool: Pipes, ends: Any, file: int, monkeypatch: Any
) -> None:
    moved = os.splice

    def refuse(source: int, target: int, *args: Any, **kwargs: Any) -> int:
        if target == file and kwargs["offset_dst"] > 0:  # in the midst of it
            raise OSError(errno.EINVAL, "no splice here")
        return moved(source, target, *args, **kwargs)

    data = bytes_of(PIPED_BYTES_MAX)
    payload = receive(ends, data, 10, 64 * KIB)
    monkeypatch.setattr(os, "splice", refuse)
    assert written(payload, file) == data


def test_the_kernel_gets_it_in_pieces_like_all_that_is_long(
    pool: Pipes, ends: Any, file: int, monkeypatch: Any
) -> None:
    payload = receive(ends, bytes_of(PIPED_BYTES_MAX), 10, 64 * KIB)
    asked = []
    moved = os.splice

    def noted(source: int, target: int, count: int, **kwargs: Any) -> int:
        asked.append(count)
        return moved(source, target, count, **kwargs)

    monkeypatch.setattr(os, "splice", noted)
    written(payload, file)
    assert max(asked) == syscalls.WRITE_PIECE_BYTES


def test_a_connection_that_ends_in_the_midst_of_it_is_told_by_its_reader(pool: Pipes, ends: Any) -> None:
    near, far = ends
    near.send(b"x" * 10_000)
    near.close()
    payload = LongPayload(PIPED_BYTES_MIN, memoryview(b""), far.fileno())
    while count := far.recv_into(payload.rest()):
        payload.received(count)
    assert not payload.whole
    del payload
    assert len(pool._free) == PIPES_MAX


def test_what_a_transport_decrypts_is_never_moved(ends: Any) -> None:
    def transport(**extra: object) -> Any:
        return SimpleNamespace(get_extra_info=extra.get)

    assert plain_socket(transport(socket=ends[1])) == ends[1].fileno()
    assert plain_socket(transport(socket=ends[1], sslcontext="one")) == -1
    assert plain_socket(transport()) == -1


def test_what_is_asked_of_the_system_fits_what_it_gives_every_user() -> None:
    limit = int(Path("/proc/sys/fs/pipe-max-size").read_text())
    assert limit >= PIPED_BYTES_MAX
