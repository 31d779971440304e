"""What a real Keystone can't be brought to do when it is wanted: nonsense, refusals, a service token that ends."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.conftest import World
from tests.api.contract import DOCUMENT
from tests.api.harness import Api

from bilocate.api.app import build_app, build_routes
from bilocate.api.context import Caller
from bilocate.api.identity.keystone import Keystone, KeystoneUnavailable
from bilocate.api.metrics import Metrics
from bilocate.api.openapi.document import document
from bilocate.config import ApiLimits, ConfigError, KeyFileError, KeystoneSettings, load_controller_config

URL = "http://127.0.0.1:5000/v3"
SECRET = "a-token-of-keystone-5e1c"
BURST = 5
Answer = Callable[[httpx.Request], httpx.Response]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Fake:
    """Answers as told: `logins` counts the service's, `looks` those at other tokens."""

    def __init__(self, look: Answer) -> None:
        self.look = look
        self.logins = self.looks = 0
        self.refuse_login = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.logins += 1
            if self.refuse_login:
                return httpx.Response(401, json={})
            return httpx.Response(201, headers={"X-Subject-Token": f"own-{self.logins}"}, json={"token": {}})
        self.looks += 1
        return self.look(request)


def token(seconds: float = 3600, **changes: Any) -> dict[str, Any]:
    """What Keystone tells of a member's token."""
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    return {
        "user": {"id": "u1", "name": "alice"},
        "project": {"id": "p1", "name": "red"},
        "roles": [{"id": "r1", "name": "member"}],
        "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    } | changes


def told(**changes: Any) -> Answer:
    return lambda _: httpx.Response(200, json={"token": token(**changes)})


def keystone(tmp_path: Path, fake: Answer | None, auth_url: str = URL, **settings: Any) -> Keystone:
    """`fake` None: who is at `auth_url` is asked."""
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text("secret\n")
    transport = None if fake is None else httpx.MockTransport(fake)
    return Keystone(KeystoneSettings(auth_url, file, **settings), transport)


async def ask(of: Keystone, *secrets: str) -> list[Caller | None]:
    return [await of.caller(secret) for secret in secrets]


def test_a_caller_is_who_keystone_says_and_is_remembered(tmp_path: Path) -> None:
    fake = Fake(told())
    found = asyncio.run(ask(keystone(tmp_path, fake), "t", "t", "other"))
    assert found == [Caller("u1", "alice", "p1", frozenset({"member"}))] * 3
    assert (fake.logins, fake.looks) == (1, 2)


def test_without_a_cache_each_call_asks(tmp_path: Path) -> None:
    fake = Fake(told())
    asyncio.run(ask(keystone(tmp_path, fake, cache_seconds=0.0), "t", "t"))
    assert fake.looks == 2


def test_no_token_outlives_its_end_in_the_cache(tmp_path: Path) -> None:
    fake = Fake(told(seconds=0.2))

    async def work() -> None:
        of = keystone(tmp_path, fake)
        assert await of.caller("t") is not None
        await asyncio.sleep(0.25)
        fake.look = lambda _: httpx.Response(404)
        assert await of.caller("t") is None

    asyncio.run(work())


def test_one_that_has_ended_by_this_clock_is_refused(tmp_path: Path) -> None:
    assert asyncio.run(ask(keystone(tmp_path, Fake(told(seconds=-1))), "t")) == [None]


@pytest.mark.parametrize("scope", [{"project": None}, {"project": None, "domain": {"id": "d"}}])
def test_roles_for_anything_but_a_project_count_for_nothing(tmp_path: Path, scope: dict[str, Any]) -> None:
    fake = Fake(told(**scope, roles=[{"id": "r", "name": "admin"}]))
    assert asyncio.run(ask(keystone(tmp_path, fake), "t")) == [Caller("u1", "alice", None, frozenset())]


def test_the_services_own_token_is_taken_anew_once(tmp_path: Path) -> None:
    def look(request: httpx.Request) -> httpx.Response:
        fresh = request.headers["X-Auth-Token"] == "own-2"
        return httpx.Response(200, json={"token": token()}) if fresh else httpx.Response(401)

    fake = Fake(look)

    async def work() -> None:
        of = keystone(tmp_path, fake)
        await asyncio.gather(*(of.caller(f"t{number}") for number in range(8)))

    asyncio.run(work())
    assert fake.logins == 2


def test_a_service_that_keystone_does_not_know_lets_nobody_in(tmp_path: Path) -> None:
    fake = Fake(told())
    fake.refuse_login = True
    of = keystone(tmp_path, fake)
    with pytest.raises(KeystoneUnavailable):
        asyncio.run(of.caller("t"))
    assert fake.looks == 0


NONSENSE: list[httpx.Response] = [
    httpx.Response(200, content=b"<html>"),
    httpx.Response(200, json=[1]),
    httpx.Response(200, content=b"[" * 100_000),
    httpx.Response(200, json={"token": None}),
    httpx.Response(200, json={"token": {}}),
    httpx.Response(200, json={"token": token() | {"user": "alice"}}),
    httpx.Response(200, json={"token": token() | {"expires_at": "soon"}}),
    httpx.Response(200, json={"token": token() | {"roles": 7}}),
    httpx.Response(401),
    httpx.Response(403),
    httpx.Response(300),
    httpx.Response(500),
]


@pytest.mark.parametrize("answer", NONSENSE)
def test_an_answer_that_can_not_be_used_lets_nobody_in(tmp_path: Path, answer: httpx.Response) -> None:
    with pytest.raises(KeystoneUnavailable) as raised:
        asyncio.run(keystone(tmp_path, Fake(lambda _: answer)).caller("t"))
    assert raised.value.status == 503


def test_no_answer_lets_nobody_in(tmp_path: Path) -> None:
    def dead(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("no answer", request=request)

    with pytest.raises(KeystoneUnavailable):
        asyncio.run(keystone(tmp_path, dead).caller("t"))


async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 201 Created\r\nX-Subject-Token: own\r\nContent-Length: 1000\r\n\r\n")
    for _each in range(300):
        writer.write(b" ")
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("handler", [hang, trickle])
def test_callers_of_a_keystone_that_hangs_wait_beside_each_other(tmp_path: Path, handler: Handler) -> None:
    async def work() -> None:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v3"
        of = keystone(tmp_path, None, auth_url=url, timeout_seconds=0.5)
        began = time.monotonic()
        found = await asyncio.gather(*(of.caller(f"t{each}") for each in range(8)), return_exceptions=True)
        took = time.monotonic() - began
        await of.close()
        assert [type(each) for each in found] == [KeystoneUnavailable] * 8
        assert took < 2.0  # one after the other it would be 4

    asyncio.run(work())


def test_an_answer_without_end_is_not_kept(tmp_path: Path) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 << 20:
            sent += 1 << 20
            yield b" " * (1 << 20)

    fake = Fake(lambda _: httpx.Response(200, content=endless()))
    with pytest.raises(KeystoneUnavailable):
        asyncio.run(keystone(tmp_path, fake).caller("t"))
    assert sent <= 4 << 20


@pytest.mark.parametrize("secret", ["x" * 10_000, "tökén", "a\tb", "a\nb"])
def test_what_can_be_no_token_is_not_shown_to_keystone(tmp_path: Path, secret: str) -> None:
    fake = Fake(told())
    assert asyncio.run(ask(keystone(tmp_path, fake), secret)) == [None]
    assert (fake.logins, fake.looks) == (0, 0)


def test_the_password_must_be_nobody_elses(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    file.chmod(0o644)
    with pytest.raises(KeyFileError):
        Keystone(KeystoneSettings(URL, file))
    file.chmod(0o600)
    file.write_text(" \n")
    with pytest.raises(KeyFileError):
        Keystone(KeystoneSettings(URL, file))


@pytest.mark.parametrize(
    ("lines", "is_allowed"),
    [
        ('auth_url = "https://keystone.example:5000/v3"', True),
        ('auth_url = "http://127.0.0.1:5000/v3"', True),
        ('auth_url = "http://keystone.example:5000/v3"', False),
        ('auth_url = "http://keystone.example:5000/v3"\nallow_plaintext = true', True),
        ('auth_url = "keystone.example"', False),
        ('auth_url = "ftp://127.0.0.1/v3"', False),
    ],
)
def test_tokens_cross_no_network_unencrypted(tmp_path: Path, lines: str, is_allowed: bool) -> None:
    site = json.dumps("127.0.0.1:1")
    sites = "".join(
        f'[sites.{name}]\ncontrol_url = "http://127.0.0.1:1"\nlink_address = {site}\n'
        'nbd_host = "127.0.0.1"\nnbd_port = 1\n'
        for name in ("az1", "az2")
    )
    file = tmp_path / "controller.toml"
    head = f'key_file = "key"\nopenrc_file = "openrc"\ndatabase_url = "sqlite+aiosqlite:///{tmp_path}/db"\n'
    file.write_text(f'{head}{sites}[identity.keystone]\npassword_file = "p"\n{lines}\n')
    if is_allowed:
        assert load_controller_config(file).identity.keystone is not None
    else:
        with pytest.raises(ConfigError, match=r"identity\.keystone\.auth_url"):
            load_controller_config(file)


@pytest.mark.anyio
async def test_the_document_of_all_calls_has_no_identity_then(door: Api, tmp_path: Path) -> None:
    of = keystone(tmp_path, Fake(told()))
    routes = build_routes(replace(door.parts, keystone=of), door.passwords, Metrics("test"))
    kept, made = json.loads(DOCUMENT.read_text())["paths"], document(routes)["paths"]
    assert made == {path: calls for path, calls in kept.items() if not path.startswith("/identity")}
    assert len(made) < len(kept)


@pytest.fixture
async def elsewhere(world: World, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The API for a caller of Keystone, whose project no table here knows."""
    parts = world.api.parts
    limits = ApiLimits(token_requests_per_second=1, token_requests_burst=BURST)
    config = replace(parts.config, audit_file=tmp_path / "audit.log", limits=limits)
    of = keystone(tmp_path, Fake(told(roles=[{"id": "r1", "name": "admin"}])))
    gate = build_app(replace(parts, config=config, keystone=of), world.api.passwords)
    transport = httpx.ASGITransport(gate, raise_app_exceptions=False)
    headers = {"X-Auth-Token": SECRET}
    async with httpx.AsyncClient(transport=transport, base_url=parts.public_url, headers=headers) as client:
        yield client


@pytest.mark.anyio
async def test_a_volume_is_made_in_a_project_that_only_keystone_knows(world: World, tmp_path: Path) -> None:
    parts = replace(world.api.parts, keystone=keystone(tmp_path, Fake(told())))
    transport = httpx.ASGITransport(build_app(parts, world.api.passwords))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
        body = {"volume": {"size": 1, "availability_zone": "az1"}}
        made = await http.post("/v3/p1/volumes", json=body, headers={"X-Auth-Token": "t"})
    assert made.status_code == 202, made.text


@pytest.mark.anyio
async def test_the_audit_log_tells_keystones_user_and_project(
    elsewhere: httpx.AsyncClient, tmp_path: Path
) -> None:
    await elsewhere.post("/v3/p1/volumes", json={"volume": {"size": 1, "availability_zone": "az1"}})
    written = (tmp_path / "audit.log").read_text()
    (line,) = map(json.loads, written.splitlines())
    assert (line["user_id"], line["token_project_id"], line["outcome"]) == ("u1", "p1", "accepted")
    assert SECRET not in written


@pytest.mark.anyio
async def test_a_token_of_keystone_has_its_bound_on_requests(elsewhere: httpx.AsyncClient) -> None:
    found = [(await elsewhere.get("/v3/p1/volumes")).status_code for _ in range(BURST + 1)]
    assert found == [200] * BURST + [429]
