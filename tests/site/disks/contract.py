"""What every disk must do. A backend's test module imports all of it and gives a fixture `driver`.

The disk under `driver` has SIZE bytes and is all zeros at first.
"""

import errno
import random

import pytest
from blake3 import blake3
from tests.site.disks.driver import DiskDriver

from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.ports import ChunkContent
from bilocate.site.long_payload import LongPayload
from bilocate.site.pipes import Piped

SIZE = 8 * 1024 * 1024
MIB = 1024 * 1024


def test_a_new_disk_reads_as_zeros(driver: DiskDriver) -> None:
    assert driver.disk.size_bytes == SIZE
    assert driver.read(0, SIZE) == bytes(SIZE)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 512), (4096, 4096), (MIB, 65536), (4096, 3 * MIB), (SIZE - 512, 512)]
)
def test_what_was_written_is_read(driver: DiskDriver, offset: int, length: int) -> None:
    data = random.Random(length).randbytes(length)
    assert driver.write(offset, data) == 0
    assert driver.read(offset, length) == data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_buffer_is_written(driver: DiskDriver, kind: type) -> None:
    assert driver.write(0, kind(b"abcd" * 128)) == 0
    assert driver.read(0, 512) == b"abcd" * 128


@pytest.mark.parametrize("length", [256 * 1024, MIB])
@pytest.mark.parametrize("offset", [0, 4096, 3 * MIB + 7])
def test_what_never_came_to_memory_is_written(driver: DiskDriver, offset: int, length: int) -> None:
    data = random.Random(length).randbytes(length)
    payload = LongPayload(length, memoryview(data), 0).data
    assert isinstance(payload, Piped)
    assert driver.write(offset, payload) == 0
    assert driver.read(offset, length) == data
    assert payload.filled == 0


def test_unaligned_writes_touch_nothing_else(driver: DiskDriver) -> None:
    assert driver.write(0, b"a" * 12288) == 0
    assert driver.write(4097, b"b" * 13) == 0
    assert driver.read(0, 12288) == b"a" * 4097 + b"b" * 13 + b"a" * (12288 - 4110)


def test_empty_reads_and_writes_succeed(driver: DiskDriver) -> None:
    assert driver.write(0, b"") == 0
    assert driver.read(0, 0) == b""
    assert driver.zero(0, 0) == 0


@pytest.mark.parametrize("keep_allocated", [False, True])
@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 4096), (4096, 8192), (1000, 5000), (3, 5), (4095, 2), (MIB - 1, 2 * MIB), (0, SIZE)],
)
def test_zeroed_ranges_read_as_zeros_and_their_neighbours_stay(
    driver: DiskDriver, offset: int, length: int, keep_allocated: bool
) -> None:
    before = random.Random(1).randbytes(SIZE)
    assert driver.write(0, before) == 0
    assert driver.zero(offset, length, keep_allocated) == 0
    assert driver.read(0, SIZE) == before[:offset] + bytes(length) + before[offset + length :]


def test_zeroing_after_a_flush_reads_as_zeros(driver: DiskDriver) -> None:
    assert driver.write(0, b"x" * MIB) == 0
    assert driver.flush() == 0
    assert driver.zero(0, MIB) == 0
    assert driver.flush() == 0
    assert driver.read(0, MIB) == bytes(MIB)


def test_a_write_after_zeroing_stays(driver: DiskDriver) -> None:
    assert driver.zero(0, MIB) == 0
    assert driver.write(4096, b"y" * 4096) == 0
    assert driver.read(0, 12288) == bytes(4096) + b"y" * 4096 + bytes(4096)


def test_past_the_end_nothing_happens(driver: DiskDriver) -> None:
    assert driver.write(SIZE - 1, b"ab") == errno.ENOSPC
    assert driver.write(SIZE, b"a") == errno.ENOSPC
    assert driver.read(SIZE - 1, 2) == errno.EINVAL
    assert driver.zero(SIZE - 1, 2) == errno.EINVAL
    assert driver.block_status(SIZE - 1, 2) == (errno.EINVAL, [])
    assert driver.read(SIZE - 1, 1) == b"\0"


def test_negative_offsets_are_refused(driver: DiskDriver) -> None:
    assert driver.write(-1, b"ab") == errno.EINVAL
    assert driver.read(-1, 2) == errno.EINVAL
    assert driver.zero(-1, 2) == errno.EINVAL


def test_flush_answers(driver: DiskDriver) -> None:
    assert driver.write(0, b"x" * 4096) == 0
    assert driver.flush() == 0
    assert driver.flush() == 0


def test_many_flushes_at_once_are_all_answered(driver: DiskDriver) -> None:
    answers: list[int] = []
    for _ in range(20):
        driver.disk.flush(answers.append)
    assert driver.flush() == 0
    assert answers == [0] * 20


def test_block_status_covers_the_range_in_order(driver: DiskDriver) -> None:
    assert driver.write(2 * MIB, b"d" * MIB) == 0
    code, ranges = driver.block_status(MIB, 4 * MIB)
    assert code == 0
    assert sum(length for length, _, _ in ranges) == 4 * MIB
    offset = MIB
    for length, _, reads_zero in ranges:
        assert length > 0
        if reads_zero:
            assert driver.read(offset, length) == bytes(length)
        offset += length


def test_chunks_come_with_their_hash_and_zeros_without_bytes(driver: DiskDriver) -> None:
    data = random.Random(2).randbytes(CHUNK_BYTES)
    assert driver.write(3 * CHUNK_BYTES, data) == 0
    assert driver.write(5 * CHUNK_BYTES, bytes(CHUNK_BYTES)) == 0
    code, contents = driver.read_chunks([0, 3, 4, 5], SIZE)
    assert code == 0
    assert [content.chunk for content in contents] == [0, 3, 4, 5]
    zeros = blake3(bytes(CHUNK_BYTES)).digest()
    assert [content.digest for content in contents] == [zeros, blake3(data).digest(), zeros, zeros]
    assert [content.data if content.data is None else bytes(content.data) for content in contents] == [
        None,
        data,
        None,
        None,
    ]


def test_a_short_last_chunk_has_its_own_length(driver: DiskDriver) -> None:
    size = 2 * CHUNK_BYTES + 512
    assert driver.write(2 * CHUNK_BYTES, b"e" * 1024) == 0
    code, contents = driver.read_chunks([1, 2], size)
    assert code == 0
    assert contents[1].data is not None
    assert bytes(contents[1].data) == b"e" * 512
    assert contents[1].digest == blake3(b"e" * 512).digest()


def test_a_short_last_chunk_of_zeros_has_the_hash_of_its_length(driver: DiskDriver) -> None:
    code, contents = driver.read_chunks([1], CHUNK_BYTES + 512)
    assert (code, contents[0].digest, contents[0].data) == (0, blake3(bytes(512)).digest(), None)


def test_chunks_of_a_larger_volume_are_refused(driver: DiskDriver) -> None:
    assert driver.read_chunks([0], SIZE + 512) == (errno.EINVAL, [])


def test_a_disk_does_not_shrink(driver: DiskDriver) -> None:
    assert driver.disk.resize(SIZE - 512) == errno.EINVAL
    assert driver.disk.resize(SIZE) == 0
    assert driver.disk.size_bytes == SIZE


def test_a_closed_disk_answers_that_it_is(driver: DiskDriver) -> None:
    driver.disk.close()
    driver.disk.close()
    assert driver.write(0, b"x") == errno.ESHUTDOWN
    assert driver.read(0, 1) == errno.ESHUTDOWN
    assert driver.zero(0, 1) == errno.ESHUTDOWN
    assert driver.flush() == errno.ESHUTDOWN
    assert driver.block_status(0, 512) == (errno.ESHUTDOWN, [])
    assert driver.read_chunks([0], SIZE) == (errno.ESHUTDOWN, [])
    assert driver.disk.resize(2 * SIZE) == errno.ESHUTDOWN


def test_closing_leaves_what_is_under_way_its_answer(driver: DiskDriver) -> None:
    data = random.Random(3).randbytes(2 * MIB)
    answers: list[object] = []
    written = driver.disk.write(0, data, answers.append)
    driver.disk.flush(answers.append)
    driver.disk.close()
    assert driver.flush() == errno.ESHUTDOWN
    driver.wait_until(lambda: len(answers) == (2 if written is None else 1))
    assert [answer for answer in [written, *answers] if answer is not None] == [0, 0]


def test_closing_leaves_a_chunk_that_is_to_be_read_its_content(driver: DiskDriver) -> None:
    """Its descriptor must not be closed before: the number would be another file's."""
    data = random.Random(5).randbytes(CHUNK_BYTES)
    assert driver.write(CHUNK_BYTES, data) == 0
    answers: list[tuple[int, list[ChunkContent]]] = []
    driver.disk.read_chunks([1], SIZE, lambda *answer: answers.append(answer))
    driver.disk.close()
    driver.wait_until(lambda: bool(answers))
    [(code, contents)] = answers
    assert code == 0
    assert [bytes(content.data or b"") for content in contents] == [data]


def test_random_writes_and_zeros_agree_with_a_bytearray(driver: DiskDriver) -> None:
    rng = random.Random(4)
    twin = bytearray(SIZE)
    for _ in range(150):
        offset = rng.randrange(SIZE)
        length = min(rng.choice([1, 511, 4096, 65537, 300_000]), SIZE - offset)
        if rng.random() < 0.5:
            data = rng.randbytes(length)
            assert driver.write(offset, data) == 0
        else:
            data = bytes(length)
            assert driver.zero(offset, length, rng.random() < 0.5) == 0
        twin[offset : offset + length] = data
        at = max(0, offset - 100)
        around = min(length + 200, SIZE - at)
        assert driver.read(at, around) == bytes(twin[at : at + around])
    assert driver.read(0, SIZE) == bytes(twin)
