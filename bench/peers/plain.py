"""Unreplicated servers: nbdkit's file plugin and qemu-nbd."""

from collections.abc import Sequence

from bench.peers.variants import NBDKIT_THREADS, QEMU_NBD_AIO
from bench.place import Address, Place
from bench.processes import HOST, Child, await_nbd
from bench.server import Server


class PlainServer(Server):
    """One process that serves one file."""

    replicated = False

    def __init__(self, command: Sequence[str], address: Address, export: str, place: Place) -> None:
        self._address, self._export = address, export
        self._child = Child(command, place.log(self.name))
        await_nbd(self._child, address.target)

    @property
    def uri(self) -> str:
        return self._address.uri(self._export)

    def pids(self) -> Sequence[int]:
        return [self._child.pid]

    def check(self) -> None:
        self._child.check_alive()

    def stop(self) -> None:
        self._child.stop()


class Nbdkit(PlainServer):
    """nbdkit file: a pool of threads over pread and pwrite."""

    name = "nbdkit"
    title = "nbdkit file"

    def __init__(self, place: Place, threads: int = NBDKIT_THREADS[0]) -> None:
        file, address = place.disk("nbdkit.raw"), place.address("nbdkit")
        listen = ["-U", str(address.path)] if address.path else ["-i", HOST, "-p", str(address.port)]
        self.settings = f"file plugin, cache=default, {threads} threads"
        command = ["nbdkit", "-f", *listen, "--threads", str(threads), "file", str(file)]
        super().__init__(command, address, "", place)


class QemuNbd(PlainServer):
    """qemu-nbd on a raw file."""

    name = "qemu-nbd"
    title = "qemu-nbd"

    def __init__(self, place: Place, aio: str = QEMU_NBD_AIO[0]) -> None:
        file, address = place.disk("qemu-nbd.raw"), place.address("qemu-nbd")
        listen = ["-k", str(address.path)] if address.path else ["-b", HOST, "-p", str(address.port)]
        self.settings = f"cache=writeback, aio={aio}"
        command = ["qemu-nbd", *listen, "-t", "-f", "raw", "-e", "16", "-x", "disk", "--cache=writeback"]
        super().__init__([*command, f"--aio={aio}", str(file)], address, "disk", place)
