"""The manners of HTTP: request ids, what is accepted, what is too much, and each status code at the door."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from tests.api.harness import GROUPS, PAIRS, URL, Api, error_of

from bilocate.api.app import build_app
from bilocate.api.not_yet import NONE_OF, PATHS
from bilocate.config import KeyFileError

pytestmark = pytest.mark.anyio


async def test_request_ids_are_taken_over_or_made(door: Api) -> None:
    given = await door.call("GET", "volumes", headers={"X-Request-Id": "my-own.id:1"})
    assert given.headers["X-Request-Id"] == "my-own.id:1"
    assert given.headers["X-Openstack-Request-Id"] == "my-own.id:1"
    made = await door.call("GET", "volumes")
    assert made.headers["X-Request-Id"].startswith("req-")
    for bad in ("x" * 129, "a b", 'a"b'):
        replaced = await door.call("GET", "volumes", headers={"X-Request-Id": bad})
        assert replaced.headers["X-Request-Id"].startswith("req-")
    refused = await door.call("GET", "nothing", headers={"X-Request-Id": "lost"})
    assert refused.headers["X-Request-Id"] == "lost"


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 5000, b"\xff{}"]
)
async def test_400_for_what_is_no_json_object(door: Api, body: Any) -> None:
    response = await door.call("POST", PAIRS, content=body)
    assert response.status_code == 400
    assert error_of(response)["error_code"] == "EVS.1052"


async def test_400_without_the_outer_key(door: Api) -> None:
    for path in (PAIRS, GROUPS, "volumes"):
        response = await door.call("POST", path, {"name": "x"})
        assert response.status_code == 400
        assert error_of(response)["error_code"] == "EVS.1052"


@pytest.mark.parametrize("token", ["", "nonsense", "x" * 5000])
async def test_401_without_a_good_token(door: Api, token: str) -> None:
    for path in ("volumes", "nothing/at/all"):
        response = await door.call("GET", path, token=token)
        assert response.status_code == 401
        assert error_of(response)["name"] == "unauthorized"


async def test_404_for_what_there_is_not(door: Api) -> None:
    for response in (
        await door.call("GET", "nothing"),
        await door.call("GET", f"{PAIRS}/nothing"),
        await door.call("POST", f"{GROUPS}/nothing/action", {"x": None}),
        await door.call("POST", PAIRS, {}, version="v3"),  # the replication calls are v2's
        await door.http.get("/nothing"),
        await door.http.get("/internal/v1/nothing"),
    ):
        assert response.status_code == 404, response.request.url
        assert error_of(response)["name"] == "itemNotFound"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", PAIRS, "GET, HEAD, POST"),
        ("PUT", f"{PAIRS}/x", "DELETE, GET, HEAD"),
        ("DELETE", GROUPS, "GET, HEAD, POST"),
        ("PATCH", f"{GROUPS}/x", "DELETE, GET, HEAD, PUT"),
        ("GET", f"{GROUPS}/x/action", "POST"),
        ("NONSENSE", "volumes", "GET, HEAD, POST"),
    ],
)
async def test_405_says_what_is_allowed(door: Api, method: str, path: str, allow: str) -> None:
    response = await door.call(method, path)
    assert response.status_code == 405
    assert response.headers["Allow"] == allow
    assert error_of(response)["name"] == "badMethod"


async def test_405_outside_projects(door: Api) -> None:
    response = await door.http.post("/healthz")
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("*/*", 200),
        ("text/html, application/*;q=0.1", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("*/*, application/json;q=0", 406),
        ("text/plain, */*;q=0.0", 406),
    ],
)
async def test_406_for_a_client_that_takes_no_json(door: Api, accept: str, status: int) -> None:
    response = await door.call("GET", "volumes", headers={"Accept": accept})
    assert response.status_code == status
    if status == 406:
        assert error_of(response)["name"] == "notAcceptable"


@pytest.mark.parametrize(
    ("header", "status", "told"),
    [
        ("volume 3.44", 200, "volume 3.44"),
        ("volume latest", 200, "volume 3.44"),
        ("compute 2.1, volume 3.27", 200, "volume 3.27"),
        ("compute 2.1", 200, "volume 3.0"),
        ("volume 3.45", 406, None),
        ("volume 2.0", 406, None),
        ("volume three", 400, None),
    ],
)
async def test_microversions(door: Api, header: str, status: int, told: str | None) -> None:
    response = await door.call("GET", "volumes", version="v3", headers={"OpenStack-API-Version": header})
    assert response.status_code == status
    assert response.headers.get("OpenStack-API-Version") == told
    if told is not None:
        assert response.headers["Vary"] == "OpenStack-API-Version"


async def test_a_refusal_tells_its_microversion_too_and_v2_has_none(door: Api) -> None:
    header = {"OpenStack-API-Version": "compute 2.9, volume 3.44"}
    response = await door.call("GET", "volumes/nobody", version="v3", headers=header)
    assert response.status_code == 404
    assert response.headers["OpenStack-API-Version"] == "volume 3.44"
    assert response.headers["Vary"] == "OpenStack-API-Version"
    response = await door.call("GET", "volumes", version="v2", headers=header)
    assert response.status_code == 200
    assert "OpenStack-API-Version" not in response.headers


async def test_the_version_document_of_v3_tells_what_is_honoured(door: Api) -> None:
    for path, status in (("/v3", 200), ("/v3/", 200), ("/", 300)):
        response = await door.http.get(path)
        assert response.status_code == status
        found = next(each for each in response.json()["versions"] if each["id"] == "v3.0")
        assert (found["status"], found["min_version"], found["version"]) == ("CURRENT", "3.0", "3.44")
        assert found["links"] == [{"rel": "self", "href": f"{URL}/v3/"}]
    latest = {"OpenStack-API-Version": "volume latest"}
    response = await door.call("GET", "volumes", version="v3", headers=latest)
    assert response.headers["OpenStack-API-Version"] == f"volume {found['version']}"


async def test_407_for_who_did_not_come_through_the_authenticating_proxy(api: Api) -> None:
    secret = api.parts.config.openrc_file.with_name("proxy")
    secret.write_text("a secret of the proxy\n")
    secret.chmod(0o600)
    listener = replace(api.parts.config.api, proxy_secret_file=secret)
    parts = replace(api.parts, config=replace(api.parts.config, api=listener))
    transport = httpx.ASGITransport(build_app(parts, api.passwords))
    async with httpx.AsyncClient(transport=transport, base_url=URL) as http:
        for given in ({}, {"X-Bilocate-Proxy": "guessed"}):
            response = await http.get("/identity/v3", headers=given)
            assert response.status_code == 407
            assert response.headers["Proxy-Authenticate"]
            assert response.json()["error"]["code"] == 407
            response = await http.get(
                f"/v2/{api.project_id}/volumes", headers={"X-Auth-Token": api.token, **given}
            )
            assert error_of(response)["name"] == "proxyAuthenticationRequired"
        came = {"X-Bilocate-Proxy": "a secret of the proxy", "X-Auth-Token": api.token}
        assert (await http.get(f"/v2/{api.project_id}/volumes", headers=came)).status_code == 200
        # Neither health checks nor sites' agents come through it.
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.post("/internal/v1/arbiter/s", json={})).status_code == 401
    secret.chmod(0o644)
    with pytest.raises(KeyFileError, match="others may read it"):
        build_app(parts, api.passwords)


async def test_408_for_a_body_that_does_not_come(api: Api) -> None:
    limits = replace(api.parts.config.limits, body_seconds=0.05)
    object.__setattr__(api.parts.config, "limits", limits)

    async def dawdling() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(30)

    async with asyncio.timeout(10):
        response = await api.call("POST", PAIRS, content=dawdling())
    assert response.status_code == 408
    assert error_of(response)["name"] == "requestTimeout"


async def test_413_for_a_body_that_is_too_large(door: Api) -> None:
    most = door.parts.config.limits.body_bytes_max
    told = await door.call("POST", PAIRS, content=b" " * (most + 1))
    assert told.status_code == 413
    assert error_of(told)["name"] == "overLimit"

    async def untold() -> AsyncIterator[bytes]:
        for _ in range(most // 65536 + 2):
            yield b" " * 65536

    response = await door.call("POST", PAIRS, content=untold())
    assert response.status_code == 413


@pytest.mark.parametrize(("only", "path", "what"), PATHS)
async def test_501_for_what_is_not_there_yet(door: Api, only: str, path: str, what: str) -> None:
    filled = path.replace("{rest:path}", "z").replace("{id}", "x")
    response = await door.call("GET", filled, version=only or "v2")
    assert response.status_code == 501
    error = error_of(response)
    assert error["name"] == "notImplemented"
    assert what in error["message"]


@pytest.mark.parametrize(("only", "path", "key", "what"), NONE_OF)
async def test_what_there_can_be_none_of_is_an_empty_list(
    door: Api, only: str, path: str, key: str, what: str
) -> None:
    listed = await door.call("GET", path, version=only or "v2")
    assert (listed.status_code, listed.json()) == (200, {key: []})
    made = await door.call("POST", path, {key: {}}, version=only or "v2")
    assert made.status_code == 501
    assert what in error_of(made)["message"]
    one = await door.call("GET", f"{path.removesuffix('/detail')}/some-id", version=only or "v2")
    assert one.status_code == 404
    assert what in error_of(one)["message"]


async def test_503_while_shutting_down_and_when_too_many_ask(api: Api) -> None:
    api.gate.shutting_down = True
    for path in (f"/v2/{api.project_id}/volumes", "/readyz", "/identity/v3"):
        response = await api.http.get(path)
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
    assert (await api.http.get("/healthz")).status_code == 200
    api.gate.shutting_down = False
    api.gate.under_way += api.parts.config.limits.requests_max
    crowded = await api.call("GET", "volumes")
    assert crowded.status_code == 503
    assert error_of(crowded)["error_code"] == "EVS.5503"
    # Sites' hosts may be waiting for the arbiter: agents are answered however many clients ask.
    agents = await api.http.post("/internal/v1/arbiter/s", json={})
    assert agents.status_code == 401
    api.gate.under_way -= api.parts.config.limits.requests_max


async def test_503_when_the_database_is_away(api: Api) -> None:
    file = api.parts.config.database_url.split("///")[1]
    await api.parts.database.close()
    with open(file, "wb") as broken:
        broken.write(b"this is no database" * 1000)
    response = await api.call("GET", "volumes")
    assert response.status_code == 503
    assert "Retry-After" in response.headers
    assert error_of(response)["name"] == "serviceUnavailable"
    ready = await api.http.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["database"] != "ok"
    assert (await api.http.get("/metrics")).status_code == 200


async def test_500_tells_nothing_of_the_inside(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fall_over(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr("bilocate.api.volumes.volume_page", fall_over)
    response = await api.call("GET", "volumes")
    assert response.status_code == 500
    error = error_of(response)
    assert error["name"] == "computeFault"
    assert "secret" not in response.text


async def test_health_and_readiness(api: Api) -> None:
    alive = await api.http.get("/healthz", headers={"Accept": "text/plain"})
    assert alive.json()["status"] == "ok"
    ready = await api.http.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["database"] == "ok"
    assert set(ready.json()["agents"]) == {"az1", "az2"}
    assert (await api.http.get("/readyz?only=database")).status_code == 200
