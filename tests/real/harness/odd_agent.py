"""Stands at a site's control address and answers as no agent should."""

import contextlib
import socket
import threading
from enum import Enum


class Manner(Enum):
    """What it does with a call."""

    NO_JSON = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\nhello"
    NO_OBJECT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n[]"
    HUGE = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n" + b" " * 2**20  # and so on
    NO_HTTP = b"SSH-2.0-OpenSSH_9.9\r\n\r\n"
    HANGS = b""
    DRIPS = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"  # and then a byte now and then


_GOES_ON = {
    Manner.DRIPS: (0.05, b" "),
    Manner.HUGE: (0.0, b" " * 2**20),
}  # after so many seconds: so much more


class OddAgent:
    """A thread per connection; `manner` may change at any time."""

    def __init__(self) -> None:
        self.manner = Manner.NO_JSON
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Nobody listens any more: connections are refused."""
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while client.recv(65536) and not self._over.is_set():
                manner = self.manner
                client.sendall(manner.value)
                while manner in _GOES_ON and not self._over.wait(_GOES_ON[manner][0]):
                    client.sendall(_GOES_ON[manner][1])
