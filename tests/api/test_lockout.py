"""Wrong passwords make the next attempt wait: per user, on all controllers, and without telling who there is."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from tests.api.harness import Api
from tests.api.managing import V3

from bilocate.api.codes import Problem
from bilocate.api.identity.attempts import Attempts
from bilocate.config import IdentitySettings
from bilocate.store.columns import db_now
from bilocate.store.database import Database
from bilocate.store.identity_models import LoginFailure
from bilocate.store.schema import upgrade

pytestmark = pytest.mark.anyio
FREE = IdentitySettings().lockout_free_failures


async def attempt(api: Api, name: str, password: str | None = "wrong") -> httpx.Response:
    identity: dict[str, Any] = api.auth(password)["identity"]
    identity["password"]["user"]["name"] = name
    return await api.log_in(identity=identity)


async def let_pass(api: Api) -> None:
    """What has to be waited for is over."""
    async with api.parts.database.writing() as db:
        await db.execute(update(LoginFailure).values(blocked_until=db_now(-1)))


@pytest.mark.parametrize("name", ["admin", "nobody"])
async def test_each_wrong_password_beyond_the_free_ones_doubles_the_wait(api: Api, name: str) -> None:
    """And it is the same for a name that nobody has."""
    for _ in range(FREE):
        assert (await attempt(api, name)).status_code == 401
    waits = []
    for _ in range(9):
        refused = await attempt(api, name)
        assert refused.status_code == 429
        waits.append(int(refused.headers["Retry-After"]))
        assert refused.json()["error"]["title"] == "Too Many Requests"
        await let_pass(api)
        assert (await attempt(api, name)).status_code == 401
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


async def test_the_right_password_waits_too_and_then_forgives(api: Api) -> None:
    for _ in range(FREE):
        await attempt(api, "admin")
    assert (await attempt(api, "admin", None)).status_code == 429
    assert (await attempt(api, "someone")).status_code == 401, "others don't wait"
    assert (await api.call("GET", "volumes")).status_code == 200, "tokens go on being taken"
    await let_pass(api)
    assert (await attempt(api, "admin", None)).status_code == 201
    assert (await attempt(api, "admin")).status_code == 401
    assert (await attempt(api, "admin", None)).status_code == 201


async def test_guesses_at_ones_old_password_count_too(api: Api) -> None:
    headers = {"X-Auth-Token": api.token}
    own = (await api.http.get(f"{V3}/users?name=admin", headers=headers)).json()["users"][0]["id"]
    body = {"user": {"password": "new", "original_password": "wrong"}}
    answers = [
        (await api.http.post(f"{V3}/users/{own}/password", json=body, headers=headers)).status_code
        for _ in range(FREE + 1)
    ]
    assert answers == [401] * FREE + [429]
    assert (await attempt(api, "admin", None)).status_code == 429


async def test_no_name_and_no_password_is_kept_and_old_rows_go(api: Api) -> None:
    for index in range(20):
        await attempt(api, f"nobody {index}", "s3cret")
    async with api.parts.database.reading() as db:
        rows = list((await db.scalars(select(LoginFailure))).all())
    assert len(rows) == 20
    assert all(len(row.subject) == 64 and "nobody" not in row.subject for row in rows)
    async with api.parts.database.writing() as db:
        await db.execute(update(LoginFailure).values(failed_at=db_now(-1000)))
    await attempt(api, "the next")
    async with api.parts.database.reading() as db:
        assert len(list((await db.scalars(select(LoginFailure))).all())) == 1


def test_controllers_count_together(database_url: str) -> None:
    async def run() -> None:
        databases = [Database(database_url) for _ in range(2)]
        await upgrade(databases[0])
        settings = replace(IdentitySettings(), lockout_seconds_min=5.0)
        controllers = [Attempts(database, settings) for database in databases]
        for index in range(FREE):
            await controllers[index % 2].failed("a")
        for controller in controllers:
            with pytest.raises(Problem) as caught:
                await controller.require_turn("a")
            assert int(caught.value.headers["Retry-After"]) in (4, 5)
            await controller.require_turn("b")
        # First failures at once, from both.
        await asyncio.gather(*(controllers[index % 2].failed("c") for index in range(6)))
        async with databases[0].reading() as db:
            found = await db.get(LoginFailure, "c")
            assert found is not None
            assert found.failures == 6
        await controllers[1].succeeded("a")
        await controllers[0].require_turn("a")
        for database in databases:
            await database.close()

    asyncio.run(run())
