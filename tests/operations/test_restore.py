"""A database that is older than its sites: sealed until they have been asked, and what they make plain."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.operations.place import Place
from tests.operations.trying import Snapshots

from bilocate.domain.arbiter import Ask, Call
from bilocate.operations.restore import EPOCHS_SKIPPED, Found, RestoreUnclear, Said, found_of, restore
from bilocate.store import arbiter
from bilocate.store.backup import BackupError, write_backup
from bilocate.store.models import Group, Sequence, Session
from bilocate.store.sealing import OlderThanSites, is_sealed, last_epoch, seal

SITES = ("az1", "az2")


def half(role: str, epoch: int, consistent: bool = True) -> dict[str, Any]:
    row = {"epoch": epoch, "state": "stale", "version": 7} if role == "primary" else None
    return {"role": role, "epoch": epoch, "row": row, "volumes": [{"consistent": consistent}]}


def found(halves: dict[str, Any], **primaries: str) -> Found | str:
    return found_of("ses", "az1", SITES, halves, Said(primaries))


PLAIN = {
    "as the copy has it": (
        {"az1": half("primary", 5), "az2": half("secondary", 5)},
        Found("az1", 7, True, True),
    ),
    "failed over": ({"az1": half("primary", 5), "az2": half("primary", 7)}, Found("az2", 7, False, True)),
    "reprotected": ({"az1": half("secondary", 9), "az2": half("primary", 9)}, Found("az2", 7, True, True)),
    "copying": (
        {"az1": half("primary", 9), "az2": half("secondary", 9, False)},
        Found("az1", 7, True, False),
    ),
    "ended since": ({}, Found("az1", 0, False, False, known=False)),
}


@pytest.mark.parametrize("case", PLAIN)
def test_what_the_sites_make_plain(case: str) -> None:
    halves, wanted = PLAIN[case]
    assert found(halves) == wanted


UNCLEAR = {
    "a site has lost its ledger": {"az1": half("primary", 5)},
    "promoted, and never told": {"az1": half("secondary", 7), "az2": half("secondary", 5)},
    "two of one epoch": {"az1": half("primary", 7), "az2": half("primary", 7)},
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_what_they_don_t_is_refused_and_may_be_said(case: str) -> None:
    refused = found(UNCLEAR[case])
    assert isinstance(refused, str)
    assert "--primary ses=SITE" in refused
    said = found(UNCLEAR[case], ses="az2")
    assert isinstance(said, Found)
    assert said.primary == "az2"
    assert isinstance(found(UNCLEAR[case], ses="az3"), str)


def test_EPOCH_an_agent_that_knows_a_newer_epoch_seals_the_database_and_is_not_told_to_stop(
    snapshots: Snapshots,
) -> None:
    """*Superseded* would have the site stop that serves, and the other one would get its permit."""

    async def work(place: Place, group_id: str) -> None:
        session = await place.row(Session, group_id)
        newer = Ask(Call.ATTACH, epoch=session.epoch + 1, site="az2")
        with pytest.raises(OlderThanSites, match="bilocate restore"):
            await arbiter.call(place.database, group_id, newer)
        own = Ask(Call.REQUEST_SOLO, epoch=session.epoch, site="az1", version=session.version)
        with pytest.raises(OlderThanSites):
            await arbiter.call(place.database, group_id, own)
        assert (await place.row(Session, group_id)).row() == session.row()
        with pytest.raises(OlderThanSites):
            await place.begin("failover", group_id, {})

    snapshots.in_step(work)


def test_a_site_that_has_a_newer_epoch_is_noticed_before_anything_is_told_to_it(snapshots: Snapshots) -> None:
    """Sessions that the database does not know would be ended, and replicate no more."""

    async def work(place: Place, group_id: str) -> None:
        place.world.agents["az2"].halves[group_id].wanted["epoch"] += 1
        told = {site: agent.taken for site, agent in place.world.agents.items()}
        await place.operations.reconciler.look_before_all(5.0)
        async with place.database.reading() as db:
            assert await is_sealed(db)
        for site in SITES:
            assert not await place.operations.reconciler.round(site)
        assert {site: agent.taken for site, agent in place.world.agents.items()} == told
        assert await place.operations.journal.claim() == []

    snapshots.in_step(work)


def test_it_is_taken_back_into_use_with_epochs_beyond_all_that_is_known(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        async with place.database.writing() as db:
            await seal(db)
        before = await place.row(Session, group_id)
        place.world.agents["az1"].up = False
        with pytest.raises(RestoreUnclear, match="az1 does not answer"):
            await restore(place.operations.context, Said())
        place.world.agents["az1"].up = True
        restored = await restore(place.operations.context, Said())
        assert restored.groups == {group_id: "az1"}
        after = await place.row(Session, group_id)
        assert after.epoch > before.epoch + EPOCHS_SKIPPED
        assert after.version > before.version
        assert after.state.value == "stale"
        async with place.database.reading() as db:
            assert not await is_sealed(db)
            assert await last_epoch(db) >= after.epoch
        assert (await place.row(Group, group_id)).status.value == "available"

    snapshots.in_step(work)


def test_a_copy_is_sealed_and_what_runs_is_not(snapshots: Snapshots, tmp_path: Path) -> None:
    async def work(place: Place, group_id: str) -> None:
        url = place.database.url.render_as_string()
        file = tmp_path / "copy.db"
        await asyncio.to_thread(write_backup, url, file)
        with pytest.raises(BackupError, match="there already"):
            write_backup(url, file)
        assert file.stat().st_mode & 0o777 == 0o600
        with sqlite3.connect(file) as copy:
            assert copy.execute("SELECT value FROM sequences WHERE name = 'sealed'").fetchall() == [(1,)]
        assert await place.row(Sequence, "sealed") is None

    snapshots.in_step(work)
