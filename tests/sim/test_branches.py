"""Branches are counted as they are taken."""

from pathlib import Path

from tests.sim.branches import Counting, branches_of, files


def test_both_ways_of_a_condition_are_branches(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text(
        "def f(a, b):\n    if (\n        a\n        and b\n    ):\n        return 1\n    return 2\n"
    )
    assert branches_of(file) == {(2, 6), (2, 7)}


def test_what_only_a_malformed_frame_leads_to_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text("def f(a):\n    if a:\n        raise MalformedFrame('no')\n    return 2\n")
    assert branches_of(file) == {(2, 4)}


def test_seeds_take_most_branches_of_the_write_path() -> None:
    counting = Counting()
    counting.run(range(1, 4))
    path = next(path for path in files() if path.name == "write_path.py")
    taken = counting.taken[str(path)]
    assert sum(taken.values()) > 1000
    branches = branches_of(path)
    assert sum(1 for arc in branches if taken[arc]) > len(branches) / 2
    assert len(counting.rare()) < counting.total()
