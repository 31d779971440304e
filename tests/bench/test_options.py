"""The benchmark's command line."""

from pathlib import Path

import pytest
from bench.__main__ import RUNS
from bench.options import GROWTHS, parse
from bench.shapes import ALL, MIB


def test_nothing_said_is_everything() -> None:
    found = parse([])
    assert found.shapes == ALL
    assert found.cases == tuple(RUNS)
    assert found.links == ("tcp", "unix")
    assert found.effort.repetitions >= 5
    assert found.effort.fill_block_bytes == MIB


def test_rows_are_shapes_operations_and_cases(tmp_path: Path) -> None:
    found = parse(["--rows", "read-4k-16,stall", "--seconds", "0.5", "--medium", str(tmp_path)])
    assert [each.name for each in found.shapes] == ["read-4k-16"]
    assert found.cases == ("stall",)
    assert found.effort.seconds == 0.5
    assert parse(["--fill-kib", "64"]).effort.fill_block_bytes == 64 * 1024
    assert found.media == (tmp_path,)
    assert {each.operation for each in parse(["--rows", "write"]).shapes} == {"write"}


def test_growth_is_all_rows_of_growth_and_each_runs_alone() -> None:
    assert parse(["--rows", "growth"]).cases == GROWTHS
    assert parse(["--rows", "growth-memory"]).cases == ("growth-memory",)


@pytest.mark.parametrize("words", [["--rows", "write-5k-1"], ["--servers", "drbd"], ["--links", "rdma"]])
def test_unknown_words_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    assert words[1] in capsys.readouterr().err
