"""Commits that somebody waits for: what follows each is its own."""

from itertools import count

from tests.replication.test_write_path import Ports

from bilocate.replication.commits import Commits


def test_of_two_commits_under_way_each_goes_on_when_it_is_durable_and_once() -> None:
    tokens = count(7)
    commits = Commits(Ports(), lambda: next(tokens))  # type: ignore[arg-type]
    gone_on: list[tuple[str, float]] = []
    commits([], lambda now: gone_on.append(("first", now)))
    commits([], lambda now: gone_on.append(("second", now)))
    assert not commits.done(6, 1.0)
    assert gone_on == []
    assert commits.done(7, 2.0)
    assert gone_on == [("first", 2.0)]
    assert commits.done(8, 3.0)
    assert gone_on == [("first", 2.0), ("second", 3.0)]
    assert not commits.done(8, 4.0)
    assert len(gone_on) == 2
