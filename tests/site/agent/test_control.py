"""The control endpoint refuses what it should, as the agreement spells it, and changes nothing then."""

import json
from typing import Any

import httpx
import pytest
from tests.site.agent.world import MIB, Site, session_body, volume_body

from bilocate.site.control import BODY_BYTES_MAX

pytestmark = pytest.mark.anyio

CALLS = [
    ("GET", "/v1/health"),
    ("GET", "/v1/status"),
    ("PUT", "/v1/volumes/vol"),
    ("DELETE", "/v1/volumes/vol"),
    ("GET", "/v1/sessions/ses"),
    ("PUT", "/v1/sessions/ses"),
    ("DELETE", "/v1/sessions/ses?epoch=1"),
    ("POST", "/v1/sessions/ses/quiesce"),
    ("GET", "/nothing/here"),
]


async def test_nothing_is_told_without_the_token(az1: Site) -> None:
    async with httpx.AsyncClient(trust_env=False) as stranger:
        for token in (None, b"", b"Bearer", b"Bearer wrong", b"Basic " + b"0" * 64, b"Bearer \xe9"):
            headers = [] if token is None else [(b"Authorization", token)]
            for method, path in CALLS:
                answer = await stranger.request(method, az1.up.control_url + path, json={}, headers=headers)
                assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized"), path
    assert (await az1.ask("GET", "/v1/status"))["volumes"] == {}


GOOD = volume_body(("name",))


MALFORMED_VOLUMES: list[dict[str, Any]] = [
    {"size_bytes": 0},
    {"size_bytes": -1},
    {"size_bytes": 1 << 63},
    {"size_bytes": 1.5},
    {"size_bytes": True},
    {"size_bytes": None},
    {"create": 1},
    {"create": None},
    {"revision": "1"},
    {"revision": -1},
    {"exports": None},
    {"exports": {}},
    {"exports": ["name"]},
    {"exports": [{"name": "x"}]},
    {"exports": [{"name": "", "attachment_id": "a"}]},
    {"exports": [{"name": "x" * 2000, "attachment_id": "a"}]},
    {"exports": [{"name": "x", "attachment_id": "../a"}]},
    {"exports": [{"name": "x", "attachment_id": "a"}, {"name": "x", "attachment_id": "b"}]},
    {"exports": [{"name": "x", "attachment_id": "a"}] * 2000},
    {"read_only_exports": None},
    {"read_only_exports": [{"name": "x", "attachment_id": "../a"}]},
    {
        "exports": [{"name": "x", "attachment_id": "a"}],
        "read_only_exports": [{"name": "x", "attachment_id": "b"}],
    },
    {"session_id": 7},
    {"session_id": ""},
]


async def test_a_malformed_volume_is_refused(az1: Site) -> None:
    for change in MALFORMED_VOLUMES:
        assert await az1.refused("PUT", "/v1/volumes/vol", {**GOOD, **change}) == (400, "malformed"), change
    assert (await az1.ask("GET", "/v1/status"))["volumes"] == {}


async def test_an_id_that_is_no_file_name_is_refused(az1: Site) -> None:
    for volume_id in ("..", "..%2Fledger.db", ".hidden", "a%2Fb", "a%00b", "a%0Ab", "x" * 129, "%E9"):
        for method in ("PUT", "DELETE"):
            answer = await az1.call(method, f"/v1/volumes/{volume_id}", GOOD)
            assert answer.status_code in (400, 404), volume_id
    assert list(az1.file("vol").parent.iterdir()) == []


async def test_a_body_that_is_no_object_is_refused(az1: Site) -> None:
    for path in ("volumes/vol", "sessions/ses"):
        for content in (b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000):
            answer = await az1.http.put(f"{az1.up.control_url}/v1/{path}", content=content)
            assert (answer.status_code, answer.json()["error"]) == (400, "malformed"), content[:9]


async def test_a_body_beyond_the_bound_is_refused(az1: Site) -> None:
    content = json.dumps({**GOOD, "more": "x" * BODY_BYTES_MAX}).encode()
    answer = await az1.http.put(f"{az1.up.control_url}/v1/volumes/vol", content=content)
    assert (answer.status_code, answer.json()["error"]) == (400, "malformed")


MALFORMED_SESSIONS: list[dict[str, Any]] = [
    {"epoch": 0},
    {"epoch": "x"},
    {"revision": -1},
    {"role": "both"},
    {"peer": {}},
    {"members": [{"pair_id": "p", "volume_id": "vol"}]},
    {"members": [{"pair_id": "p", "volume_id": "vol", "size_bytes": 8 * MIB}] * 2},
    {
        "members": [
            {"pair_id": pair, "volume_id": "vol", "size_bytes": 8 * MIB} for pair in ("pair-a", "pair-b")
        ]
    },
    {"members": [{"pair_id": "p", "volume_id": "vol", "size_bytes": 4 * MIB}]},
    {"members": [{"pair_id": "p", "volume_id": "vol", "size_bytes": "x" * 10_000}]},
]


async def test_a_malformed_session_is_refused_and_its_volume_stays_served(az1: Site) -> None:
    await az1.put_volume("vol", ("name",))
    for change in MALFORMED_SESSIONS:
        body = {**session_body(az1, "primary", ("vol",)), **change}
        assert await az1.refused("PUT", "/v1/sessions/ses", body) == (400, "malformed"), change
        assert await az1.findable("name"), change
        assert await az1.refused("GET", "/v1/sessions/ses") == (404, "unknown_session")


async def test_a_session_of_an_unknown_volume_is_refused(az1: Site) -> None:
    body = session_body(az1, "primary", ("vol",))
    assert await az1.refused("PUT", "/v1/sessions/ses", body) == (409, "unknown_volume")


async def test_what_is_not_there(az1: Site) -> None:
    for method, path, code in [
        ("GET", "/v1/sessions/ses", "unknown_session"),
        ("POST", "/v1/sessions/ses/quiesce", "unknown_session"),
        ("POST", "/v1/sessions/ses/explode", "no_such_path"),
        ("GET", "/v1/volumes/vol", None),
        ("GET", "/", "no_such_path"),
    ]:
        answer = await az1.call(method, path, {"epoch": 1, "attempt": 2})
        assert answer.status_code in (404, 405), path
        assert code is None or answer.json()["error"] == code
    assert await az1.ask("DELETE", "/v1/sessions/ses?epoch=1") == {}
    assert await az1.ask("DELETE", "/v1/volumes/vol") == {}


async def test_an_end_without_its_epoch_is_refused(az1: Site) -> None:
    for query in ("", "?epoch=", "?epoch=-1", "?epoch=x", "?epoch=" + "9" * 30):
        assert await az1.refused("DELETE", f"/v1/sessions/ses{query}") == (400, "malformed")


async def test_LATE_a_step_that_names_no_attempt_is_refused(az1: Site) -> None:
    for step in ("precheck", "release", "quiesce", "resume"):
        for body in ({"epoch": 1}, {"epoch": 1, "attempt": None}, {"epoch": 1, "attempt": "2"}):
            refused = await az1.refused("POST", f"/v1/sessions/ses/{step}", body)
            assert refused == (400, "malformed"), (step, body)
