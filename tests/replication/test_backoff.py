"""Pauses after failures: twice as long each time, up to a bound, and short again after a success."""

from dataclasses import replace

from bilocate.replication.backoff import Backoff
from bilocate.replication.limits import Limits

LIMITS = replace(Limits(), retry_seconds=1.0, retry_seconds_max=10.0)


def test_pauses_double_up_to_the_bound_and_begin_anew_after_a_success() -> None:
    backoff, pauses = Backoff(LIMITS), []
    for _ in range(6):
        backoff.failed(100.0)
        pauses.append(backoff.until - 100.0)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    backoff.succeeded()
    backoff.failed(200.0)
    assert backoff.until == 201.0


def test_who_asks_for_it_need_not_wait() -> None:
    backoff = Backoff(LIMITS)
    backoff.failed(100.0)
    backoff.over(100.5)
    assert backoff.until == 100.5
