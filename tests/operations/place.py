"""A controller with two agents in memory, and the standard situations that verbs are tried in."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy import select
from tests.operations.fake_agent import FakeWorld

from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.agents import AgentClient
from bilocate.operations.injection import Injection
from bilocate.operations.service import Operations
from bilocate.operations.settings import Settings, SiteAddress, Timing
from bilocate.store.columns import new_id
from bilocate.store.database import Database
from bilocate.store.journal_models import Operation
from bilocate.store.models import Attachment, Group, Pair, Session, Volume
from bilocate.store.schema import upgrade

SITES = {
    name: SiteAddress(name, f"http://{name}", f"/run/{name}.link", "127.0.0.1", 1) for name in ("az1", "az2")
}
QUICK = Timing(
    before_patience_seconds=0.15,
    forward_patience_seconds=0.3,
    undo_patience_seconds=0.15,
    backoff_first_seconds=0.005,
    backoff_most_seconds=0.02,
    wait_poll_seconds=0.002,
    tell_seconds=0.1,
)
SETTINGS = Settings(sites=SITES, control_token="t", timing=QUICK)
SETTLING_ROUNDS_MOST = 6  # one tells what is new, one more finds nothing to do; a refusal takes some more
LONG = 20.0  # seconds: for what takes milliseconds, on a loaded machine

Json = dict[str, Any]


class Place:
    """One controller's operations, without their background rounds: tests say what happens when."""

    def __init__(
        self,
        database: Database,
        world: FakeWorld,
        injection: Injection | None = None,
        settings: Settings = SETTINGS,
    ) -> None:
        self.database, self.world = database, world
        agents = AgentClient(settings, world.transports())
        self.operations = Operations(database, settings, injection or Injection(), agents)

    def successor(self, settings: Settings = SETTINGS) -> "Place":
        """The controller as started again on the same database; or another one, by its settings."""
        return Place(self.database, self.world, settings=settings)

    async def begin(self, verb: str, target_id: str, args: Mapping[str, Any]) -> str:
        """Returns the operation's id."""
        return await self.operations.perform(verb, target_id, args, project_id="p", requested_by="tester")

    async def do(self, verb: str, target_id: str, **args: Any) -> OperationStatus:
        """Begin, and wait for the end."""
        return await self.end_of(await self.begin(verb, target_id, args))

    async def end_of(self, operation_id: str) -> OperationStatus:
        """The final status."""
        status = await self.operations.finished(operation_id, LONG)
        assert status is not None, "it has not ended"
        await self.settle()
        return status

    async def settle(self) -> None:
        """What the rounds would do in time: until a round at every site finds nothing to do."""
        for _ in range(SETTLING_ROUNDS_MOST):
            before = self._told_to_sites()
            for site, agent in self.world.agents.items():
                if agent.up and not agent.deaf and not agent.hangs:
                    await self.operations.reconciler.round(site)
            if self._told_to_sites() == before:
                break
        else:
            raise AssertionError(
                "the sites are told something again and again: "
                + str([a.calls[-10:] for a in self.world.agents.values()])
            )
        for task in list(self.operations.runner._others):
            await task
        for task in list(self.operations.runner._carrying.values()):
            await task

    def _told_to_sites(self) -> int:
        return sum(agent.taken for agent in self.world.agents.values())

    async def take_over(self) -> None:
        """Carry on whatever the journal has, as a starting controller does."""
        for operation in await self.operations.journal.claim():
            self.operations.runner.take(operation)
        for task in list(self.operations.runner._carrying.values()):
            await task
        await self.settle()

    async def close(self) -> None:
        """End what is left."""
        await self.operations.runner.stop()
        await self.operations.agents.close()

    async def operation(self, operation_id: str) -> Operation:
        """As the journal has it."""
        found = await self.operations.journal.find(operation_id)
        assert found is not None
        return found

    async def row(self, model: type[Any], target_id: str) -> Any:
        """A row as it is now."""
        async with self.database.reading() as db:
            return await db.get(model, target_id)

    # --- building ---

    async def volume(self, site: str) -> str:
        """A new volume."""
        volume_id = new_id()
        args = {"size_gib": 1, "volume_type": "fast", "site": site}
        assert await self.do("create_volume", volume_id, **args) is OperationStatus.SUCCEEDED
        return volume_id

    async def pair(self) -> str:
        """A new pair of new volumes; production is at az1."""
        pair_id = new_id()
        volumes = [await self.volume("az1"), await self.volume("az2")]
        done = await self.do("create_pair", pair_id, volume_ids=volumes, priority_site="az1")
        assert done is OperationStatus.SUCCEEDED
        return pair_id

    async def group(self, pairs: int = 2) -> str:
        """A new group of new pairs, paused."""
        group_id = new_id()
        members = [await self.pair() for _ in range(pairs)]
        done = await self.do("create_group", group_id, pair_ids=members, priority_site="az1")
        assert done is OperationStatus.SUCCEEDED
        return group_id

    async def active_group(self) -> str:
        """A group in step, with something written."""
        group_id = await self.group()
        assert await self.do("sync", group_id) is OperationStatus.SUCCEEDED
        for volume_id in await self.volumes_of(group_id, "az1"):
            assert await self.world.write("az1", volume_id)
        return group_id

    async def volumes_of(self, group_id: str, site: str) -> list[str]:
        """The group's volumes at a site."""
        async with self.database.reading() as db:
            found = await db.scalars(select(Pair).where(Pair.group_id == group_id).order_by(Pair.id))
            return [pair.volume_at(site) for pair in found]

    # --- telling ---

    async def told(self) -> Json:
        """Everything that matters of the database and the sites, without what may differ between two ways to the
        same end (epochs, versions, revisions, times)."""
        await self.settle()
        async with self.database.reading() as db:
            pairs = {pair.id: pair for pair in await db.scalars(select(Pair))}
            volumes = list(await db.scalars(select(Volume)))
            live = list(await db.scalars(select(Attachment).where(Attachment.ended_at.is_(None))))
            groups = list(await db.scalars(select(Group)))
            sessions = list(await db.scalars(select(Session)))
        return {
            "volumes": {v.id: (v.status, v.pair_id, v.made, v.size_gib, v.operation_id) for v in volumes},
            "attachments": sorted(attachment.id for attachment in live),
            "pairs": {
                p.id: (p.status, p.priority_site, p.group_id, p.session_id, p.size_gib, p.operation_id)
                for p in pairs.values()
            },
            "groups": {g.id: (g.status, g.name, g.priority_site, g.operation_id) for g in groups},
            "sessions": {
                s.id: (s.primary_site, s.state, s.paused, s.forced, s.held, s.quiesced) for s in sessions
            },
            "sites": {site: self._told_of(site) for site in self.world.agents},
        }

    def _told_of(self, site: str) -> Json:
        agent = self.world.agents[site]
        return {
            "volumes": {
                name: (
                    volume.content,
                    volume.size_bytes if volume.session_id else "free",  # that may have grown in vain
                    volume.session_id,
                    sorted(export["name"] for export in volume.exports),
                )
                for name, volume in agent.volumes.items()
            },
            "halves": {
                name: (half.wanted["role"], half.serving, half.in_step, half.quiesced, half.holds_hello)
                for name, half in agent.halves.items()
            },
        }


def at_a_place(url: str, work: Callable[[Place], Awaitable[None]], settings: Settings = SETTINGS) -> None:
    """Do the work at a place on an empty database."""

    async def run() -> None:
        async with a_place(url, settings) as place:
            await work(place)

    asyncio.run(run())


@contextlib.asynccontextmanager
async def a_place(url: str, settings: Settings = SETTINGS) -> AsyncIterator[Place]:
    """A place on an empty database."""
    database = Database(url)
    await upgrade(database)
    place = Place(database, FakeWorld(database), settings=settings)
    try:
        yield place
    finally:
        await place.close()
        await database.close()


# --- situations: a verb is tried in each, until its check passes ---


async def spare_parts(place: Place) -> None:
    """Two free volumes, and a pair in no group."""
    await place.volume("az1")
    await place.volume("az2")
    await place.pair()


async def paused_group(place: Place) -> None:
    """A paused group, and a pair beside it."""
    await place.group()
    await place.pair()


async def empty_group(place: Place) -> None:
    """A group whose pairs have all been removed."""
    group_id = await place.group(1)
    async with place.database.reading() as db:
        members = list(await db.scalars(select(Pair.id).where(Pair.group_id == group_id)))
    assert await place.do("update_group", group_id, remove=members) is OperationStatus.SUCCEEDED


async def group_in_step(place: Place) -> None:
    """A group that replicates."""
    await place.active_group()


async def failed_over_group(place: Place) -> None:
    """A group after a failover; the old production site is back."""
    group_id = await place.active_group()
    place.world.agents["az1"].up = False
    assert await place.do("failover", group_id) is OperationStatus.SUCCEEDED
    place.world.agents["az1"].up = True
    await place.settle()


async def group_with_a_leftover(place: Place) -> None:
    """A group whose secondary still holds, because nobody could tell it that its failover was refused."""
    group_id = await place.active_group()
    async with place.database.writing() as db:
        session = await db.get(Session, group_id)
        assert session is not None
        session.held = True
        epoch = session.epoch
    await place.operations.agents.precheck("az2", group_id, epoch, attempt=epoch)


Situation = Callable[[Place], Awaitable[None]]
SITUATIONS: tuple[Situation, ...] = (
    spare_parts,
    paused_group,
    empty_group,
    group_in_step,
    failed_over_group,
    group_with_a_leftover,
)
