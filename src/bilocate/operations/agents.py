"""The agents' control endpoint, called over HTTP. Every call may be repeated; none is believed unread.

Connections are kept alive: a failover has no time to open them.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from bilocate.domain.errors_operations import (
    AgentBusy,
    AgentNonsense,
    AgentRefused,
    AgentTimeout,
    AgentUnavailable,
    UnknownSite,
)
from bilocate.logs import REQUEST_ID_HEADER, present_request_id
from bilocate.operations.settings import Settings

Json = dict[str, Any]

# More than any site tells: a volume and its share of a session take less than 1 KiB.
ANSWER_BYTES_MAX = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Precheck:
    """A secondary's answer to a failover's check (rule 22)."""

    epoch: int
    consistent: bool
    dirty_bytes: int
    blank: bool
    one_moment: bool
    behind_seconds: float | None


class AgentClient:
    """One HTTP client per site.

    Every call raises `AgentUnavailable` (no connection), `AgentTimeout`, `AgentBusy`, `AgentNonsense` (an
    answer outside the agreement), `AgentRefused` (with the agent's code) or `UnknownSite`. `seconds`: how
    long an answer is waited for, instead of the setting. `attempt`: the number of an attempt to change roles, from
    the sequence of epochs; an agent does nothing for a call of one that is over, or older than the newest (LATE).
    """

    def __init__(
        self, settings: Settings, transports: Mapping[str, httpx.AsyncBaseTransport] | None = None
    ) -> None:
        """`transports`: by site, instead of the network (tests)."""
        timing = settings.timing
        self._seconds = timing.agent_call_seconds
        self._precheck_seconds = timing.precheck_seconds
        self._quiesce_seconds = timing.quiesce_seconds
        self._connect_seconds = timing.agent_connect_seconds
        self._clients = {
            name: httpx.AsyncClient(
                base_url=site.control_url,
                headers={"Authorization": f"Bearer {settings.control_token}"},
                timeout=httpx.Timeout(self._seconds, connect=self._connect_seconds),
                limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=60.0),
                trust_env=False,  # a proxy of this machine's user is not between controller and agents
                transport=(transports or {}).get(name),
            )
            for name, site in settings.sites.items()
        }

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()

    async def health(self, site: str, seconds: float | None = None) -> Json:
        """Which agent it is, and which life of it."""
        return await self._call(site, "GET", "/v1/health", seconds=seconds)

    async def status(self, site: str, seconds: float | None = None) -> Json:
        """All sessions and volumes of the site."""
        found = await self._call(site, "GET", "/v1/status", seconds=seconds)
        for part in ("sessions", "volumes"):
            if not isinstance(found.get(part), dict):
                raise AgentNonsense(site, f"a status without {part}")
        return found

    async def put_volume(self, site: str, volume_id: str, wanted: Json, seconds: float | None = None) -> Json:
        """What the volume should be."""
        return await self._call(site, "PUT", f"/v1/volumes/{volume_id}", wanted, seconds)

    async def copy_volume(self, site: str, volume_id: str, wanted: Json) -> bool:
        """A new volume that begins as a copy of another one there: whether it is made; it goes on while it is not."""
        found = await self._call(site, "PUT", f"/v1/volumes/{volume_id}/copy", wanted)
        return bool(_expect(site, found, "done", bool))

    async def require_copyable(self, site: str, volume_id: str) -> None:
        """Refused, if what the volume holds now is no state that may be copied."""
        await self._call(site, "GET", f"/v1/volumes/{volume_id}/copyable")

    async def inspect(self, site: str, source: str) -> int:
        """How many bytes a device or file has that may be adopted there."""
        found = await self._call(site, "POST", "/v1/inspect", {"source": source})
        return int(_expect(site, found, "size_bytes", int))

    async def delete_volume(self, site: str, volume_id: str) -> None:
        """The volume and its data go; gone already is fine."""
        await self._call(site, "DELETE", f"/v1/volumes/{volume_id}")

    async def put_session(
        self, site: str, session_id: str, wanted: Json, seconds: float | None = None
    ) -> Json:
        """What the session should be; returns what it is, once that is persisted."""
        found = await self._call(site, "PUT", f"/v1/sessions/{session_id}", wanted, seconds)
        return self._actual(site, found)

    async def session(self, site: str, session_id: str) -> Json | None:
        """What the session is there; None when the agent knows no such session."""
        try:
            found = await self._call(site, "GET", f"/v1/sessions/{session_id}")
        except AgentRefused as refused:
            if refused.status == 404:
                return None
            raise
        return self._actual(site, found)

    async def delete_session(self, site: str, session_id: str, epoch: int) -> None:
        """The session ends there; gone already is fine."""
        await self._call(site, "DELETE", f"/v1/sessions/{session_id}?epoch={epoch}")

    async def precheck(self, site: str, session_id: str, epoch: int, attempt: int) -> Precheck:
        """Rule 22's check at the secondary, which takes no hello from then on."""
        found = await self._step(site, session_id, "precheck", epoch, attempt, self._precheck_seconds)
        behind = found.get("behind_seconds")
        return Precheck(
            epoch=_expect(site, found, "epoch", int),
            consistent=_expect(site, found, "consistent", bool),
            dirty_bytes=_expect(site, found, "dirty_bytes", int),
            blank=_expect(site, found, "blank", bool),
            # An agent of before MOMENT does not tell; its session has been looked at before.
            one_moment="one_moment" not in found or _expect(site, found, "one_moment", bool),
            behind_seconds=float(behind) if isinstance(behind, int | float) else None,
        )

    async def release(
        self, site: str, session_id: str, epoch: int, attempt: int, seconds: float | None = None
    ) -> None:
        """The failover was refused: hellos are taken again."""
        await self._step(site, session_id, "release", epoch, attempt, seconds)

    async def quiesce(self, site: str, session_id: str, epoch: int, attempt: int) -> int:
        """Rule 23 at the primary: hosts are held and both sites equal; returns the row's version it knows."""
        found = await self._step(site, session_id, "quiesce", epoch, attempt, self._quiesce_seconds)
        return int(_expect(site, found, "version", int))

    async def resume(
        self, site: str, session_id: str, epoch: int, attempt: int, seconds: float | None = None
    ) -> None:
        """A quiesce is taken back: the row's version is raised, then hosts go on."""
        await self._step(site, session_id, "resume", epoch, attempt, seconds)

    async def _step(
        self, site: str, session_id: str, name: str, epoch: int, attempt: int, seconds: float | None
    ) -> Json:
        body = {"epoch": epoch, "attempt": attempt}
        return await self._call(site, "POST", f"/v1/sessions/{session_id}/{name}", body, seconds)

    def _actual(self, site: str, found: Json) -> Json:
        _expect(site, found, "epoch", int)
        _expect(site, found, "revision", int)
        _expect(site, found, "role", str)
        _expect(site, found, "volumes", list)
        return found

    async def _call(
        self, site: str, method: str, path: str, body: Json | None = None, seconds: float | None = None
    ) -> Json:
        client = self._clients.get(site)
        if client is None:
            raise UnknownSite(site, list(self._clients))
        limit = self._seconds if seconds is None else seconds
        connect = min(limit, self._connect_seconds)
        timeout = httpx.Timeout(limit, connect=connect)
        request_id = present_request_id()
        headers = {REQUEST_ID_HEADER: request_id} if request_id is not None else {}
        for last in (False, True):
            try:
                request = client.build_request(method, path, json=body, headers=headers, timeout=timeout)
                # Beside the client's own times, which begin anew with every byte that comes.
                async with asyncio.timeout(limit + connect):
                    return _read(site, *await _exchange(site, client, request))
            except httpx.ConnectTimeout as error:
                raise AgentUnavailable(site, "no connection in time") from error
            except (httpx.TimeoutException, TimeoutError) as error:
                raise AgentTimeout(site, limit) from error
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                # A kept connection that the agent had just closed: every call may be repeated.
                if last:
                    raise AgentUnavailable(site, type(error).__name__) from error
            except httpx.TransportError as error:
                raise AgentUnavailable(site, str(error) or type(error).__name__) from error
        raise AssertionError("unreachable")


async def _exchange(site: str, client: httpx.AsyncClient, request: httpx.Request) -> tuple[int, bytes]:
    """One answer, whole; what is no HTTP is not taken for a connection that was lost."""
    try:
        answer = await client.send(request, stream=True)
    except httpx.RemoteProtocolError as error:
        # Below it lies the parser's refusal of the bytes; a connection that just ended has nothing below.
        if error.__cause__ is not None and error.__cause__.__context__ is not None:
            raise AgentNonsense(site, f"no HTTP: {error}") from error
        raise
    except AttributeError as error:
        # The HTTP library asks a new connection for its socket, and uvloop has none of what has ended meanwhile.
        raise httpx.ConnectError("the connection ended as it began") from error
    content = bytearray()
    try:
        async for part in answer.aiter_bytes():
            content += part
            if len(content) > ANSWER_BYTES_MAX:
                raise AgentNonsense(site, f"more than {ANSWER_BYTES_MAX} bytes")
    except httpx.DecodingError as error:
        raise AgentNonsense(site, f"HTTP {answer.status_code} that can't be decoded") from error
    finally:
        await answer.aclose()
    return answer.status_code, bytes(content)


def _read(site: str, status: int, content: bytes) -> Json:
    is_success = 200 <= status < 300
    if is_success and not content:
        return {}
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AgentNonsense(site, f"HTTP {status} without JSON") from error
    if not isinstance(found, dict):
        raise AgentNonsense(site, f"HTTP {status} with a {type(found).__name__}")
    if is_success:
        return found
    code, message = found.get("error"), found.get("message", "")
    if status == 503 and isinstance(code, str):
        raise AgentUnavailable(site, f"{message or code}")
    if code == "busy":
        raise AgentBusy(site, str(message or code))
    if isinstance(code, str) and 400 <= status < 500:
        raise AgentRefused(site, code, str(message or code), status)
    raise AgentNonsense(site, f"HTTP {status}: {code!r} {message!r}")


def _expect(site: str, found: Json, name: str, kind: type) -> Any:
    value = found.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise AgentNonsense(site, f"{name} is {value!r}")
    return value
