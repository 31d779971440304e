"""Holds answers against the OpenAPI document: is the status told of, and has the body the shape that is told?"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
Json = dict[str, Any]
# What any path may be answered that is not in the document, or not by that method.
OFF_THE_MAP = frozenset({400, 401, 403, 404, 405, 406, 407, 408, 413, 429, 500, 501, 503})


@dataclass(frozen=True, slots=True)
class Path_:
    """One path of the document."""

    pattern: re.Pattern[str]
    methods: Json


@cache
def document() -> Json:
    """As it is kept in docs/, which a test holds equal to what the code gives."""
    found: Json = json.loads(DOCUMENT.read_text())
    return found


@cache
def _paths() -> list[Path_]:
    """The most exact first: `volumes/detail` is no volume of that id."""
    paths = sorted(document()["paths"].items(), key=lambda item: item[0].count("{"))
    return [
        Path_(
            re.compile(re.sub(r"\{\w+\}", "[^/]+", re.escape(path).replace(r"\{", "{").replace(r"\}", "}"))),
            of,
        )
        for path, of in paths
    ]


def _resolved(part: Json) -> Json:
    if "$ref" not in part:
        return part
    kind, name = part["$ref"].split("/")[-2:]
    found: Json = document()["components"][kind][name]
    return found


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    whole = {**json.loads(schema), "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(whole)


def operation_of(method: str, path: str) -> Json | None:
    """What the document says of a call; HEAD is GET without a body unless it says otherwise."""
    for each in _paths():
        if each.pattern.fullmatch(path.rstrip("/") or "/"):
            found: Json | None = each.methods.get(method.lower())
            if found is None and method == "HEAD":
                found = each.methods.get("get")
            return found
    return None


async def hold(response: httpx.Response) -> None:
    """For a client's event hooks: every answer that it gets is held against the document."""
    await response.aread()
    check(response.request.method, response.request.url.path, response)


def check(method: str, path: str, response: httpx.Response) -> None:
    """:raises AssertionError: the document says nothing of it, or something else."""
    operation = operation_of(method, path)
    where = f"{method} {path}: {response.status_code} {response.text[:500]}"
    if operation is None:
        assert response.status_code in OFF_THE_MAP, where
        return
    answers = operation["responses"]
    # 405 is of no operation: a method that is told of is there.
    told = answers.get(str(response.status_code))
    assert told is not None, f"{where}: only {sorted(answers)} are told of"
    told = _resolved(told)
    for name, header in told.get("headers", {}).items():
        assert not _resolved(header).get("required") or name in response.headers, f"{where}: no header {name}"
    sent = operation.get("requestBody")
    if sent is not None and response.is_success and response.request.content:
        # What is taken must be told of as possible; what is refused may be so for more reasons than a schema can say.
        _validator(json.dumps(sent["content"]["application/json"]["schema"])).validate(
            json.loads(response.request.content)
        )
    content = told.get("content", {})
    if method == "HEAD" or not content:
        assert not response.content, f"{where}: told to have no body"
        return
    media = response.headers["content-type"].partition(";")[0]
    assert media in content, f"{where}: {media} is not told of"
    if media == "application/json":
        _validator(json.dumps(content[media]["schema"])).validate(response.json())
