"""Where one table is measured: a medium, a kind of connection, and the names made there."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import BenchError
from bench.processes import HOST, free_port
from bench.shapes import GIB

SOCKET_PATH_BYTES_MAX = 107  # the kernel's


@dataclass(frozen=True)
class Place:
    """`link`: "tcp" or "unix", for the hosts' connections and for those between two servers alike."""

    medium: Path  # files of disks are made here
    sockets: Path  # a directory with a short name
    link: str
    volume_gib: int

    @property
    def volume_bytes(self) -> int:
        """Size of each disk."""
        return self.volume_gib * GIB

    def below(self, name: str) -> "Place":
        """A directory of its own on the same medium."""
        directory = self.medium / name
        directory.mkdir()
        return replace(self, medium=directory)

    def check_room(self, disks: int) -> None:
        """:raises BenchError: when so many disks do not fit."""
        free, needed = shutil.disk_usage(self.medium).free, disks * self.volume_bytes
        if free < needed:
            raise BenchError(
                f"{self.medium} has {free / 1e9:.0f} GB free and {needed / 1e9:.0f} GB are needed: choose another "
                "directory with --medium, or smaller disks"
            )

    def disk(self, name: str) -> Path:
        """A new sparse file of the volumes' size; filling it is part of the preparation, the same for all."""
        path = self.medium / name
        with path.open("wb") as file:
            file.truncate(self.volume_bytes)
        return path

    def log(self, name: str) -> Path:
        """Where a process writes what it has to say."""
        return self.medium / f"{name}.log"

    def address(self, name: str) -> "Address":
        """Where one server will listen."""
        if self.link == "tcp":
            return Address(port=free_port())
        return Address(path=self.socket(name))

    def socket(self, name: str) -> Path:
        """Path of a unix socket."""
        path = self.sockets / name
        if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
            raise BenchError(f"{path} is too long for a socket: choose a TMPDIR with a shorter name")
        return path


@dataclass(frozen=True)
class Address:
    """A unix socket's path, or a port on loopback."""

    path: Path | None = None
    port: int = 0

    @property
    def target(self) -> str | tuple[str, int]:
        """As Python's sockets take it."""
        return str(self.path) if self.path else (HOST, self.port)

    def uri(self, export: str) -> str:
        """The NBD address of an export."""
        if self.path:
            return f"nbd+unix:///{export}?socket={self.path}"
        return f"nbd://{HOST}:{self.port}/{export}"
