"""The same call by two clients at once, at two controllers on one database: one operation, never two."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from tests.api.harness import (
    CONTROL_TOKEN,
    GROUPS,
    PAIRS,
    Api,
    Json,
    config_in,
    error_of,
    group_body,
    open_api,
    pair_body,
)
from tests.api.managing import Manager
from tests.api.test_extend_group import EXTEND
from tests.api.test_groups import FAILOVER, KEY, REPROTECT, REVERSE, STOP, SYNC
from tests.databases import postgresql_server  # noqa: F401  # a fixture
from tests.operations.fake_agent import FakeWorld
from tests.postgres import new_database

from bilocate.api.identity.access import hold_project
from bilocate.operations.agents import AgentClient
from bilocate.operations.settings import settings_of
from bilocate.store.database import Database
from bilocate.store.journal_models import Operation
from bilocate.store.models import Volume

pytestmark = pytest.mark.anyio


@dataclass(slots=True)
class Two:
    """Two controllers, and the sites that both of them have."""

    one: Api
    other: Api
    fake: FakeWorld

    async def at_once(self, method: str, path: str, body: Any = None) -> list[httpx.Response]:
        """The call, at both."""
        return list(await asyncio.gather(*(api.call(method, path, body) for api in (self.one, self.other))))

    async def act_at_once(self, group_id: str, action: str, value: Any = None) -> list[int]:
        """The statuses of a group's verb, called at both."""
        answers = await self.at_once("POST", f"{GROUPS}/{group_id}/action", {action: value})
        return sorted(answer.status_code for answer in answers)

    async def operations(self, target_id: str) -> Counter[str]:
        """How often each verb was journalled for a target."""
        async with self.one.parts.database.reading() as db:
            verbs = await db.scalars(select(Operation.verb).where(Operation.target_id == target_id))
            return Counter(verbs)

    async def shown(self, group_id: str, status: str, replication: str) -> Json:
        """The group, as soon as it is so."""
        return await self.one.told(
            f"{GROUPS}/{group_id}",
            KEY,
            lambda seen: (seen["status"], seen["replication_status"]) == (status, replication),
        )

    async def group(self, pairs: int = 1, replicating: bool = True) -> Json:
        """A group, in step if it is to be."""
        made = await self.one.group([await self.one.pair() for _ in range(pairs)])
        if not replicating:
            return await self.shown(made["id"], "available", "inactive")
        assert (await self.one.act(made["id"], SYNC)).status_code == 200
        return await self.shown(made["id"], "available", "active")


@pytest.fixture(params=["sqlite", "postgresql"])
async def two(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Two]:
    url = f"sqlite+aiosqlite:///{tmp_path}/controller.db"
    if request.param == "postgresql":
        name = f"races{abs(hash(request.node.name))}"
        url = new_database(str(request.getfixturevalue("postgresql_server")), name)
    fake = FakeWorld(Database(url))
    apis = []
    for name in ("one", "other"):
        config = replace(config_in(tmp_path), controller_name=name)
        agents = AgentClient(settings_of(config, CONTROL_TOKEN), fake.transports())
        apis.append(await open_api(config, Database(url), agents))
        await apis[-1].parts.operations.start()
    yield Two(apis[0], apis[1], fake)
    for api in apis:
        await api.parts.operations.stop()
        await api.close()
    await fake.database.close()


async def test_a_verb_that_may_be_repeated_is_answered_twice(two: Two) -> None:
    group = await two.group(replicating=False)
    assert await two.act_at_once(group["id"], SYNC) == [200, 200]
    await two.shown(group["id"], "available", "active")
    assert await two.act_at_once(group["id"], STOP) == [200, 200]
    await two.shown(group["id"], "available", "active-stopped")


async def test_one_reversal_is_carried_out_and_one_refused(two: Two) -> None:
    """The first is under way until the second is answered: after its end another reversal would be right."""
    group, answered = await two.group(), asyncio.Event()
    two.fake.agents["az1"].before["POST quiesce"] = answered.wait  # type: ignore[assignment]
    statuses = await two.act_at_once(group["id"], REVERSE)
    answered.set()
    assert statuses == [200, 409]
    seen = await two.shown(group["id"], "available", "active")
    assert seen["priority_station"] == "az2"
    assert (await two.operations(group["id"]))["reverse"] == 1


async def test_one_failover_and_one_reprotect(two: Two) -> None:
    group = await two.group(pairs=2)
    assert await two.act_at_once(group["id"], FAILOVER) == [200, 409]
    await two.shown(group["id"], "failovered", "active-stopped")
    assert (await two.operations(group["id"]))["failover"] == 1
    assert await two.act_at_once(group["id"], REPROTECT) == [200, 409]
    seen = await two.shown(group["id"], "available", "active")
    assert seen["priority_station"] == "az2"
    assert (await two.operations(group["id"]))["reprotect"] == 1


async def test_one_extension_and_one_that_finds_it_done(two: Two) -> None:
    group = await two.group()
    (pair_id,) = group["replication_ids"]
    assert await two.act_at_once(group["id"], EXTEND, {"id": pair_id, "new_size": 2}) == [200, 400]
    assert (await two.operations(group["id"]))["extend_group"] == 1


async def test_two_different_verbs_are_carried_out_one_after_the_other_or_refused(two: Two) -> None:
    group = await two.group()
    one, other = await asyncio.gather(two.one.act(group["id"], REVERSE), two.other.act(group["id"], FAILOVER))
    assert sorted((one.status_code, other.status_code)) == [200, 409]
    await two.one.until(lambda: _settled(two, group["id"]))
    verbs = await two.operations(group["id"])
    assert verbs["reverse"] + verbs["failover"] == 1


async def _settled(two: Two, group_id: str) -> bool:
    found = (await two.one.call("GET", f"{GROUPS}/{group_id}")).json()[KEY]["status"]
    return found in ("available", "failovered")


async def test_a_volume_goes_into_one_pair_and_a_pair_into_one_group(two: Two) -> None:
    volumes = [(await two.one.volume(site))["id"] for site in ("az1", "az2")]
    answers = await two.at_once("POST", PAIRS, pair_body(volumes))
    assert sorted(answer.status_code for answer in answers) == [202, 409]
    (made,) = [answer.json()["replication"] for answer in answers if answer.status_code == 202]
    await two.one.settled(f"{PAIRS}/{made['id']}", "replication")
    answers = await two.at_once("POST", GROUPS, group_body([made["id"]]))
    assert sorted(answer.status_code for answer in answers) == [202, 409]


async def test_a_pair_joins_one_of_two_groups(two: Two) -> None:
    pair = await two.one.pair()
    groups = [await two.group(replicating=False) for _ in range(2)]
    body = {KEY: {"add_replication_ids": [pair["id"]]}}
    answers = await asyncio.gather(
        *(
            api.call("PUT", f"{GROUPS}/{group['id']}", body)
            for api, group in zip((two.one, two.other), groups, strict=True)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [202, 409]
    for group in groups:
        await two.one.settled(f"{GROUPS}/{group['id']}", KEY)
    members = [
        (await two.one.call("GET", f"{GROUPS}/{group['id']}")).json()[KEY]["replication_ids"]
        for group in groups
    ]
    assert sorted(map(len, members)) == [1, 2]


@pytest.mark.parametrize("kind", ["volumes", PAIRS])
async def test_two_deletions_are_one(two: Two, kind: str) -> None:
    made = await (two.one.volume("az1") if kind == "volumes" else two.one.pair())
    answers = await two.at_once("DELETE", f"{kind}/{made['id']}")
    # The second comes while it is being deleted, or when it is gone.
    assert sorted(answer.status_code for answer in answers) in ([202, 404], [202, 409])
    verb = "delete_volume" if kind == "volumes" else "delete_pair"
    assert (await two.operations(made["id"]))[verb] == 1


async def test_nothing_is_deleted_or_changed_while_a_verb_is_carried_out(two: Two) -> None:
    group = await two.group(pairs=2)
    first, second = group["replication_ids"]
    quiesced, looked_at = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        quiesced.set()
        await looked_at.wait()

    two.fake.agents["az1"].before["POST quiesce"] = hold
    assert (await two.one.act(group["id"], REVERSE)).status_code == 200
    await asyncio.wait_for(quiesced.wait(), 10)
    path = f"{GROUPS}/{group['id']}"
    volume_id = (
        (await two.other.call("GET", f"{PAIRS}/{first}")).json()["replication"]["volume_ids"].split(",")[0]
    )
    for method, refused, body in (
        ("DELETE", path, None),
        ("DELETE", f"{PAIRS}/{first}", None),
        ("DELETE", f"volumes/{volume_id}", None),
        ("PUT", path, {KEY: {"name": "x"}}),
        ("PUT", path, {KEY: {"remove_replication_ids": [second]}}),
        ("POST", f"{path}/action", {FAILOVER: None}),
        ("POST", f"{path}/action", {EXTEND: {"id": first, "new_size": 2}}),
    ):
        answer = await two.other.call(method, refused, body)
        assert answer.status_code == 409, (method, refused, answer.text)
        assert error_of(answer)["message"]
    looked_at.set()
    seen = await two.shown(group["id"], "available", "active")
    assert seen["priority_station"] == "az2"
    assert (await two.operations(group["id"]))["reverse"] == 1


async def test_members_change_only_while_it_is_stopped(two: Two) -> None:
    group = await two.group(pairs=2)
    path, one = f"{GROUPS}/{group['id']}", group["replication_ids"][0]
    more = await two.one.pair()
    for change in ({"remove_replication_ids": [one]}, {"add_replication_ids": [more["id"]]}):
        answer = await two.one.call("PUT", path, {KEY: change})
        assert answer.status_code == 409
        assert "stop it" in error_of(answer)["message"]
    assert (await two.one.call("PUT", path, {KEY: {"name": "renamed"}})).status_code == 202
    seen = await two.shown(group["id"], "available", "active")
    assert (seen["name"], len(seen["replication_ids"])) == ("renamed", 2)


async def test_a_volume_is_never_made_in_a_project_that_is_being_deleted(two: Two) -> None:
    """The project goes while its site is asked whether it answers: nobody could find the volume, and hosts could
    write to it."""
    manager = Manager(two.one)
    project = await manager.made("project", name="goes")
    status = 0

    async def goes() -> None:
        nonlocal status
        status = status or (await manager.ask("DELETE", f"projects/{project['id']}")).status_code

    two.fake.agents["az1"].before["GET health"] = goes
    body = {"volume": {"size": 1, "availability_zone": "az1"}}
    made = await two.other.call("POST", "volumes", body, project=project["id"])
    assert status == 204
    assert made.status_code == 404, made.text
    async with two.one.parts.database.reading() as db:
        assert (await db.scalars(select(Volume).where(Volume.project_id == project["id"]))).all() == []


async def test_a_project_that_is_just_getting_a_volume_is_not_deleted(two: Two) -> None:
    """The volume is written and not yet committed when the deletion looks for volumes: it waits, and sees it."""
    manager = Manager(two.one)
    project = await manager.made("project", name="stays")
    written, deleting = asyncio.Event(), asyncio.Event()

    async def begin_slowly() -> None:
        async with two.other.parts.database.writing() as db:
            await hold_project(db, project["id"])
            written.set()
            await deleting.wait()
            await asyncio.sleep(0.1)
            db.add(Volume(project_id=project["id"], size_gib=1, volume_type="x", site="az1"))

    async def delete() -> int:
        await written.wait()
        deleting.set()
        return (await manager.ask("DELETE", f"projects/{project['id']}")).status_code

    _, status = await asyncio.gather(begin_slowly(), delete())
    assert status == 409
