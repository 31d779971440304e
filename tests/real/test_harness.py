"""The measure is measured: the host and the checker against nbdkit, and every kind of damage is noticed."""

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.real.harness.checker import check
from tests.real.harness.events import Kind
from tests.real.harness.host import Host
from tests.real.harness.images import Reader, assert_equal, differing_chunks
from tests.real.harness.proxy import Wire, Wires
from tests.real.harness.record import BLOCK_BYTES, DEPTH, SLOTS, Place, place_of
from tests.real.harness.waiting import wait_for

SIZE = 1024**3


class Files:
    """Two files behind nbdkit, which can be killed and started again."""

    def __init__(self, directory: Path) -> None:
        self.files = [directory / "one", directory / "other"]
        for file in self.files:
            with file.open("wb") as made:
                made.truncate(SIZE)
        self.uris = [f"nbd+unix:///?socket={file}.sock" for file in self.files]
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        for file in self.files:
            path = Path(f"{file}.sock")
            path.unlink(missing_ok=True)
            # One thread for each connection: with several, nbdkit 1.32 aborts now and then when a host hangs up.
            command = ["nbdkit", "--foreground", "--threads", "1", "--unix", str(path), "file", str(file)]
            self._processes.append(subprocess.Popen(command))
            wait_for("nbdkit", path.exists)

    def kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Files]:
    files = Files(tmp_path)
    files.start()
    yield files
    files.kill()


def overwrite(files: Files, place: Place, block: bytes) -> None:
    fd = os.open(files.files[place.volume], os.O_WRONLY)
    os.pwrite(fd, block, place.offset)
    os.close(fd)


def most_under_way(host: Host) -> int:
    """How many records were under way at once; each ends once, and none that was never sent."""
    under_way: set[int] = set()
    most = 0
    for event in host.events:
        if event.kind is Kind.ISSUED:
            under_way.add(event.number)
            most = max(most, len(under_way))
        elif event.kind in (Kind.ACKNOWLEDGED, Kind.FAILED, Kind.LOST):
            under_way.remove(event.number)
    return most


def written(host: Host, served: Files) -> list[int]:
    """Something is written; the records in the order of their acknowledgement."""
    host.start(served.uris, records=1000)
    host.pause()
    host.quit()  # it would go on reading
    return [event.number for event in host.events if event.kind is Kind.ACKNOWLEDGED]


def test_what_was_acknowledged_is_found(served: Files, host: Host) -> None:
    written(host, served)
    verdict = check(host, served.files)
    # On a busy machine more are written before it pauses: beyond so many they lie over earlier ones.
    assert 1000 <= verdict.present == min(verdict.acknowledged, SLOTS)
    assert host.reads > 0
    assert {place_of(seq, 1).volume for seq in range(8)} == {0, 1}


def test_a_lost_write_is_noticed(served: Files, host: Host) -> None:
    """An old block, nothing, garbage, or half a block where an acknowledged record must be."""
    acknowledged = written(host, served)
    place = place_of(acknowledged[-100], 1)
    site = Reader(served.files)
    whole = site.block(place)
    site.close()
    for wrong in (bytes(BLOCK_BYTES), os.urandom(BLOCK_BYTES), whole[:2048] + bytes(2048)):
        overwrite(served, place, wrong)
        with pytest.raises(AssertionError, match=r"missing|broken|out of order"):
            check(host, served.files)
    overwrite(served, place, whole)
    check(host, served.files)


def test_a_wrong_order_is_noticed_even_where_writes_may_be_missing(served: Files, host: Host) -> None:
    """Without its last records a site is merely behind; without one in the middle it is of no moment at all."""
    acknowledged = written(host, served)
    for seq in acknowledged[-20:]:
        place, before = place_of(seq, 1), max(0, seq - SLOTS)
        overwrite(served, place, host.block(before, place))
    check(host, served.files, may_lack=True)
    overwrite(served, place_of(acknowledged[500], 1), bytes(BLOCK_BYTES))
    with pytest.raises(AssertionError, match="out of order"):
        check(host, served.files, may_lack=True)


def test_a_host_survives_its_server_and_remembers_what_it_read(served: Files, host: Host) -> None:
    """A server that comes back with an older state is found out by the host's own reads."""
    host.start(served.uris, records=3000)
    served.kill()
    killed = time.monotonic()
    wait_for("both ends", lambda: host.count(Kind.DISCONNECTED) == 2)
    assert 1 <= most_under_way(host) <= DEPTH
    served.start()
    host.wait_acknowledged(100)
    assert host.longest_stall(killed) > 0
    host.pause()
    check(host, served.files)
    for file in served.files:
        os.truncate(file, 0)
        os.truncate(file, SIZE)
    host.wait_event(Kind.READ_OLD, killed)


def test_a_new_phase_leaves_the_old_one_in_place(served: Files, host: Host) -> None:
    host.start(served.uris, records=500)
    host.connect(served.uris)
    host.wait_acknowledged(5000)
    host.pause()
    verdict = check(host, served.files)
    assert 500 <= verdict.present - 2048 < verdict.acknowledged


def test_differences_are_counted_in_chunks(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for file in (one, other):
        with file.open("wb") as made:
            made.truncate(SIZE)
    assert_equal([one], [other])
    with other.open("r+b") as changed:
        for chunk in (0, 100, 16383):
            changed.seek(chunk * 65536 + 4097)
            changed.write(b"x")
    assert differing_chunks(one, other) == differing_chunks(other, one) == [0, 100, 16383]
    with pytest.raises(AssertionError, match="3 chunks differ"):
        assert_equal([one], [other])


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that says everything back."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(4096):
                connection.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()
    listener.close()


@pytest.fixture
def wires() -> Iterator[Wires]:
    made = Wires()
    yield made
    made.close()


def is_refused(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            return not client.recv(100)
    except ConnectionError:
        return True


def test_a_wire_forwards_is_silent_and_breaks(echo: tuple[str, int], wires: Wires) -> None:
    proxy = wires.add(echo)
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
        client.sendall(b"one")
        assert client.recv(100) == b"one"
        for silent in (Wire.SILENT, Wire.TO_TARGET_SILENT, Wire.FROM_TARGET_SILENT):
            wires.set(silent, proxy)
            client.sendall(b"two")
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.recv(100)
            client.settimeout(5)
            wires.set(Wire.WHOLE, proxy)
            assert client.recv(100) == b"two"
        assert (proxy.to_target_bytes, proxy.from_target_bytes) == (12, 12)
        wires.set(Wire.CUT, proxy)
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    assert is_refused(proxy.port)
    wires.set(Wire.WHOLE, proxy)
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
        client.sendall(b"four")
        assert client.recv(100) == b"four"
