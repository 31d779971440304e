"""The known breakages of the rules (`make mutations`) fit the code as it is: else a rule is watched by nobody."""

from pathlib import Path

from tests.replication.mutations.known import SOURCE, Mutation, known


def _unfit(mutation: Mutation) -> list[str]:
    """The files to which its lines can't be applied any more, or that are no Python afterwards."""
    unfit: list[str] = []
    texts: dict[Path, str] = {}
    for hunk in mutation.hunks:
        path = SOURCE / "bilocate" / hunk.file
        broken = hunk.applied(texts.get(path) or path.read_text())
        if broken is None:
            unfit.append(hunk.file)
        else:
            texts[path] = broken
            compile(broken, hunk.file, "exec")
    return unfit


def test_each_known_breakage_can_be_applied() -> None:
    breakages = known()
    unfit = [(each.rule, file) for each in breakages for file in _unfit(each)]
    assert len({each.rule for each in breakages}) > 20
    assert unfit == []
