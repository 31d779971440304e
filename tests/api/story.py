"""A conversation with the API, kept byte for byte in a file below golden/.

What differs from run to run is written by a name: ids and secrets that the test has introduced, and times of exactly
the form that clients insist on. Everything else is as it went over the wire.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import httpx
from tests.api.harness import URL, Api, Json

GOLDEN = Path(__file__).parent / "golden"
# A zone behind it, or fewer digits, and it is no time any more, but a difference.
TIME = re.compile(r'(?<=")\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(?=")')
KEYSTONE_TIME = re.compile(r'(?<=")\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z(?=")')
REWRITE = "BILOCATE_REWRITE_GOLDEN"
# Headers that are a part of the contract wherever they are there.
HEADERS = ("allow", "openstack-api-version", "retry-after", "vary", "www-authenticate", "x-subject-token")


class Story:
    """What was asked and what was answered, so far."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._told: list[str] = []
        self._names: dict[str, str] = {}
        self.name(api.project_id, "PROJECT")

    def name(self, value: str, name: str) -> str:
        """From now on this value is written so."""
        self._names[value] = f"<{name}>"
        return value

    async def ask(
        self, method: str, path: str, body: Any = None, *, headers: Json | None = None, keep: bool = True
    ) -> httpx.Response:
        """One request to an address below the server's. With `keep` it is a part of the story."""
        sent = {"X-Auth-Token": self.api.token, **(headers or {})}
        content = None if body is None else body if isinstance(body, str) else json.dumps(body)
        response = await self.api.http.request(method, path, headers=sent, content=content)
        if keep:
            self._tell(method, path, content, headers or {}, response)
        return response

    async def here(
        self, method: str, path: str, body: Any = None, *, version: str = "v2", **more: Any
    ) -> httpx.Response:
        """The same below the project."""
        return await self.ask(method, f"/{version}/{self.api.project_id}/{path}", body, **more)

    def introduce(self, response: httpx.Response, key: str, name: str) -> str:
        """The id of what was made gets a name, also in the answer that told it."""
        return self.name(str(response.json()[key]["id"]), name)

    def ends(self, file: str) -> None:
        """:raises AssertionError: it did not go as it is kept."""
        told = self._written("\n".join(self._told))
        path = GOLDEN / f"{file}.txt"
        if os.environ.get(REWRITE):
            path.write_text(told)
        assert told == path.read_text(), f"the wire format has changed. If it should: {REWRITE}=1 pytest ..."

    def _tell(
        self, method: str, path: str, content: str | None, headers: Json, response: httpx.Response
    ) -> None:
        lines = [
            f"{method} {path}",
            *(f"{name}: {value}" for name, value in headers.items() if name != "X-Auth-Token"),
        ]
        if content is not None:
            lines.append(content)
        kind = response.headers.get("content-type")
        lines.append(f"-> {response.status_code} {kind or 'no content'}")
        lines += [f"{name}: {response.headers[name]}" for name in HEADERS if name in response.headers]
        if response.text:
            lines.append(response.text)
        self._told.append("\n".join(lines) + "\n")

    def _written(self, text: str) -> str:
        for value, name in sorted(self._names.items(), key=lambda item: -len(item[0])):
            text = text.replace(value, name)
        text = KEYSTONE_TIME.sub("<TIME>Z", TIME.sub("<TIME>", text))
        return text.replace(URL, "<URL>")
