"""Any body of any call is understood or refused as documented: never an internal error, never a broken answer."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.conftest import World, first_start
from tests.api.harness import (
    CONTROL_TOKEN,
    GROUPS,
    PAIRS,
    config_in,
    error_of,
    group_body,
    open_api,
    pair_body,
)
from tests.operations.fake_agent import FakeWorld
from tests.parsers.values import ANY_JSON, as_sent, cut_up, property_test, spoilt
from tests.quiet import quiet

from bilocate.api.bodies import parse_object
from bilocate.api.codes import Problem
from bilocate.operations.agents import AgentClient
from bilocate.operations.settings import settings_of
from bilocate.store.database import Database

__all__ = ["first_start", "quiet"]

ID = "11111111-1111-4111-8111-111111111111"
WORDS = ("key", "value", "id", "name", "force", "allow_data_loss", "connector", "tags", "size", "metadata")
MICROVERSION = {"OpenStack-API-Version": "volume 3.44"}
BROKEN = 500


@dataclass(slots=True)
class Place:
    """An API whose operations run on agents that are played, with something of each kind in it."""

    loop: asyncio.AbstractEventLoop
    world: World
    volume_id: str = ""
    pair_id: str = ""
    group_id: str = ""
    attachment_id: str = ID

    def calls(self) -> list[tuple[str, str, str, Any]]:
        """Method, version, path and a right body of every call that takes one."""
        volume, group = f"volumes/{self.volume_id}", f"{GROUPS}/{self.group_id}"
        tags, old_tags = (
            f"os-vendor-volumes/{self.volume_id}/tags",
            f"os-vendor-tags/volumes/{self.volume_id}",
        )
        host = {"connector": {"host": "h", "ip": "10.0.0.1"}}
        listed, tag = [{"key": "k", "value": "v"}], {"key": "k", "value": "v"}
        extended = {"replications": [{"id": self.pair_id, "new_size": 2}]}
        attachment = {"volume_uuid": self.volume_id, "instance_uuid": ID, "mode": "rw", **host}
        made = {"name": "n", "host": "az1@b#p", "ref": {"source-name": "/dev/x"}, "metadata": {"k": "v"}}
        volume_body = {"size": 1, "availability_zone": "az1", "name": "n", "metadata": {"k": "v"}}
        verbs: dict[str, Any] = {
            "failover": {"allow_data_loss": True},
            "reverse": {"force": True},
            "stop": None,
            "reprotect": None,
        }
        actions = [{f"os-{verb}-replication-consistency-group": value} for verb, value in verbs.items()]
        return [
            ("POST", "v2", PAIRS, pair_body([self.volume_id, ID], name="n", description="d")),
            ("POST", "v2", GROUPS, group_body([self.pair_id], name="n")),
            (
                "PUT",
                "v2",
                group,
                {"replication_consistency_group": {"name": "n", "add_replication_ids": [ID]}},
            ),
            *[("POST", "v2", f"{group}/action", action) for action in actions],
            ("POST", "v2", f"{group}/action", {"os-extend-replication-volumes": extended}),
            ("POST", "v2", "volumes", {"volume": volume_body}),
            ("PUT", "v2", volume, {"volume": {"name": "n", "description": "d", "metadata": {"k": "v"}}}),
            ("POST", "v2", f"{volume}/action", {"os-extend": {"new_size": 2}}),
            ("POST", "v2", f"{volume}/action", {"os-initialize_connection": host}),
            ("POST", "v2", f"{volume}/action", {"os-terminate_connection": host}),
            (
                "POST",
                "v2",
                f"{volume}/action",
                {"os-attach": {"instance_uuid": ID, "mountpoint": "/dev/vdb"}},
            ),
            ("POST", "v2", f"{volume}/action", {"os-detach": {"attachment_id": ID}}),
            ("POST", "v2", "os-volume-manage", {"volume": made}),
            ("POST", "v2", f"{volume}/metadata", {"metadata": {"k": "v"}}),
            ("PUT", "v2", f"{volume}/metadata", {"metadata": {"k": "v"}}),
            ("PUT", "v2", f"{volume}/metadata/k", {"meta": {"k": "v"}}),
            ("PUT", "v2", f"os-quota-sets/{self.world.api.project_id}", {"quota_set": {"volumes": 900}}),
            ("POST", "v2", tags, {"tags": listed}),
            ("PUT", "v2", tags, {"tags": listed}),
            ("POST", "v2", f"{tags}/action", {"action": "create", "tags": listed}),
            ("PUT", "v2", f"{tags}/k", {"tag": tag}),
            ("POST", "v2", old_tags, {"tags": {"k": "v"}}),
            ("PUT", "v2", f"{old_tags}/k", {"tag": {"k": "v"}}),
            ("POST", "v3", "attachments", {"attachment": attachment}),
            ("PUT", "v3", f"attachments/{self.attachment_id}", {"attachment": host}),
            ("POST", "v3", f"attachments/{self.attachment_id}/action", {"os-complete": None}),
        ]

    def send(
        self, method: str, path: str, content: bytes, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """One request with these bytes for a body."""
        given = {"X-Auth-Token": self.world.api.token, **MICROVERSION, **(headers or {})}
        return self.loop.run_until_complete(
            self.world.api.http.request(method, path, content=content, headers=given)
        )


async def _open(place: Place, directory: Path) -> None:
    config = config_in(directory)
    database = Database(config.database_url)
    fake = FakeWorld(database)
    api = await open_api(config, database, AgentClient(settings_of(config, CONTROL_TOKEN), fake.transports()))
    await api.parts.operations.start()
    place.world = World(api, fake)
    pair = await api.pair()
    place.pair_id = pair["id"]
    place.group_id = (await api.group([pair]))["id"]
    place.volume_id = (await api.volume("az1"))["id"]
    attachment = {"volume_uuid": (await api.volume("az1"))["id"], "instance_uuid": ID}
    body = {"attachment": attachment}
    made = await api.call("POST", "attachments", body, version="v3", headers=MICROVERSION)
    place.attachment_id = made.json()["attachment"]["id"]


async def _close(place: Place) -> None:
    await place.world.api.parts.operations.stop()
    await place.world.api.close()


@pytest.fixture(scope="module")
def place(first_start: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("bodies")
    shutil.copytree(first_start, directory, dirs_exist_ok=True)
    loop = asyncio.new_event_loop()
    made = Place(loop, world=None)  # type: ignore[arg-type]
    loop.run_until_complete(_open(made, directory))
    yield made
    loop.run_until_complete(_close(made))
    loop.close()


def _assert_well_answered(response: httpx.Response, what: object) -> None:
    assert response.status_code != BROKEN, f"{what}: {response.text}"
    if response.status_code >= 400 and "/identity/" in response.request.url.path:
        assert response.json()["error"]["code"] == response.status_code
    elif "/internal/" in response.request.url.path and response.status_code == 409:
        assert list(response.json()) == ["refusal"]
    elif response.status_code >= 400:
        error_of(response)
    elif response.content:
        response.json()


@property_test(250)
@given(st.data())
def test_a_spoilt_body_is_never_an_internal_error(place: Place, data: st.DataObject) -> None:
    method, version, path, right = data.draw(st.sampled_from(place.calls()))
    content = as_sent(data.draw(spoilt(right, WORDS)))
    full = f"/{version}/{place.world.api.project_id}/{path}"
    _assert_well_answered(place.send(method, full, content), (method, path, content))


@pytest.mark.parametrize("key", [[], {}, None, 7, ["k"]])
def test_a_tags_key_that_is_no_text_is_refused(place: Place, key: Any) -> None:
    path = f"/v2/{place.world.api.project_id}/os-vendor-volumes/{place.volume_id}/tags/k"
    assert place.send("PUT", path, as_sent({"tag": {"key": key, "value": "v"}})).status_code == 400


@property_test(60)
@given(st.data())
def test_a_spoilt_body_without_a_project_is_never_an_internal_error(
    place: Place, data: st.DataObject
) -> None:
    """Identity, and what agents ask."""
    api = place.world.api
    arbiter = {"call": "request_solo", "epoch": 1, "site": "az1", "version": 1}
    user = {"name": "n", "password": "long enough", "domain_id": "default", "default_project_id": ID}
    asked: list[tuple[str, str, Any]] = [
        ("POST", "/identity/v3/auth/tokens", {"auth": api.auth()}),
        (
            "POST",
            "/identity/v3/projects",
            {"project": {"name": "n", "domain_id": "default", "enabled": True}},
        ),
        ("POST", "/identity/v3/users", {"user": user}),
        ("POST", f"/internal/v1/arbiter/{place.group_id}", arbiter),
        ("POST", "/internal/v1/sites/az1/hello", {"instance": "i", "boot_id": "b"}),
    ]
    method, path, right = data.draw(st.sampled_from(asked))
    content = as_sent(data.draw(spoilt(right, WORDS)))
    headers = {"Authorization": f"Bearer {CONTROL_TOKEN}"} if path.startswith("/internal") else {}
    _assert_well_answered(place.send(method, path, content, headers), (method, path, content))


@property_test(60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "limit",
                    "offset",
                    "marker",
                    "sort_key",
                    "sort_dir",
                    "sort",
                    "changes-since",
                    "name",
                    "volume_ids",
                ]
            ),
            st.sampled_from(
                ["0", "-1", "9" * 30, "1e3", "\u0661", "\x00", "name:up", "2026-01-31T12:00:00+99:99", ID]
            )
            | st.text(st.characters(codec="utf-8"), max_size=8),
        ),
        max_size=4,
    ),
    st.sampled_from([PAIRS, GROUPS, "volumes", "volumes/detail"]),
)
def test_any_query_is_never_an_internal_error(place: Place, query: list[tuple[str, str]], path: str) -> None:
    words = "&".join(f"{key}={quote(value)}" for key, value in query)
    response = place.send("GET", f"/v2/{place.world.api.project_id}/{path}?{words}", b"")
    _assert_well_answered(response, (path, query))


@property_test(150)
@given(
    cut_up(
        as_sent({"a": [1, 2.5, {"b": "c\ud800"}], "d": None}), [b"[" * 5000, b"9" * 5000, b'"a": 1,', b"NaN"]
    )
)
def test_any_bytes_are_an_object_or_refused(content: bytes) -> None:
    try:
        assert isinstance(parse_object(content), dict)
    except Problem as problem:
        assert problem.status == 400  # noqa: PT017


@property_test(60)
@given(ANY_JSON)
def test_any_json_is_an_object_or_refused(document: Any) -> None:
    content = as_sent(document)
    if isinstance(document, dict) and b"NaN" not in content and b"1e999" not in content:
        assert list(parse_object(content)) == list(document)
        return
    with pytest.raises(Problem):
        parse_object(content)
