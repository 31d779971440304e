"""What someone may send to a port who should not: each attack ends when the server has ended it, or by itself.

The first group needs nothing, the second an export's secret, the third the installation's key.
"""

import contextlib
import random
import socket
from collections.abc import Callable
from struct import pack

from tests.real.harness.late_write import NbdSocket

from bilocate.site.link.handshake import Claim, DialerHandshake, decode

Address = tuple[str, int]

SECONDS = 8.0
SEED = 7
MIB = 1024 * 1024
READ, WRITE, TRIM = 0, 1, 4
CLIENT_FLAGS = pack(">I", 3)
EINVAL, ENOSPC, EOVERFLOW = 22, 28, 75


def send_and_be_ended(address: Address, *parts: bytes) -> None:
    """Send, and see the server hang up; it may say something before."""
    with socket.create_connection(address, SECONDS) as client:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                client.sendall(part)
        # A half that is closed is no reason to keep the other.
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        is_ended(client)


def is_ended(client: socket.socket) -> None:
    """Read on to the end.

    :raises TimeoutError: the server keeps the connection.
    """
    with contextlib.suppress(ConnectionError):
        while client.recv(MIB):
            pass


def crowd(address: Address, count: int, greeting: bytes = b"") -> list[socket.socket]:
    """So many connections that say no more than this. The caller closes them."""
    clients = []
    for _ in range(count):
        with contextlib.suppress(ConnectionError):
            client = socket.create_connection(address, SECONDS)
            clients.append(client)
            client.sendall(greeting)
    return clients


# --- without any secret ---


def noise(address: Address) -> None:
    """Random bytes, some of them behind a right beginning."""
    draw = random.Random(SEED)
    for beginning in (b"", CLIENT_FLAGS, CLIENT_FLAGS + b"IHAVEOPT", b"BILOLINK", b"BILOLINK\0\1\1"):
        for _ in range(5):
            send_and_be_ended(address, beginning + draw.randbytes(draw.choice((1, 100, 70_000))))


def wrong_options(address: Address) -> None:
    """NBD's negotiation: wrong magic, lengths that are huge or lie, exports that are not there."""
    huge, option = 2**32 - 1, b"IHAVEOPT"
    lying_name = pack(">I", huge) + b"x"
    for part in (
        b"IHAVENOT" + pack(">II", 7, 0),
        option + pack(">II", 7, huge),
        option + pack(">II", 7, len(lying_name)) + lying_name,
        option + pack(">II", 10, 8) + pack(">II", 0, huge),
        option + pack(">II", huge, 0),
        option + pack(">II", 1, 5) + b"guess",
        option + pack(">II", 7, 4000) + pack(">I", 3994) + b"g" * 3994 + b"\0\0",
        pack(">I", huge),
    ):
        send_and_be_ended(address, CLIENT_FLAGS + part)


def wrong_links(address: Address) -> None:
    """The link's handshake: another version, a body that is too long, messages out of turn, no proof."""
    names = b"\3az1\3az2\7session"
    hello = b"BILOLINK" + pack(">HBH", 1, 1, 32 + len(names)) + bytes(32) + names
    for part in (
        b"BILOLINK" + pack(">HBH", 99, 1, 0),
        b"BILOLINK" + pack(">HBH", 1, 1, 65535),
        b"BILOLINK" + pack(">HBH", 1, 3, 32) + bytes(32),
        b"BILOLINK" + pack(">HBH", 1, 77, 0),
        hello + b"BILOLINK" + pack(">HBH", 1, 3, 32) + bytes(32),
        hello[:-3],
    ):
        send_and_be_ended(address, part)


# --- with an export's secret ---


def wrong_requests(uri: str, size_bytes: int) -> None:
    """What is out of bounds is answered with an error and goes on; what makes no sense ends the connection."""
    client = NbdSocket(uri)
    for kind, offset, length in (
        (READ, size_bytes, 4096),
        (READ, size_bytes - 512, 4096),
        (READ, 2**64 - 4096, 8192),
        (READ, 0, 2**32 - 1),
        (TRIM, size_bytes, 4096),
        (77, 0, 0),
    ):
        client.send(kind, offset, length)
        code = client.error()
        assert code in (EINVAL, ENOSPC, EOVERFLOW), f"kind {kind} at {offset}+{length} was answered {code}"
    client.send(WRITE, size_bytes - 1, 4096, bytes(4096))
    assert client.error() == ENOSPC
    client.send(READ, 0, 512)
    assert client.error() == 0
    client.receive(512)
    client.close()
    for ending in (
        pack(">IHHQQI", 0xBAD, 0, READ, 1, 0, 512),
        pack(">IHHQQI", 0x25609513, 0, WRITE, 1, 0, 2**32 - 1) + bytes(100_000),
    ):
        client = NbdSocket(uri)
        with contextlib.suppress(ConnectionError):
            client.socket.sendall(ending)
        is_ended(client.socket)
        client.close()


def slow_readers(uri: str, count: int, asked_bytes: int) -> list[NbdSocket]:
    """Hosts that ask for much and take nothing. The caller closes them."""
    clients = [NbdSocket(uri) for _ in range(count)]
    for client in clients:
        client.socket.settimeout(0.5)
        # The server may stop taking requests before all of them are sent: that is the point.
        with contextlib.suppress(TimeoutError):
            for _ in range(asked_bytes // MIB):
                client.send(READ, 0, MIB)
    return clients


def announced_writes(uri: str, count: int) -> list[NbdSocket]:
    """Hosts that announce long writes and send the beginning of them. The caller closes them."""
    clients = [NbdSocket(uri) for _ in range(count)]
    for client in clients:
        client.send(WRITE, 0, 32 * MIB, bytes(64 * 1024))
    return clients


# --- with the installation's key ---


def greet_as_peer(address: Address, key: bytes, claim: Claim) -> socket.socket:
    """A link as another agent makes it, up to the first frame.

    :raises HandshakeRefused: the server does not want it.
    """
    handshake = DialerHandshake(key, claim)
    client = socket.create_connection(address, SECONDS)
    client.sendall(handshake.start())
    received = b""
    while not handshake.done:
        message = decode(memoryview(received))
        if message is None:
            part = client.recv(4096)
            assert part, "the server hung up without a word"
            received += part
            continue
        received = received[message.size :]
        client.sendall(handshake.take(message))
    return client


def wrong_frames(make: Callable[[], socket.socket]) -> None:
    """Frames of no kind, too long, cut off, and JSON that is none, on links that were accepted."""
    frame = ">BBHIIQQ"
    draw = random.Random(SEED)
    for part in (
        pack(frame, 99, 0, 0, 0, 0, 0, 0),
        pack(frame, 4, 0, 0, 2**32 - 1, 2**32 - 1, 1, 0),
        pack(frame, 1, 0, 0, 0, 5, 0, 0) + b"[1,2}",
        pack(frame, 1, 0, 0, 0, 2, 0, 0) + b"{}",
        pack(frame, 4, 0, 9, 4096, 4096, 1, 2**63) + bytes(4096),
        draw.randbytes(100_000),
    ):
        client = make()
        with contextlib.suppress(ConnectionError):
            client.sendall(part)
        is_ended(client)
        client.close()
