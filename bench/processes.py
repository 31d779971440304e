"""Child processes: start, wait until they listen, stop; and the CPU time that processes have used."""

import os
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from bench.errors import BenchError

READY_SECONDS = 20.0
STOP_SECONDS = 10.0
LOOK_SECONDS = 0.02
HOST = "127.0.0.1"
_children: "list[Child]" = []
_TICKS = os.sysconf("SC_CLK_TCK")


class Child:
    """A process of ours, with its output in a file."""

    def __init__(self, command: Sequence[str], log_file: Path) -> None:
        self.command = list(command)
        self._log_file = log_file
        with log_file.open("ab") as log:
            self._process = _spawn(self.command, log)
        _children.append(self)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check_alive(self) -> None:
        """:raises BenchError: with the end of its output, when it has ended."""
        if self._process.poll() is not None:
            words = self._log_file.read_text(errors="replace")[-2000:]
            raise BenchError(f"{self.command[0]} ended with {self._process.returncode}:\n{words}")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _spawn(command: list[str], log: BinaryIO) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    except FileNotFoundError as error:
        raise BenchError(
            f"{command[0]} is not installed: `sh bench/install-packages.sh` says what is needed"
        ) from error


def stop_children() -> None:
    """Whatever a failed start has left running."""
    for child in _children:
        child.stop()


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def await_nbd(child: Child, address: str | tuple[str, int]) -> None:
    """Wait until an NBD server greets at a path or at (host, port)."""
    give_up = time.monotonic() + READY_SECONDS
    while True:
        child.check_alive()
        with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as client:
            client.settimeout(2)
            try:
                client.connect(address)
                if client.recv(8) == b"NBDMAGIC":
                    return
            except OSError:
                pass
        if time.monotonic() > give_up:
            raise BenchError(f"{child.command[0]} does not greet at {address} after {READY_SECONDS:g} s")
        time.sleep(LOOK_SECONDS)


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that processes have used so far, all their threads (io_uring's workers too), user and kernel."""
    total = 0
    for pid in pids:
        # The name in brackets may hold spaces; what follows it does not.
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def machine_busy_seconds() -> float:
    """CPU time that the whole machine has used so far, with what its host took away (steal)."""
    fields = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / _TICKS


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"process {pid} has no memory: it has ended")
