"""A minimal client of QEMU's monitor protocol."""

import json
import socket
import time
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.processes import LOOK_SECONDS, READY_SECONDS


class Qmp:
    """One monitor connection; a call waits for its answer."""

    def __init__(self, path: Path) -> None:
        self._socket = _connect(path)
        self._lines = self._socket.makefile("rb")
        self._lines.readline()  # the greeting
        self.call("qmp_capabilities")

    def call(self, command: str, **arguments: Any) -> Any:
        """The result of a command.

        :raises BenchError: when QEMU refuses it.
        """
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            line = self._lines.readline()
            if not line:
                raise BenchError(f"QEMU hung up during {command}")
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise BenchError(f"QEMU refused {command}: {answer['error'].get('desc')}")

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()


def _connect(path: Path) -> socket.socket:
    give_up = time.monotonic() + READY_SECONDS
    while True:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(str(path))
        except OSError as error:
            client.close()
            if time.monotonic() > give_up:
                raise BenchError(f"no QEMU monitor at {path}") from error
            time.sleep(LOOK_SECONDS)
        else:
            return client
