"""The OpenAPI document: it is what the code gives, it is valid, it is served, and nothing is missing in it."""

import subprocess
import sys
from typing import Any

import pytest
from openapi_spec_validator import validate
from starlette.routing import BaseRoute, Route
from tests.api.contract import DOCUMENT, document
from tests.api.harness import Api

from bilocate.api.app import build_routes
from bilocate.api.metrics import Metrics
from bilocate.api.open_path import OpenPath
from bilocate.api.openapi import document as made_of

pytestmark = pytest.mark.anyio
COMMAND = [sys.executable, "-m", "bilocate.api.openapi"]


def routes_of(api: Api) -> list[Any]:
    return build_routes(api.parts, api.passwords, Metrics("test"))


def test_it_is_kept_as_the_code_gives_it() -> None:
    made = subprocess.run(COMMAND, capture_output=True, text=True, check=True).stdout
    assert made == DOCUMENT.read_text(), "make it anew: python -m bilocate.api.openapi > docs/openapi.json"


def test_it_is_valid() -> None:
    validate(document())


async def test_it_is_served_without_a_token(door: Api) -> None:
    response = await door.http.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.text == DOCUMENT.read_text()


async def test_what_is_not_in_it_answers_that_it_is_not_there(door: Api) -> None:
    """Every path and method that is routed is in the document, or answers 404 or 501 to an administrator."""
    paths = {each.path for each in routes_of(door)}
    told = {(path, method.upper()) for path, of in document()["paths"].items() for method in of}
    left_out = 0
    for route in routes_of(door):
        for method in route.app.methods:
            if (route.path, method) in told or (method == "HEAD" and (route.path, "GET") in told):
                continue
            if route.path.endswith("/") and route.path[:-1] in paths:
                continue  # the same as without the slash
            path = route.path.replace("{project_id}", door.project_id).replace("{rest:path}", "x")
            response = await door.http.request(method, path, headers={"X-Auth-Token": door.token}, json={})
            assert response.status_code in (404, 501), (method, path)
            left_out += 1
    assert left_out


async def test_a_call_without_a_description_is_refused(door: Api) -> None:
    async def nobody(request: Any) -> Any:
        raise AssertionError("it is never called")

    extra: BaseRoute = Route("/undescribed", OpenPath("/undescribed", {"GET": nobody}))
    with pytest.raises(made_of.Undescribed, match="GET /undescribed"):
        made_of.document([*routes_of(door), extra])


async def test_a_description_without_a_call_is_refused(door: Api) -> None:
    fewer = [each for each in routes_of(door) if each.path != "/healthz"]
    with pytest.raises(made_of.Undescribed, match="/healthz"):
        made_of.document(fewer)


async def test_every_link_leads_to_a_call_that_takes_it() -> None:
    calls = {call["operationId"]: call for of in document()["paths"].values() for call in of.values()}
    links = [
        link
        for call in calls.values()
        for answer in call["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert links
    for link in links:
        taken = {each["name"] for each in calls[link["operationId"]]["parameters"] if each["in"] == "path"}
        assert set(link["parameters"]) == taken


async def test_an_answer_that_is_told_wrongly_is_noticed(door: Api) -> None:
    """The hook by which every answer of these tests is held against the document does its work."""
    told = document()["paths"]["/healthz"]["get"]["responses"]
    kept = told.pop("200")
    try:
        with pytest.raises(AssertionError, match="only"):
            await door.http.get("/healthz")
        told["200"] = {"content": {"application/json": {"schema": {"type": "array"}}}}
        with pytest.raises(ValueError, match="array"):
            await door.http.get("/healthz")
    finally:
        told["200"] = kept
