"""A database as an installation has it whose pairs were just put into a group. Made once a process, then copied."""

import asyncio
import atexit
import functools
import tempfile
from pathlib import Path

from sqlalchemy.engine import Engine
from tests.sim.world.world import SESSION, A, B, World

from bilocate.domain.arbiter import RowState
from bilocate.domain.group_states import GroupStatus
from bilocate.domain.pair_states import PairStatus
from bilocate.domain.volume_states import VolumeStatus
from bilocate.store.columns import db_now
from bilocate.store.database import Database
from bilocate.store.models import Group, Pair, Sequence, Session, Volume
from bilocate.store.schema import upgrade

PROJECT = "p"


@functools.cache
def template(pairs: int) -> tuple[Path, Engine]:
    """The path of a database with one group of so many pairs, and an engine that knows such databases."""
    place = tempfile.TemporaryDirectory(prefix="bilocate-sim-")
    atexit.register(place.cleanup)
    path = Path(place.name) / "template.db"
    return path, asyncio.run(_make(path, pairs))


async def _make(path: Path, pairs: int) -> Engine:
    database = Database(f"sqlite+aiosqlite:///{path}")
    await upgrade(database)
    async with database.writing() as db:
        db.add(Sequence(name="epoch", value=1))
        db.add(Group(id=SESSION, project_id=PROJECT, status=GroupStatus.AVAILABLE, priority_site=A))
        db.add(
            Session(
                id=SESSION,
                epoch=1,
                primary_site=A,
                secondary_site=B,
                state=RowState.STALE,
                version=1,
                paused=False,
                behind_since=db_now(),
            )
        )
        await db.flush()
        for number in range(pairs):
            ids = [World.volume_id(number, site) for site in (A, B)]
            pair = Pair(
                id=f"pair{number}",
                project_id=PROJECT,
                status=PairStatus.AVAILABLE,
                first_volume_id=ids[0],
                second_volume_id=ids[1],
                first_site=A,
                second_site=B,
                priority_site=A,
                group_id=SESSION,
                session_id=SESSION,
                size_gib=1,
                volume_type="fast",
            )
            db.add(pair)
            for volume_id, site in zip(ids, (A, B), strict=True):
                volume = Volume(
                    id=volume_id,
                    project_id=PROJECT,
                    size_gib=1,
                    volume_type="fast",
                    site=site,
                    status=VolumeStatus.AVAILABLE,
                    pair_id=pair.id,
                    made=True,
                )
                db.add(volume)
    await database.close()
    return database._engine.sync_engine
