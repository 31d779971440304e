"""All tags of a project over HTTP, and the volumes that have certain ones."""

from typing import Any
from urllib.parse import quote

import pytest
from tests.api.conftest import World
from tests.api.harness import Api, Json, error_of
from tests.api.test_identity import add_user

pytestmark = pytest.mark.anyio
SEARCH = "os-vendor-tags/volumes/resource_instances"
TAGS: dict[str, dict[str, str]] = {
    "ab": {"a": "b"},
    "ac-de": {"a": "c", "d": "e"},
    "de": {"d": "e"},
    "none": {},
}


@pytest.fixture
async def tagged(world: World) -> Api:
    """Volumes by those names, with those tags; made in that order."""
    for name, tags in TAGS.items():
        volume = await world.api.volume("az1", name=name)
        if tags:
            body = {"tags": tags}
            answer = await world.api.call("POST", f"os-vendor-tags/volumes/{volume['id']}", body)
            assert answer.status_code == 200
    return world.api


async def found(api: Api, **filters: str) -> Json:
    query = "&".join(f"{name}={quote(value)}" for name, value in filters.items())
    answer = await api.call("GET", f"{SEARCH}?{query}")
    assert answer.status_code == 200, answer.text
    told: Json = answer.json()
    return told


async def names(api: Api, **filters: str) -> set[str]:
    told = await found(api, **filters)
    assert told["total_count"] == len(told["resources"])
    return {row["resource_name"] for row in told["resources"]}


BOTH = "{'a': ['b', 'c'], 'd': ['e']}"


@pytest.mark.parametrize(
    ("filters", "fit"),
    [
        ({}, {"ab", "ac-de", "de", "none"}),
        ({"tags": BOTH}, {"ac-de"}),
        ({"tags_any": BOTH}, {"ab", "ac-de", "de"}),
        ({"not_tags": BOTH}, {"ab", "de", "none"}),
        ({"not_tags_any": BOTH}, {"none"}),
        ({"tags": '{"a": ["b"]}'}, {"ab"}),
        ({"tags": "{'a': 'c'}"}, {"ac-de"}),
        ({"tags": "{'a': []}"}, {"ab", "ac-de"}),
        ({"tags": "{'d': ['e']}", "not_tags": "{'a': ['c']}"}, {"de"}),
        ({"tags": "{'nobody': ['x']}"}, set()),
    ],
)
async def test_volumes_are_found_by_their_tags(tagged: Api, filters: dict[str, str], fit: set[str]) -> None:
    assert await names(tagged, **filters) == fit


async def test_what_is_found_is_told_with_its_tags_a_page_at_a_time(tagged: Api) -> None:
    whole = await found(tagged)
    assert [row["resource_name"] for row in whole["resources"]] == list(reversed(TAGS))
    assert [row["tags"] for row in whole["resources"]] == list(reversed(TAGS.values()))
    page = await found(tagged, limit="2", offset="1")
    assert page == {"total_count": 4, "resources": whole["resources"][1:3]}
    detail = whole["resources"][0]["resource_detail"]
    assert (detail["size"], detail["status"], detail["bootable"]) == (1, "available", "false")


@pytest.mark.parametrize("path", ["os-vendor-tags/volumes", "os-vendor-volumes/tags"])
async def test_all_keys_are_listed_with_all_their_values(tagged: Api, path: str) -> None:
    assert (await tagged.call("GET", path)).json() == {"tags": {"a": ["b", "c"], "d": ["e"]}}


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "a",
        "[]",
        "{'a': 1}",
        "{'a': [1]}",
        "{'a': {'b': 'c'}}",
        "{'a'",
        "[" * 4000,
        "{'a': ['" + "b" * 5000 + "']}",
    ],
)
async def test_what_is_no_filter_is_refused(door: Api, wrong: str) -> None:
    for name in ("tags", "tags_any", "not_tags", "not_tags_any"):
        answer = await door.call("GET", f"{SEARCH}?{name}={quote(wrong)}")
        assert answer.status_code == 400
        assert name in error_of(answer)["message"]


async def test_another_projects_volumes_are_not_found(tagged: Api) -> None:
    other = "f" * 32
    answers: list[Any] = [
        (await tagged.call("GET", path, project=other)).json() for path in (SEARCH, "os-vendor-volumes/tags")
    ]
    assert answers == [{"total_count": 0, "resources": []}, {"tags": {}}]
    reader = await add_user(tagged, "reader", "reader")
    assert (await tagged.call("GET", SEARCH, token=reader)).json()["total_count"] == 4
