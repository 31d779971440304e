"""TRIP, by time: when a link counts as lost, and when the other end is to hear from here."""

from bilocate.replication.heartbeat import Heartbeat
from bilocate.replication.limits import Limits


def begun(now: float = 100.0) -> Heartbeat:
    """A link that begins now: a ping each second, silent after three."""
    heartbeat = Heartbeat(Limits(heartbeat_seconds=1.0, heartbeat_timeout_seconds=3.0))
    heartbeat.begin(now)
    return heartbeat


def test_TRIP_a_link_is_silent_after_its_time_and_not_before() -> None:
    heartbeat = begun()
    assert not heartbeat.silent(102.9)
    assert heartbeat.silent(103.0)
    heartbeat.heard_at = 102.0
    assert not heartbeat.silent(104.9)
    assert heartbeat.silent(105.0)


def test_TRIP_a_new_link_is_not_silent_because_the_last_one_was() -> None:
    heartbeat = begun(0.0)
    heartbeat.begin(100.0)
    assert not heartbeat.silent(100.0)


def test_the_other_end_hears_from_here_once_in_its_time() -> None:
    heartbeat = begun()
    assert [heartbeat.due(now) for now in (100.0, 100.9, 101.0, 101.1, 101.9, 102.5, 103.4, 103.5)] == [
        False,
        False,
        True,
        False,
        False,
        True,
        False,
        True,
    ]


def test_the_deadline_is_what_comes_first() -> None:
    heartbeat = begun()
    assert heartbeat.deadline == 101.0
    for now in (101.0, 102.0, 102.9):
        heartbeat.due(now)
    assert heartbeat.deadline == 103.0  # both
    heartbeat.due(103.0)
    assert heartbeat.deadline == 103.0  # silence
    heartbeat.heard_at = 103.0
    assert heartbeat.deadline == 104.0
