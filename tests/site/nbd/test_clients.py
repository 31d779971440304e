"""Real clients against a file behind the server: libnbd's tools, qemu's tools, fio, and libnbd itself."""

import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.site.nbd.memory import EXPORT, OneExport
from tests.site.nbd.running import RunningServer

from bilocate.site.disks import DiskTarget, Workers, create_file, open_disk
from bilocate.site.nbd import Limits
from bilocate.site.target import ExportSource

MIB = 1024 * 1024
SIZE = 64 * MIB
LIBNBD_PYTHON = Path("/usr/bin/python3")  # libnbd's module belongs to the system's Python


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "volume.img"
    create_file(path, SIZE)
    return path


@pytest.fixture
def server(tmp_path: Path, volume: Path) -> Iterator[RunningServer]:
    sources: list[OneExport] = []

    def open_source() -> ExportSource:
        sources.append(OneExport(DiskTarget(open_disk(volume, Workers()))))
        return sources[0]

    running = RunningServer(tmp_path / "nbd.sock", open_source, Limits())
    yield running
    running.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of the volume's size: data, a hole, and data at the end."""
    path = tmp_path / "image.raw"
    with path.open("wb") as file:
        file.write(random.Random(1).randbytes(5 * MIB + 512))
        file.truncate(SIZE)
        file.seek(SIZE - MIB)
        file.write(b"end" * 1000)
    return path


def run(*command: str | Path, timeout: int = 120) -> str:
    if shutil.which(str(command[0])) is None:
        pytest.fail(f"{command[0]} is not installed: run tests/install-system-packages.sh as root")
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def test_nbdinfo_sees_what_the_server_can(server: RunningServer) -> None:
    export = json.loads(run("nbdinfo", "--json", server.uri(EXPORT)))["exports"][0]
    assert export["export-size"] == SIZE
    assert export["contexts"] == ["base:allocation"]
    assert export["block_size_maximum"] == 32 * MIB
    for ability in ("can_flush", "can_fua", "can_trim", "can_zero", "can_df", "can_multi_conn", "can_cache"):
        assert export[ability] is True, ability
    assert export["is_read_only"] is False


def test_nbdinfo_over_tcp(server: RunningServer) -> None:
    assert run("nbdinfo", "--size", f"nbd://127.0.0.1:{server.port}/{EXPORT}").strip() == str(SIZE)


def test_nbdinfo_lists_nothing(server: RunningServer) -> None:
    listed = subprocess.run(["nbdinfo", "--list", server.uri("")], capture_output=True, text=True, timeout=60)
    assert EXPORT not in listed.stdout


def test_nbdcopy_there_and_back_keeps_bytes_and_holes(
    server: RunningServer, image: Path, volume: Path, tmp_path: Path
) -> None:
    run("nbdcopy", "--flush", image, server.uri(EXPORT))
    assert volume.read_bytes() == image.read_bytes()
    assert volume.stat().st_blocks * 512 < 8 * MIB
    back = tmp_path / "back.raw"
    run("nbdcopy", server.uri(EXPORT), back)
    assert back.read_bytes() == image.read_bytes()


def test_qemu_img_converts_compares_and_maps(server: RunningServer, image: Path, volume: Path) -> None:
    run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, server.uri(EXPORT))
    run("qemu-img", "compare", "-f", "raw", "-F", "raw", image, server.uri(EXPORT))
    assert volume.read_bytes() == image.read_bytes()
    ranges = json.loads(run("qemu-img", "map", "--output=json", "-f", "raw", server.uri(EXPORT)))
    assert sum(found["length"] for found in ranges) == SIZE
    assert any(found["zero"] and found["length"] > 50 * MIB for found in ranges)
    assert any(found["data"] and found["length"] >= 5 * MIB for found in ranges)


def test_qemu_io_writes_zeroes_discards_and_verifies(server: RunningServer, volume: Path) -> None:
    steps = [
        "write -P 1 0 8M",
        "write -f -P 2 1M 64k",
        "write -z 2M 1M",
        "write -z -u 3M 1M",
        "discard 4M 1M",
        "aio_write -P 3 5M 1M",
        "aio_write -P 4 6M 1M",
        "aio_flush",
        "flush",
        "read -P 1 0 1M",
        "read -P 2 1M 64k",
        "read -P 0 2M 3M",
        "read -P 3 5M 1M",
        "read -P 4 6M 1M",
        "read -P 1 7M 1M",
        "read -P 0 8M 1M",
    ]
    command = ["qemu-io", "-f", "raw"]
    for step in steps:
        command += ["-c", step]
    output = run(*command, server.uri(EXPORT))
    assert "failed" not in output, output
    assert "error" not in output, output


def test_fio_writes_and_verifies_at_depth(server: RunningServer, tmp_path: Path) -> None:
    common = [
        "--ioengine=nbd",
        f"--uri={server.uri(EXPORT)}",
        "--size=16M",
        "--verify=crc32c",
        "--verify_fatal=1",
        f"--aux-path={tmp_path}",
        "--output-format=normal",
    ]
    mixed = ["--name=mixed", "--rw=randwrite", "--bssplit=512/20:4k/40:64k/20:256k/20", "--iodepth=16"]
    run("fio", *mixed, *common)


SCRIPT = """
import errno, nbd, sys
handle = nbd.NBD()
handle.add_meta_context("base:allocation")
handle.connect_uri(sys.argv[1])
size = handle.get_size()
assert handle.can_fast_zero() and handle.get_structured_replies_negotiated()
done = []
for number in range(64):
    data = bytes([number + 1]) * 4096
    handle.aio_pwrite(data, number * 4096, lambda code, number=number: done.append((number, code.value)) or 1)
while len(done) < 64:
    handle.poll(-1)
assert all(code == 0 for _, code in done)
for number in range(64):
    assert handle.pread(4096, number * 4096) == bytes([number + 1]) * 4096
handle.zero(size, 0)
handle.zero(8192, 0, nbd.CMD_FLAG_FAST_ZERO)
handle.trim(4096, 65536, nbd.CMD_FLAG_FUA)
handle.cache(4096, 0)
handle.flush()
for offset in range(0, size, 2**24):
    assert handle.pread(2**24, offset) == bytes(2**24)
told = []
handle.block_status(size, 0, lambda context, offset, entries, code: told.extend(entries) or 0)
assert told[1::2] == [3], told
big = bytes(range(256)) * (32 * 1024 * 4)
handle.pwrite(big, 4096)
assert handle.pread(len(big), 4096) == big
handle.set_strict_mode(0)
for call, expected in (
    (lambda: handle.pread(2, size - 1), errno.EINVAL),
    (lambda: handle.pwrite(b"ab", size - 1), errno.ENOSPC),
    (lambda: handle.zero(2, size - 1), errno.ENOSPC),
    (lambda: handle.trim(2, size - 1), errno.EINVAL),
):
    try:
        call()
    except nbd.Error as error:
        assert error.errnum == expected, (error, expected)
    else:
        raise AssertionError(expected)
handle.shutdown()
print("well")
"""


def test_libnbd_does_everything(server: RunningServer) -> None:
    assert run(LIBNBD_PYTHON, "-c", SCRIPT, server.uri(EXPORT)) == "well\n"
