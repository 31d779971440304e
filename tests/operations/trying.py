"""Finding, for any verb, a situation and arguments that its own check accepts: nothing is written per verb."""

import asyncio
import copy
import itertools
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from sqlalchemy import select
from tests.operations.fake_agent import FakeWorld
from tests.operations.place import SETTINGS, SITUATIONS, Place, Situation, a_place, group_in_step

from bilocate.domain.errors_operations import OperationError
from bilocate.operations.settings import Settings
from bilocate.operations.verb import Verb
from bilocate.operations.verbs import all_verbs
from bilocate.store.columns import new_id
from bilocate.store.database import Database
from bilocate.store.journal_models import TargetKind
from bilocate.store.models import Group, Pair, Volume

Json = dict[str, Any]
MODELS: dict[TargetKind, type[Any]] = {
    TargetKind.VOLUME: Volume,
    TargetKind.PAIR: Pair,
    TargetKind.GROUP: Group,
}


@dataclass(frozen=True)
class Attempt:
    """A way to call a verb that is accepted."""

    situation: Situation
    target_id: str
    args: Json


class Snapshots:
    """Situations, each built once; every test gets a copy of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sites: dict[str, Json] = {}
        # Databases on files of their own, free for the next test: what an engine has compiled stays with it.
        self._free: list[Database] = []
        self._copies = itertools.count(1)
        self._attempts: dict[tuple[str, bool], Attempt] = {}

    @asynccontextmanager
    async def place(self, situation: Situation, settings: Settings = SETTINGS) -> AsyncIterator[Place]:
        """A place in that situation, on a copy of its database."""
        name = situation.__name__
        kept = self._directory / f"{name}.db"
        if name not in self._sites:
            async with a_place(f"sqlite+aiosqlite:///{kept}") as built:
                await situation(built)
                self._sites[name] = {
                    site: (agent.volumes, agent.halves) for site, agent in built.world.agents.items()
                }
        database = self._copy(kept)
        world = FakeWorld(database)
        world.next_generation = 1000
        for site, (volumes, halves) in copy.deepcopy(self._sites[name]).items():
            world.agents[site].volumes, world.agents[site].halves = volumes, halves
        place = Place(database, world, settings=settings)
        try:
            yield place
        finally:
            await place.close()
            await database.close()
            self._free.append(database)

    def in_step(self, work: Callable[[Place, str], Awaitable[None]], settings: Settings = SETTINGS) -> None:
        """Do the work at a place with a group that replicates; it is told the group's id."""
        self.with_group(group_in_step, work, settings)

    def with_group(
        self,
        situation: Situation,
        work: Callable[[Place, str], Awaitable[None]],
        settings: Settings = SETTINGS,
    ) -> None:
        """The same in a situation that has one group."""

        async def run() -> None:
            async with self.place(situation, settings) as place:
                async with place.database.reading() as db:
                    group_id = (await db.scalars(select(Group.id))).one()
                await work(place, group_id)

        asyncio.run(run())

    def _copy(self, kept: Path) -> Database:
        if not self._free:
            file = self._directory / f"copy{next(self._copies)}.db"
            self._free.append(Database(f"sqlite+aiosqlite:///{file}"))
        database = self._free.pop()
        file = Path(str(database.url.database))
        for rest in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
            rest.unlink(missing_ok=True)
        shutil.copy(kept, file)
        return database

    async def attempt(self, verb: Verb[Any], full: bool) -> Attempt:
        """The first call that is accepted; `full`: with every optional argument given, where that is accepted."""
        key = (verb.name, full)
        if key not in self._attempts:
            self._attempts[key] = await self._find(verb, full)
        return self._attempts[key]

    async def _find(self, verb: Verb[Any], full: bool) -> Attempt:
        seen: list[str] = []
        for situation in SITUATIONS:
            async with self.place(situation) as place:
                for target_id, args in await candidates(place, verb, full):
                    try:
                        await place.begin(verb.name, target_id, args)
                        return Attempt(situation, target_id, args)
                    except OperationError as refused:
                        seen.append(f"{situation.__name__}: {refused}")
        if full:
            return await self.attempt(verb, False)
        raise AssertionError(f"no situation accepts {verb.name}:\n" + "\n".join(sorted(set(seen))))


def has_options(verb: Verb[Any]) -> bool:
    """Whether some argument may be left out."""
    given = (
        each.default is not MISSING or each.default_factory is not MISSING for each in fields(verb.args_type)
    )
    return any(given)


async def candidates(place: Place, verb: Verb[Any], full: bool) -> list[tuple[str, Json]]:
    """Every target there is, and a new one, with every choice of arguments by their names and types."""
    async with place.database.reading() as db:
        targets = list(await db.scalars(select(MODELS[verb.target].id)))
        pairs = list(await db.scalars(select(Pair).order_by(Pair.created_at)))
        volumes = list(await db.scalars(select(Volume).order_by(Volume.created_at)))
    lists = [
        [volume.id for volume in volumes if volume.pair_id is None],
        [pair.id for pair in pairs if pair.group_id is None],
        [pair.id for pair in pairs if pair.group_id is not None][:1],
    ]
    hints = get_type_hints(verb.args_type)
    choices: dict[str, list[Any]] = {}
    for each in fields(verb.args_type):
        needed = each.default is MISSING and each.default_factory is MISSING
        if needed or full:
            choices[each.name] = list(values_of(each.name, hints[each.name], lists))
    combinations = [
        dict(zip(choices, chosen, strict=True)) for chosen in itertools.product(*choices.values())
    ]
    return [(target, args) for target in [new_id(), *targets] for args in combinations]


def values_of(name: str, kind: Any, lists: list[list[str]]) -> Iterator[Any]:
    """Values that an argument may have."""
    if kind == list[str]:
        yield from (each for each in lists if each)
    elif "site" in name:
        yield "az1"
    elif name.endswith("volume_id"):
        yield from lists[0]
    elif kind is bool:
        yield True
    elif kind is int:
        yield from (1, 2)
    elif kind == dict[str, int]:
        yield from ({each[0]: 2} for each in lists if each)
    elif str(kind).startswith("dict"):
        yield {"k": "v"}
    else:
        yield "new words"


VERBS = sorted(all_verbs())
# With what is needed alone, and, where there is more, with every optional argument too.
VARIANTS = [
    (name, full) for name in VERBS for full in (False, True) if not full or has_options(all_verbs()[name])
]
STEPS = [(name, step.name) for name in VERBS for step in all_verbs()[name].steps]
