"""The audit log: every call that may change something is in it once, and no secret ever is."""

import json
import re
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route, Router
from tests.api.harness import CONTROL_TOKEN, Api, config_in, open_api
from tests.operations.fake_agent import FakeWorld

from bilocate.operations.agents import AgentClient
from bilocate.operations.settings import settings_of
from bilocate.store.database import Database

pytestmark = pytest.mark.anyio
WRITES = ("POST", "PUT", "PATCH", "DELETE")
GUESS = "guessed-password-7d1f"


@dataclass
class Audited:
    """An API and its audit file."""

    api: Api
    file: Path

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def routes(self) -> Iterator[str]:
        """Every path there is, its variables filled in."""
        router = self.api.gate._app
        assert isinstance(router, Router)
        for route in router.routes:
            assert isinstance(route, Route)
            path = route.path.replace("{project_id}", self.api.project_id).replace("{site}", "az1")
            yield re.sub(r"\{[^}]*\}", "some-thing", path)


@pytest.fixture
async def audited(first_start: Path, tmp_path: Path) -> AsyncIterator[Audited]:
    shutil.copytree(first_start, tmp_path, dirs_exist_ok=True)
    config = replace(config_in(tmp_path), audit_file=tmp_path / "audit.log")
    database = Database(config.database_url)
    agents = AgentClient(settings_of(config, CONTROL_TOKEN), FakeWorld(database).transports())
    api = await open_api(config, database, agents)
    await api.parts.operations.start()
    yield Audited(api, tmp_path / "audit.log")
    await api.parts.operations.stop()
    await api.close()


@pytest.mark.parametrize("authorized", [False, True], ids=["stranger", "admin"])
async def test_every_call_that_may_change_something_leaves_one_line(
    audited: Audited, authorized: bool
) -> None:
    api = audited.api
    headers = {"X-Auth-Token": api.token} if authorized else {}
    for path in audited.routes():
        for method in WRITES:
            before = len(audited.lines())
            answer = await api.http.request(method, path, headers=headers, content=b'{"nothing": 1}')
            assert answer.status_code != 500, (method, path)
            found = audited.lines()[before:]
            assert len(found) == (0 if path in ("/healthz", "/readyz", "/metrics") else 1), (method, path)
            for line in found:
                assert (line["method"], line["path"], line["status"]) == (method, path, answer.status_code)
                assert line["outcome"] == ("accepted" if answer.status_code < 400 else "refused")
                assert line["client"] == "127.0.0.1"
                assert line["request_id"] == answer.headers["X-Request-Id"]
                assert line["timestamp"]
                if authorized and not path.startswith(("/identity", "/internal")) and api.project_id in path:
                    assert line["user_name"] == "admin"
    assert stat.S_IMODE(audited.file.stat().st_mode) == 0o600


async def test_calls_that_only_look_leave_none(audited: Audited) -> None:
    before = len(audited.lines())
    for path in audited.routes():
        await audited.api.http.get(path, headers={"X-Auth-Token": audited.api.token})
    assert len(audited.lines()) == before


async def test_a_failed_login_tells_who_it_said_to_be_and_where_from(audited: Audited) -> None:
    user = {"name": "root", "domain": {"name": "Default"}, "password": GUESS}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    answer = await audited.api.http.post("/identity/v3/auth/tokens", json=body)
    assert answer.status_code == 401
    line = audited.lines()[-1]
    assert (line["claimed_user_name"], line["outcome"], line["status"]) == ("root", "refused", 401)
    assert line["client"] == "127.0.0.1"
    assert "user_id" not in line


async def test_no_secret_is_in_it_and_the_work_of_a_day_is(audited: Audited) -> None:
    api = audited.api
    secrets = {api.token, api.credentials["OS_PASSWORD"], CONTROL_TOKEN, GUESS}
    for password in (GUESS, api.credentials["OS_PASSWORD"]):
        answer = await api.http.post("/identity/v3/auth/tokens", json={"auth": api.auth(password)})
        secrets.add(answer.headers.get("X-Subject-Token", GUESS))
    pair = await api.pair()
    group = await api.group([pair])
    assert (await api.act(group["id"], "os-sync-replication-consistency-group")).status_code == 200
    volume = await api.volume("az1")
    connector = {"os-initialize_connection": {"connector": {"host": "h"}}}
    answer = await api.call("POST", f"volumes/{volume['id']}/action", connector)
    assert answer.status_code == 200
    export = answer.json()["connection_info"]["data"]["export"]
    # Secrets in all the wrong places: bodies that can't be read, and misspelt keys.
    for content in (f'{{"password": "{GUESS}', f'{{"auth": {{"{GUESS}": 1}}}}', f'["{GUESS}"]'):
        for path in ("/identity/v3/auth/tokens", f"/v2/{api.project_id}/volumes"):
            await api.http.post(path, content=content, headers={"X-Auth-Token": api.token})
    await api.http.request(
        "DELETE",
        "/identity/v3/auth/tokens",
        headers={"X-Auth-Token": api.token, "X-Subject-Token": api.token},
    )
    text = audited.file.read_text()
    for secret in secrets | {export}:
        assert secret not in text
    accepted = [line for line in audited.lines() if line["outcome"] == "accepted"]
    assert {"verb": "sync", "user_name": "admin"}.items() <= next(
        line for line in accepted if line["path"].endswith(f"{group['id']}/action")
    ).items()
    assert accepted[-1]["revoked_audit_id"]


async def test_the_file_may_be_moved_away(audited: Audited) -> None:
    audited.file.rename(audited.file.with_suffix(".1"))
    await audited.api.call("DELETE", "volumes/none")
    (line,) = audited.lines()
    assert line["status"] == 404
