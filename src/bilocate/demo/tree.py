"""Real files in a volume: a tree of them is packed into an archive, written, read back and compared."""

import asyncio
import hashlib
import io
import sysconfig
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bilocate.demo.nbd_client import NbdClient

PIECE_BYTES = 1024**2
ENOUGH_BYTES = 40 * 1024**2  # of files: some tens of MiB, so that the demonstration stays under a minute


@dataclass(frozen=True)
class Packed:
    """An archive of files, and the digest of each of them as it was on disk."""

    archive: bytes
    digests: dict[str, str]

    @property
    def size_bytes(self) -> int:
        """Length of the archive."""
        return len(self.archive)


def pack() -> Packed:
    """Python's own source files of this machine, with those of the installed packages if there is room."""
    digests: dict[str, str] = {}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, path in _source_files():
            content = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
            digests[name] = hashlib.sha256(content).hexdigest()
            if buffer.tell() > ENOUGH_BYTES:
                break
    return Packed(buffer.getvalue(), digests)


async def write(packed: Packed, volume: NbdClient) -> None:
    """Put the archive at the start of a volume, and flush."""
    starts = range(0, packed.size_bytes, PIECE_BYTES)
    await asyncio.gather(*(volume.write(at, packed.archive[at : at + PIECE_BYTES]) for at in starts))
    await volume.flush()


async def unpack(volume: NbdClient, size_bytes: int, into: Path) -> None:
    """Read the archive back and unpack it below `into`."""
    starts = range(0, size_bytes, PIECE_BYTES)
    pieces = await asyncio.gather(*(volume.read(at, min(PIECE_BYTES, size_bytes - at)) for at in starts))
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        archive.extractall(into, filter="data")


def differences(packed: Packed, unpacked: Path) -> list[str]:
    """Names of files that are missing below `unpacked`, or differ, or were never packed."""
    there = {
        path.relative_to(unpacked).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in unpacked.rglob("*")
        if path.is_file()
    }
    names = packed.digests.keys() | there.keys()
    return sorted(name for name in names if packed.digests.get(name) != there.get(name))


def _source_files() -> Iterator[tuple[str, Path]]:
    roots = {kind: Path(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib")}
    for kind, root in roots.items():
        for path in sorted(root.rglob("*.py")):
            if kind == "stdlib" and "site-packages" in path.parts:
                continue  # they come under their own name
            yield f"{kind}/{path.relative_to(root).as_posix()}", path
