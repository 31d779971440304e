"""Who asks, and where: tokens, the catalogue, lost answers, names, lists."""

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from tests.api.conftest import World
from tests.client.conftest import AUTH_URL, Connect, login_of

from bilocate.client import (
    AmbiguousName,
    AsyncClient,
    Login,
    Malformed,
    NoSuchName,
    NotInTime,
    NotTheApi,
    Unauthorized,
    Unreachable,
)

pytestmark = pytest.mark.anyio
PROJECT = "0123456789abcdef0123456789abcdef"
ELSEWHERE = "https://volumes.test:8776"


async def test_a_token_of_elsewhere_is_a_login(world: World, connect: Connect) -> None:
    login = Login(AUTH_URL, token=world.api.token, project_id=world.api.project_id)
    async with connect(login) as client:
        assert await client.volumes() == []
    async with connect(replace(login, token="no such token")) as client:
        with pytest.raises(Unauthorized):
            await client.volumes()


async def test_a_token_that_was_revoked_is_followed_by_a_new_one(world: World, connect: Connect) -> None:
    async with connect(login_of(world.api)) as client:
        await client.volumes()
        access = client._access
        revoked = access._token  # type: ignore[attr-defined]
        headers = {"X-Auth-Token": world.api.token, "X-Subject-Token": revoked}
        assert (await world.api.http.delete("/identity/v3/auth/tokens", headers=headers)).status_code == 204
        assert await client.volumes() == []
        assert access._token != revoked  # type: ignore[attr-defined]


async def test_a_wrong_password_is_told_as_such(world: World, connect: Connect) -> None:
    async with connect(replace(login_of(world.api), password="guessed")) as client:
        with pytest.raises(Unauthorized):
            await client.volumes()


def test_secrets_are_in_no_representation() -> None:
    shown = repr(Login(AUTH_URL, "admin", "the password", token="the token"))
    assert "the password" not in shown
    assert "the token" not in shown


# --- where: an identity service of its own, played here, whose catalogue names Bilocate ---


def identity(service_type: str = "evs", **asked: list[str]) -> Callable[[httpx.Request], httpx.Response]:
    """Answers tokens with a catalogue of two regions, and lists that are empty. Keeps what else was asked."""

    def endpoint(region: str, interface: str) -> dict[str, str]:
        port = {"one": 8776, "two": 8777}[region] + (100 if interface == "internal" else 0)
        return {"region": region, "interface": interface, "url": f"https://volumes.test:{port}/v2/{PROJECT}"}

    endpoints = [endpoint(region, kind) for region in ("one", "two") for kind in ("internal", "public")]
    catalog = [{"type": "compute", "endpoints": []}, {"type": service_type, "endpoints": endpoints}]
    token = {"project": {"id": PROJECT}, "catalog": catalog}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/auth/tokens"):
            return httpx.Response(201, json={"token": token}, headers={"X-Subject-Token": "t"})
        asked["urls"].append(str(request.url.copy_with(query=None)))
        return httpx.Response(200, json={"volumes": []})

    return answer


@pytest.mark.parametrize(
    "auth_url",
    ["https://keystone.test:5000/v3", "https://keystone.test/identity/v3/", "https://keystone.test"],
)
@pytest.mark.parametrize(
    ("choice", "port"),
    [({}, 8776), ({"region": "two"}, 8777), ({"region": "two", "interface": "internal"}, 8877)],
)
async def test_the_service_is_where_the_catalogue_says(
    auth_url: str, choice: dict[str, str], port: int
) -> None:
    """Whatever the identity service's own address looks like: a Keystone may well be at /identity/v3."""
    urls: list[str] = []
    login = Login(auth_url, "admin", "p", project_id=PROJECT, **choice)
    async with AsyncClient(login, transport=httpx.MockTransport(identity(urls=urls))) as client:
        await client.volumes()
        await client.ready()
    assert urls == [
        f"https://volumes.test:{port}/v2/{PROJECT}/volumes/detail",
        f"https://volumes.test:{port}/readyz",
    ]


@pytest.mark.parametrize(("service_type", "region"), [("object-store", ""), ("evs", "three")])
async def test_a_catalogue_without_the_service_is_told(service_type: str, region: str) -> None:
    login = Login("https://keystone.test/v3", "admin", "p", project_name="shop", region=region)
    async with AsyncClient(login, transport=httpx.MockTransport(identity(service_type))) as client:
        with pytest.raises(NotTheApi, match="'evs'" + (f".*{region}" if region else "")):
            await client.volumes()


async def test_what_is_no_identity_service_is_told() -> None:
    pages = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>"))
    async with AsyncClient(Login("https://keystone.test", "admin", "p"), transport=pages) as client:
        with pytest.raises(NotTheApi, match="right address"):
            await client.volumes()


# --- lost answers ---


@pytest.mark.parametrize(("error", "reads", "writes"), [(httpx.ConnectError, 4, 4), (httpx.ReadError, 4, 1)])
async def test_a_write_that_someone_may_have_is_sent_once(
    monkeypatch: pytest.MonkeyPatch, error: type[httpx.TransportError], reads: int, writes: int
) -> None:
    monkeypatch.setattr("bilocate.client.access.RETRY_SECONDS", 0.001)
    urls: list[str] = []
    answering = identity(urls=urls)
    sent: list[str] = []

    def lose(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/auth/tokens"):
            return answering(request)
        sent.append(request.method)
        raise error("lost")

    login = Login("https://keystone.test/v3", "admin", "p", project_id=PROJECT)
    async with AsyncClient(login, transport=httpx.MockTransport(lose)) as client:
        with pytest.raises(Unreachable):
            await client.volumes()
        with pytest.raises(Unreachable) as told:
            await client.delete_volume("v")
    assert (sent.count("GET"), sent.count("DELETE")) == (reads, writes)
    assert told.value.sent is (writes == 1)


# --- names, and waiting ---


async def test_names_are_found_unless_they_are_nobody_s_or_several_s(client: AsyncClient) -> None:
    ids = sorted([(await client.create_volume("data", 1, site)).id for site in ("az1", "az2")])
    assert (await client.find_volume(ids[0])).id == ids[0]
    with pytest.raises(AmbiguousName) as told:
        await client.find_volume("data")
    assert told.value.ids == ids
    with pytest.raises(NoSuchName, match="no pair"):
        await client.find_pair("data")
    named_like_an_id = await client.create_volume("11111111-2222-4333-8444-555555555555", 1, "az1")
    found = await client.find_volume("11111111-2222-4333-8444-555555555555")
    assert found.id == named_like_an_id.id


async def test_what_the_api_finds_malformed_is_told_with_its_number(client: AsyncClient) -> None:
    with pytest.raises(Malformed) as told:
        await client.pairs(sort_key="nothing")
    assert told.value.evs_code == "EVS.1039"


async def test_a_wait_ends_in_time(client: AsyncClient) -> None:
    made = await client.create_volume("data", 1, "az1")
    with pytest.raises(NotInTime, match=r"not done after 0\.05 s"):
        await client.wait_for_volume(made.id, status="in-use", timeout_seconds=0.05)
