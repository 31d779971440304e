"""The demonstration's own parts, on volumes in memory: it must notice what it is there to notice."""

import asyncio
from pathlib import Path

import pytest

from bilocate.demo import tree
from bilocate.demo.compare import compare
from bilocate.demo.nbd_client import NbdClient, NbdGone
from bilocate.demo.records import REGION_BYTES, Stream, Writers, encode, find

pytestmark = pytest.mark.anyio

MIB = 1024**2


class MemoryVolume(NbdClient):
    """A volume in memory that behaves as an NBD connection; `left` writes until it breaks."""

    def __init__(self, size_bytes: int, left: int = 1 << 30) -> None:
        self.content = bytearray(size_bytes)
        self.left = left

    async def read(self, offset: int, length: int) -> bytes:
        return bytes(self.content[offset : offset + length])

    async def write(self, offset: int, content: bytes) -> None:
        await asyncio.sleep(0)
        if self.left == 0:
            raise NbdGone("broken")
        self.left -= 1
        self.content[offset : offset + len(content)] = content

    async def flush(self) -> None:
        pass


async def written(left: int) -> tuple[Stream, list[MemoryVolume]]:
    stream = Stream(3, first_byte=MIB)
    volumes = [MemoryVolume(8 * MIB, left), MemoryVolume(8 * MIB)]
    writers = Writers([stream])
    writers.start(volumes)
    await writers.ended()
    return stream, volumes


async def test_acknowledged_records_are_found_in_order() -> None:
    stream, volumes = await written(left=150)
    found = await find(stream, volumes)
    assert stream.acknowledged == 300
    assert (found.present, found.missing, found.in_order) == (300, 0, True)


async def test_one_unacknowledged_record_more_is_right() -> None:
    stream, volumes = await written(left=150)
    volume, offset = stream.place(300)
    volumes[volume].left = 1
    await volumes[volume].write(offset, encode(stream.number, 300))
    assert (await find(stream, volumes)).in_order


async def test_a_lost_record_is_noticed() -> None:
    stream, volumes = await written(left=150)
    volume, offset = stream.place(299)
    volumes[volume].content[offset : offset + 4096] = bytes(4096)
    found = await find(stream, volumes)
    assert (found.missing, found.in_order) == (1, True)


async def test_volumes_of_different_moments_are_noticed() -> None:
    stream, volumes = await written(left=150)
    volume, offset = stream.place(200)
    volumes[volume].content[offset + 4000] ^= 1
    found = await find(stream, volumes)
    assert found.missing == 100
    assert not found.in_order


async def test_a_record_of_a_later_moment_is_noticed() -> None:
    stream, volumes = await written(left=150)
    volume, offset = stream.place(302)
    volumes[volume].content[offset : offset + 4096] = encode(stream.number, 302)
    assert not (await find(stream, volumes)).in_order


def test_regions_hold_what_they_say() -> None:
    stream = Stream(0, 0)
    assert stream.place(0) == (0, 0)
    assert stream.place(3) == (1, 4096)
    assert max(stream.place(record)[1] for record in range(2 * REGION_BYTES // 4096)) == REGION_BYTES - 4096


async def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    packed = tree.pack()
    assert len(packed.digests) > 100
    volume = MemoryVolume(64 * MIB)
    await tree.write(packed, volume)
    await tree.unpack(volume, packed.size_bytes, tmp_path)
    assert tree.differences(packed, tmp_path) == []
    first, second = sorted(packed.digests)[:2]
    (tmp_path / first).write_bytes(b"changed")
    (tmp_path / second).unlink()
    assert tree.differences(packed, tmp_path) == [first, second]


def test_sparse_files_are_compared_where_either_has_data(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        with path.open("wb") as file:
            file.truncate(64 * MIB)
            file.seek(5 * MIB)
            file.write(b"same")
    assert compare(one, two).first_difference is None
    assert 0 < compare(one, two).compared_bytes < 8 * MIB
    with two.open("r+b") as file:
        file.seek(33 * MIB + 17)
        file.write(b"x")
    assert compare(one, two).first_difference == 33 * MIB + 17
    with two.open("r+b") as file:
        file.truncate(33 * MIB)
    assert compare(one, two).first_difference == 33 * MIB


async def test_an_address_that_is_no_nbd_is_refused_without_showing_its_secret() -> None:
    with pytest.raises(ValueError, match="not an nbd") as caught:
        await NbdClient.connect("http://127.0.0.1/secret")
    assert "secret" not in str(caught.value)


async def test_a_port_where_nobody_listens_is_gone() -> None:
    with pytest.raises(NbdGone):
        await NbdClient.connect("nbd://127.0.0.1:1/x")
