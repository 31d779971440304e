"""Memory that is used again: never while anything refers to it, and no more of it than is said."""

import ctypes

from bilocate.site.buffers import (
    ALIGNMENT_BYTES,
    KEPT_BYTES_MAX,
    KEPT_LENGTH_MAX,
    KEPT_LENGTH_MIN,
    MIB,
    Buffers,
)


def test_one_that_nobody_refers_to_is_given_out_again() -> None:
    buffers = Buffers()
    first = buffers.take(MIB)
    first[:4] = b"mark"
    del first
    assert buffers.take(MIB)[:4] == b"mark"


def test_one_in_use_is_not_whoever_uses_it_and_however() -> None:
    buffers = Buffers()
    whole = buffers.take(MIB)
    view = memoryview(buffers.take(MIB))[:1]  # what a transport has left to send
    view[:] = b"v"
    held = [buffers.take(MIB)]
    fresh = [buffers.take(MIB) for _ in range(3)]
    assert len({id(each) for each in [whole, view.obj, *held, *fresh]}) == 6
    for each in fresh:
        each[:1] = b"x"
    assert bytes(view) == b"v"
    assert whole[0] == held[0][0] == 0


def test_they_begin_where_the_kernel_copies_fast() -> None:
    buffers = Buffers()
    used = [buffers.take(length) for length in (MIB, KEPT_LENGTH_MIN, MIB + 1, KEPT_LENGTH_MAX)]
    assert [ctypes.addressof(ctypes.c_char.from_buffer(each)) % ALIGNMENT_BYTES for each in used] == [0] * 4
    for each in used:
        each[:] = bytes(len(each))
        assert each.__sizeof__() < len(each) + 4096


def test_lengths_are_exact_and_those_not_worth_it_are_not_kept() -> None:
    buffers = Buffers()
    for length in (1, KEPT_LENGTH_MIN - 1, KEPT_LENGTH_MAX + 1):
        buffers.take(length)[:1] = b"x"
        assert buffers.take(length) == bytes(length)
    buffers.take(KEPT_LENGTH_MIN)[:1] = b"x"
    assert len(buffers.take(KEPT_LENGTH_MIN + 1)) == KEPT_LENGTH_MIN + 1


def test_no_more_is_kept_than_the_bound_and_other_lengths_make_room() -> None:
    buffers = Buffers()
    used = [buffers.take(MIB) for _ in range(2 * KEPT_BYTES_MAX // MIB)]
    assert buffers.kept_bytes == KEPT_BYTES_MAX
    del used
    buffers.take(2 * MIB)
    assert buffers.kept_bytes == 2 * MIB
