"""Axes of the benchmark's charts: round values, and names that do not lie on one another."""

from itertools import combinations, pairwise

from bench.report import axis, text
from bench.statistics import Spread
from hypothesis import given
from hypothesis import strategies as st

positive = st.floats(1e-2, 1e8)


def test_a_linear_axis_ends_at_a_round_value() -> None:
    found = axis.linear(34_400.0)
    assert found.ticks == (0.0, 10_000.0, 20_000.0, 30_000.0, 40_000.0)
    assert (found.share(0.0), found.share(20_000.0), found.share(40_000.0)) == (0.0, 0.5, 1.0)


def test_a_logarithmic_axis_names_powers_of_ten_where_there_are_many() -> None:
    assert axis.logarithmic([0.34, 6.8]).ticks == (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    assert axis.logarithmic([1.0, 3000.0]).ticks == (1.0, 10.0, 100.0, 1000.0)


@given(st.lists(positive, min_size=1, max_size=9))
def test_everything_is_within_the_axis(values: list[float]) -> None:
    for found in (axis.linear(max(values)), axis.logarithmic(values)):
        assert all(-1e-9 <= found.share(value) <= 1 + 1e-9 for value in values)
        assert 1 <= len(found.ticks) <= 12
        assert all(-1e-9 <= found.share(tick) <= 1 + 1e-9 for tick in found.ticks)


@given(st.lists(st.floats(0, 300), min_size=1, max_size=6))
def test_labels_are_apart_and_keep_their_order(heights: list[float]) -> None:
    found = axis.apart(heights, 15.0)
    assert all(after - before >= 15.0 - 1e-6 for before, after in pairwise(sorted(found)))
    assert all(after >= before for before, after in zip(heights, found, strict=True))
    for one, other in combinations(range(len(heights)), 2):
        assert heights[one] == heights[other] or (heights[one] < heights[other]) == (
            found[one] < found[other]
        )


def test_growth_is_told_by_the_last_place_and_the_first() -> None:
    line = [Spread.of([each]) for each in (2.0, 3.0, 6.0)]
    assert text.growth((1, 4, 64), line) == "3.00 for 64"
    assert text.growth((0.1, 10), [Spread.of([0.0]), Spread.of([1.0])]) == "-"
    assert [text.place(each) for each in (0.1, 1, 64_000)] == ["0.1", "1", "64,000"]
