"""What the figures were measured on: machine, kernel, versions, code, and how busy everything else was."""

import hashlib
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.processes import machine_busy_seconds

VERSIONS = {
    "fio": ["fio", "--version"],
    "qemu-storage-daemon": ["qemu-storage-daemon", "--version"],
    "qemu-nbd": ["qemu-nbd", "--version"],
    "nbdkit": ["nbdkit", "--version"],
}
PACKAGES = ("bilocate", "uvloop", "blake3", "pyroaring")
SETTINGS = (
    "vm/dirty_background_ratio",
    "vm/dirty_ratio",
    "kernel/io_uring_disabled",
    "net/ipv4/tcp_congestion_control",
)


def record() -> dict[str, Any]:
    """Taken at the start of a run."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpu": _cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "virtual_machine": "hypervisor" in _cpu_flags(),
        "python": platform.python_version(),
        "versions": {name: _first_line(command) for name, command in VERSIONS.items()},
        "packages": {name: _package(name) for name in PACKAGES},
        "settings": {name: _read(Path("/proc/sys") / name) for name in SETTINGS},
        "code": code(),
        "load_average": os.getloadavg(),
        "cpu_share_before": busy_share(),
    }


def busy_share(seconds: float = 2.0) -> float:
    """The share of the machine's CPU time that is in use while this process only waits."""
    before = machine_busy_seconds()
    time.sleep(seconds)
    return (machine_busy_seconds() - before) / seconds / (os.cpu_count() or 1)


def code() -> dict[str, str]:
    """Which code was measured: the commit, if there is one, and a hash over the sources as they were."""
    import bilocate

    root = Path(bilocate.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return {
        "commit": _first_line(["git", "-C", str(root), "describe", "--always", "--dirty"]),
        "sources_sha256": digest.hexdigest()[:16],
    }


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        return "not installed"
    return (done.stdout.splitlines() or ["unknown"])[0]


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _cpu_info(key: str) -> str:
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        if line.startswith(key):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _cpu_model() -> str:
    return _cpu_info("model name")


def _cpu_flags() -> str:
    return _cpu_info("flags")


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return "unknown"


if __name__ == "__main__":  # which machine is this? without measuring
    sys.stdout.write(f"{record()}\n")
