"""`bilocate bench` against a real NBD server: reads by default, writes only when told that data is overwritten."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.site.nbd.memory import EXPORT, MemoryTarget, OneExport
from tests.site.nbd.running import RunningServer

from bilocate.replication.requests import Op
from bilocate.site.nbd import Limits

QUICK = ("--seconds", "0.3", "--block", "4k", "--depth", "4")


@pytest.fixture
def target() -> MemoryTarget:
    target = MemoryTarget()
    target.data[:] = b"x" * target.size_bytes
    return target


@pytest.fixture
def uri(tmp_path: Path, target: MemoryTarget) -> Iterator[str]:
    server = RunningServer(tmp_path / "nbd.sock", lambda: OneExport(target), Limits())
    yield f"nbd://127.0.0.1:{server.port}/{EXPORT}"
    server.close()


def test_it_reads_and_writes_nothing(run: Run, uri: str, target: MemoryTarget) -> None:
    result = run("bench", "--uri", uri, *QUICK, "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)
    assert (found["operation"], found["block"], found["depth"]) == ("read", "4k", 4)
    assert found["requests"] == found["bytes"] // 4096
    assert 0 < found["p50_us"] <= found["p99_us"] <= found["p999_us"] <= found["max_us"]
    reads = [seen for seen in target.seen if seen[0] is Op.READ]
    assert len(reads) >= found["requests"] > 0
    assert len({offset for _, offset, *_ in reads}) > 50  # at random places all over the volume
    assert {seen[0] for seen in target.seen} <= {Op.READ, Op.FLUSH}
    assert bytes(target.data) == b"x" * target.size_bytes


def test_it_writes_where_it_is_told_that_data_is_overwritten(
    run: Run, uri: str, target: MemoryTarget
) -> None:
    result = run("bench", "--uri", uri, *QUICK, "--mib", "1", "--overwrite-data")
    assert result.exit_code == 0, result.output
    table = result.stdout.splitlines()
    assert table[0].split()[:2] == ["load", "depth"]
    assert [line.split()[:3] for line in table[1:]] == [["read", "4k", "4"], ["write", "4k", "4"]]
    assert bytes(target.data) != b"x" * target.size_bytes


def test_nobody_serves_there(run: Run) -> None:
    result = run("bench", "--uri", "nbd://127.0.0.1:1/x", *QUICK)
    assert result.exit_code == 5
    assert "nobody serves nbd://127.0.0.1:1/x" in result.output


def test_reads_that_fail_are_an_error(run: Run, uri: str, target: MemoryTarget) -> None:
    target.fails_with = 5
    result = run("bench", "--uri", uri, *QUICK)
    assert result.exit_code == 1
    assert "fio" in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("--uri", "/dev/sda"),
        ("--uri", "nbd://h/x", "--block", "4096"),
        ("--uri", "nbd://h/x", "--depth", "0"),
    ],
)
def test_what_is_no_load_is_refused(run: Run, words: tuple[str, ...]) -> None:
    assert run("bench", *words).exit_code == 2


def test_without_fio_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    result = run("bench", "--uri", "nbd://127.0.0.1:1/x", *QUICK)
    assert result.exit_code == 1
    assert "install the package fio" in result.output
