"""Medians, ranges and ratios of the benchmark."""

import pytest
from bench.cases.figures import Figure
from bench.statistics import Spread, ratio, spread
from hypothesis import given
from hypothesis import strategies as st
from tests.bench.figures import measured


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=9))
def test_a_median_is_within_its_range(values: list[float]) -> None:
    found = Spread.of(values)
    assert found.least == min(values) <= found.median <= found.greatest == max(values)


def test_the_median_is_the_one_in_the_middle() -> None:
    assert Spread.of([9.0, 1.0, 3.0]) == Spread(3.0, 1.0, 9.0)
    assert Spread.of([1.0, 2.0]).median == 1.5


def test_a_figure_is_taken_of_every_repetition() -> None:
    found = spread([measured(100), measured(300), measured(200)], lambda one: one.load.iops)
    assert found == Spread(200.0, 100.0, 300.0)


def test_a_ratio_is_that_of_the_medians_and_its_range_that_of_the_rounds() -> None:
    ours = [measured(300), measured(100), measured(200)]
    theirs = [measured(100), measured(100), measured(50)]
    assert ratio(ours, theirs) == Spread(2.0, 1.0, 4.0)


def test_a_ratio_wants_as_many_rounds_of_both() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        ratio([measured(1), measured(2)], [measured(1)])


def test_cpu_time_is_told_by_amount_and_by_request() -> None:
    one = measured(50_000, cpu_seconds=2.0, block_bytes=10_000)
    assert one.cpu_seconds_per_100k == 2.0
    assert one.cpu_seconds_per_gb == 2.0
    assert one.elsewhere_cpus == 0.25


@pytest.mark.parametrize(
    ("values", "aim", "reached"),
    [((1.0, 2.0, 9.0), 2.0, True), ((3.0,), 2.0, False), ((3.0,), None, None)],
)
def test_an_aim_is_reached_by_the_median(values: tuple[float, ...], aim: float | None, reached: bool) -> None:
    assert Figure("gap", "s", values, aim).reached is reached
