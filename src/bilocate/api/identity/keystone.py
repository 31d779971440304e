"""Callers as a Keystone knows them: each token is shown to it, and its answer holds for a few seconds.

Source: Keystone's API reference, version 3, "Validate and show information for token".
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import structlog

from bilocate.api.codes import Problem
from bilocate.api.context import Caller
from bilocate.api.identity.tokens import hash_of
from bilocate.config import KeystoneSettings, read_secret
from bilocate.tls import client_context

log = structlog.get_logger("bilocate.identity")

KNOWN_MAX = 10_000  # tokens that are remembered; some 400 bytes each
SECRET_CHARACTERS_MAX = 8192  # what a header holds at most; Keystone's own have some 200
CONNECTIONS_MAX = 20
ANSWER_BYTES_MAX = 1024**2  # one about a token has some thousand


class KeystoneUnavailable(Problem):
    """Keystone gave no answer that could be used. Nobody is let in by what is not known."""

    def __init__(self, url: str) -> None:
        super().__init__(503, f"the identity service at {url} can't be asked who you are: try again shortly")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    token: str  # the one that was made, or empty
    content: bytes


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    until: float  # by the monotonic clock


class Keystone:
    """Asks one Keystone, as a service user whose token is taken anew when it has run out."""

    def __init__(self, settings: KeystoneSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """:raises KeyFileError: the service user's password can't be read."""
        self.url = settings.auth_url.rstrip("/")
        self._settings = settings
        self._password = read_secret(settings.password_file)
        self._token = ""
        self._logging_in = asyncio.Lock()
        self._known: dict[str, _Known] = {}  # by the token's hash: the token itself is not kept
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
        self._http = httpx.AsyncClient(
            timeout=settings.timeout_seconds,
            limits=limits,
            trust_env=False,
            verify=client_context(settings.ca_file),
            transport=transport,
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def caller(self, secret: str) -> Caller | None:
        """Who a token is of; None for one that Keystone does not know, or no more.

        :raises KeystoneUnavailable: it can't be asked.
        """
        if len(secret) > SECRET_CHARACTERS_MAX or not secret.isascii() or not secret.isprintable():
            return None
        key, now = hash_of(secret), time.monotonic()
        known = self._known.get(key)
        if known is not None and now < known.until:
            return known.caller
        self._known.pop(key, None)
        told = await self._in_time(secret)
        if told is None:
            return None
        try:
            caller, seconds = _caller_of(told), _seconds_left(told)
        except (KeyError, TypeError, ValueError) as error:
            raise self._unavailable(f"what it tells of a token is not understood: {error!r}") from error
        if seconds <= 0:
            return None
        self._remember(key, _Known(caller, now + min(seconds, self._settings.cache_seconds)))
        return caller

    def _remember(self, key: str, known: _Known) -> None:
        while len(self._known) >= KNOWN_MAX:
            self._known.pop(next(iter(self._known)))  # the oldest
        self._known[key] = known

    async def _in_time(self, secret: str) -> Mapping[str, Any] | None:
        """The HTTP client bounds each step alone: what trickles, or waits for others' logins, would never end."""
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                return await self._validated(secret)
        except TimeoutError as error:
            raise self._unavailable("it takes too long") from error

    async def _validated(self, secret: str) -> Mapping[str, Any] | None:
        own = self._token or await self._logged_in("")
        answer = await self._show(secret, own)
        if answer.status == 401:  # ours has run out, or was revoked
            answer = await self._show(secret, await self._logged_in(own))
        if answer.status == 404:
            return None
        if answer.status != 200:
            # 403: the service user has no role that lets it look at others' tokens.
            raise self._unavailable(f"{answer.status} to a look at a token")
        try:
            told = json.loads(answer.content)["token"]
        except (ValueError, KeyError, TypeError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise self._unavailable("its answer describes no token")
        return told

    async def _show(self, secret: str, own: str) -> _Answer:
        return await self._ask("GET", "?nocatalog", {"X-Auth-Token": own, "X-Subject-Token": secret})

    async def _logged_in(self, old: str) -> str:
        """A token of the service user that is not `old`."""
        async with self._logging_in:
            if self._token == old:
                answer = await self._ask("POST", "?nocatalog", {}, self._login())
                if answer.status != 201 or not answer.token:
                    self._token = ""
                    raise self._unavailable(f"{answer.status} to the login of {self._settings.username}")
                self._token = answer.token
            return self._token

    async def _ask(self, method: str, query: str, headers: Mapping[str, str], body: object = None) -> _Answer:
        url, content = f"{self.url}/auth/tokens{query}", bytearray()
        try:
            async with self._http.stream(method, url, headers=headers, json=body) as answer:
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > ANSWER_BYTES_MAX:
                        raise self._unavailable(f"more than {ANSWER_BYTES_MAX} bytes")
                token = answer.headers.get("x-subject-token", "")
                return _Answer(answer.status_code, token, bytes(content))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unavailable(repr(error)) from error

    def _unavailable(self, reason: str) -> KeystoneUnavailable:
        log.error("keystone_unavailable", url=self.url, reason=reason)
        return KeystoneUnavailable(self.url)

    def _login(self) -> dict[str, Any]:
        of = self._settings
        user = {"name": of.username, "password": self._password, "domain": {"name": of.user_domain}}
        project = {"name": of.project, "domain": {"name": of.project_domain}}
        identity = {"methods": ["password"], "password": {"user": user}}
        return {"auth": {"identity": identity, "scope": {"project": project}}}


def _caller_of(told: Mapping[str, Any]) -> Caller:
    """Only a project gives roles here: those for a domain or the whole system are for Keystone's own calls."""
    user, project = told["user"], told.get("project")
    names = frozenset(str(role["name"]) for role in told.get("roles", ())) if project else frozenset()
    return Caller(str(user["id"]), str(user["name"]), str(project["id"]) if project else None, names)


def _seconds_left(told: Mapping[str, Any]) -> float:
    ends = datetime.fromisoformat(str(told["expires_at"]))
    return ends.timestamp() - time.time()
