"""A ledger's files with anything in them: what was written, less what a power cut may take, or begun anew."""

import asyncio
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap
from tests.parsers.values import cut_up, property_test

from bilocate.replication.records import (
    AddFailed,
    AddIntents,
    Change,
    PutDirty,
    PutSession,
    PutSiteItem,
    PutVolume,
    Role,
    dirty_segments,
)
from bilocate.site.ledger import Ledger, LedgerState
from bilocate.site.ledger.wal import WalVerdict, check_wal

BOOT = "boot"
COMMITS: list[list[Change]] = [
    [PutVolume("v", 1 << 40, 7, "g", "", True, False)],
    [PutSession("s", 7, Role.PRIMARY, '{"epoch": 7}', 0)],
    [AddIntents("v", tuple(range(0, 70, 7)))],
    [PutDirty("v", dirty_segments(BitMap([1, 5000]), {0, 1}))],
    [AddFailed("v", (3,)), PutSiteItem("exports/v", '["secret"]')],
]
PAGE, FRAME, LOG_HEADER = 4096, 24 + 4096, 32


async def _commit(path: Path) -> list[dict[str, Any]]:
    """The state behind each commit."""
    seen = []
    for changes in COMMITS:
        ledger, state = Ledger.open(path, boot_id=BOOT)
        seen.append(_known(state))
        done = asyncio.Event()
        ledger.commit(changes, done.set)
        await done.wait()
        ledger.close()
    return [*seen, _known(await _open(path))]


async def _open(path: Path, boot_id: str = BOOT) -> LedgerState:
    ledger, state = Ledger.open(path, boot_id=boot_id)
    ledger.close()
    return state


async def _killed(path: Path, copy: Path) -> None:
    """The files that a SIGKILL leaves: all commits but the first stand in the log."""
    for number, some in enumerate((COMMITS[:1], COMMITS[1:])):
        ledger, _ = Ledger.open(path, boot_id=BOOT)
        for changes in some:
            done = asyncio.Event()
            ledger.commit(changes, done.set)
            await done.wait()
        if number:
            shutil.copytree(path.parent, copy)
        ledger.close()


def _known(state: LedgerState) -> dict[str, Any]:
    return asdict(state) | {"fresh": None}


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What is known behind no commit, one, two ..."""
    return asyncio.run(_commit(tmp_path_factory.mktemp("states") / "ledger.db"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("killed")
    (directory / "live").mkdir()
    asyncio.run(_killed(directory / "live" / "ledger.db", directory / "copy"))
    return {file.name: file.read_bytes() for file in (directory / "copy").iterdir()}


def _opened(files: dict[str, bytes], boot_id: str) -> LedgerState:
    with tempfile.TemporaryDirectory() as directory:
        for name, content in files.items():
            Path(directory, name).write_bytes(content)
        return asyncio.run(_open(Path(directory, "ledger.db"), boot_id))


@property_test(50)
@given(st.data())
def test_spoilt_files_are_believed_only_where_nothing_is_lost(
    files: dict[str, bytes], states: list[dict[str, Any]], data: st.DataObject
) -> None:
    """The machine did not go down, so every commit that was answered must be there."""
    name = data.draw(st.sampled_from(["ledger.db", "ledger.db-wal"]))
    pieces = [files[name][:8], files[name][PAGE : PAGE + 40], files[name][-FRAME:]]
    spoilt = data.draw(cut_up(files[name], pieces) | st.binary(max_size=200))
    found = _opened({**files, name: spoilt}, BOOT)
    if found.fresh is None:
        assert _known(found) in (states[-1:] if len(spoilt) >= len(files[name]) else states)
    else:
        assert not found.volumes


@property_test(30)
@given(st.integers(0, 100_000))
def test_a_log_that_was_cut_off_by_a_power_cut_is_some_earlier_state_or_begun_anew(
    files: dict[str, bytes], states: list[dict[str, Any]], end: int
) -> None:
    log = files["ledger.db-wal"]
    found = _opened({**files, "ledger.db-wal": log[: end % len(log)]}, "another boot")
    assert found.fresh is not None or _known(found) in states


@property_test(60)
@given(st.binary(max_size=300), st.booleans(), st.integers(0, 5), st.data())
def test_any_bytes_are_a_log_or_damage(
    files: dict[str, bytes], behind: bytes, rebooted: bool, frames: int, data: st.DataObject
) -> None:
    right = files["ledger.db-wal"][: LOG_HEADER + frames * FRAME]
    for log in (behind, right + behind, data.draw(cut_up(right, [b"\0" * 8]))):
        assert isinstance(check_wal(log, rebooted), WalVerdict)
