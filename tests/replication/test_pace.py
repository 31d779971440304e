"""The bound on how fast a resync goes: how much is begun when, and that nothing is saved up."""

import pytest

from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.frames import HASH_BATCH_CHUNKS
from bilocate.replication.pace import PIECE_SECONDS, Pace


def test_without_a_bound_everything_goes_at_once() -> None:
    pace = Pace(0)
    for _ in range(3):
        assert pace.allows(0.0)
        pace.begun(10**12, 0.0)
        pace.spared(10**9)
    assert not pace.bounded
    assert pace.piece_chunks == HASH_BATCH_CHUNKS


def test_the_next_piece_waits_for_its_turn() -> None:
    pace = Pace(1000)
    assert pace.allows(7.0)
    pace.begun(500, 7.0)
    assert not pace.allows(7.49)
    assert pace.allows(7.5)
    pace.begun(500, 7.6)  # late: the turn that was missed is lost
    assert not pace.allows(8.09)
    assert pace.allows(8.1)


def test_a_piece_that_began_early_delays_the_next_one() -> None:
    pace = Pace(1000)
    pace.begun(500, 7.0)
    pace.begun(500, 7.2)
    assert pace.due == pytest.approx(8.0)


def test_what_cost_nothing_is_given_back() -> None:
    pace = Pace(1000)
    pace.begun(500, 7.0)
    pace.spared(400)
    assert not pace.allows(7.09)
    assert pace.allows(7.11)


@pytest.mark.parametrize(
    ("bytes_per_second", "chunks"), [(1, 1), (10 * 2**20, 16), (2**40, HASH_BATCH_CHUNKS)]
)
def test_pieces_are_short_where_the_bound_is_low(bytes_per_second: int, chunks: int) -> None:
    pace = Pace(bytes_per_second)
    assert pace.piece_chunks == chunks
    assert chunks in (1, HASH_BATCH_CHUNKS) or chunks * CHUNK_BYTES <= bytes_per_second * PIECE_SECONDS
