"""A database that is older than its sites: sealed until they have been asked, and what they make plain."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.operations.place import Place
from tests.operations.test_extend_group import extend, sizes
from tests.operations.test_reconcile import leave_held
from tests.operations.trying import Snapshots

from bilocate.domain.arbiter import Ask, Call
from bilocate.domain.geometry import GIB
from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.restore import EPOCHS_SKIPPED, Found, RestoreUnclear, Said, found_of, restore
from bilocate.store import arbiter
from bilocate.store.backup import BackupError, write_backup
from bilocate.store.models import Group, Pair, Sequence, Session, Volume
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


Columns = tuple[type[Session] | type[Volume] | type[Pair], str, dict[str, int]]


async def copied(place: Place, group_id: str) -> list[Columns]:
    """What a copy has of the sizes and revisions of a group."""
    kept: list[Columns] = []
    async with place.database.reading() as db:
        session = await db.get_one(Session, group_id)
        kept.append((Session, group_id, {"revision": session.revision, "version": session.version}))
        for pair in await db.scalars(select(Pair).where(Pair.session_id == group_id)):
            kept.append((Pair, pair.id, {"size_gib": pair.size_gib}))
            for volume_id in (pair.first_volume_id, pair.second_volume_id):
                volume = await db.get_one(Volume, volume_id)
                revision = volume.wanted_revision
                kept.append((Volume, volume_id, {"size_gib": volume.size_gib, "wanted_revision": revision}))
    return kept


async def put_back(place: Place, copy: list[Columns]) -> None:
    async with place.database.writing() as db:
        for model, key, values in copy:
            await db.execute(update(model).where(model.id == key).values(**values))


async def restored_and_in_step(place: Place, group_id: str) -> None:
    assert (await restore(place.operations.context, Said())).groups == {group_id: "az1"}
    await place.settle()
    az1, az2 = (place.world.agents[site].halves[group_id] for site in SITES)
    assert az1.in_step
    assert az1.serving
    assert not az1.quiesced
    assert not az2.holds_hello


def test_a_copy_older_than_an_extension_is_noticed_and_learns_the_sizes(snapshots: Snapshots) -> None:
    """No epoch is newer, but both sites have heard of a later wish; with the copy's sizes no wish would be taken."""

    async def work(place: Place, group_id: str) -> None:
        copy = await copied(place, group_id)
        assert await extend(place, group_id) is OperationStatus.SUCCEEDED
        await put_back(place, copy)
        for site in SITES:
            assert not await place.operations.reconciler.round(site)
        async with place.database.reading() as db:
            assert await is_sealed(db)
        await restored_and_in_step(place, group_id)
        grown = await sizes(place, group_id)
        assert set(map(tuple, grown.values())) == {(3,)}, grown

    snapshots.in_step(work)


@pytest.mark.parametrize("behind", SITES)
def test_an_extension_that_one_site_alone_has_taken_up_is_ended_by_a_restore(
    snapshots: Snapshots, behind: str
) -> None:
    """The copy's operation is gone, and no call could make the smaller volume follow: the pair is that large."""

    async def work(place: Place, group_id: str) -> None:
        copy = await copied(place, group_id)
        assert await extend(place, group_id) is OperationStatus.SUCCEEDED
        await put_back(place, copy)
        for volume in place.world.agents[behind].volumes.values():
            volume.size_bytes = GIB
        await restored_and_in_step(place, group_id)
        grown = await sizes(place, group_id)
        assert set(map(tuple, grown.values())) == {(3,)}, grown

    snapshots.in_step(work)


def test_a_hold_that_the_copy_does_not_know_ends_with_a_restore(snapshots: Snapshots) -> None:
    """A failover and a reversal were under way, and their controller is gone."""

    async def work(place: Place, group_id: str) -> None:
        copy = await copied(place, group_id)
        await leave_held(place, group_id)
        async with place.database.writing() as db:
            session = await db.get_one(Session, group_id)
            session.held = session.quiesced = False
        await put_back(place, copy)
        await restored_and_in_step(place, group_id)
        assert await place.do("reverse", group_id) is OperationStatus.SUCCEEDED

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
