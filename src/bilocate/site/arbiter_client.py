"""Asks the controller's arbiter, and tells controllers that this site is there.

An unknown outcome is `None` and is never asked again in here (rules REPLY and FORGET): a call that seems lost
may have been carried out, and only the core knows what that means.
"""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import structlog

from bilocate.domain.arbiter import Call, Refusal, Row, RowState
from bilocate.tls import client_context

log = structlog.get_logger(__name__)

# Sessions beyond that wait here for their turn, and a call's time begins with it: when the other site is lost, all ask
# at once, and a controller that answers one after the other must not have the last of them time out and ask again.
CALLS_AT_ONCE = 8
# An answer is some 200 bytes; whatever is longer is none.
_ANSWER_BYTES_MAX = 64 * 1024
# A call that ended without a whole answer. AttributeError: the HTTP library asks a new connection for its socket, and
# uvloop has none of what has ended meanwhile.
_NO_ANSWER = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
    RuntimeError,
    AttributeError,
)


@dataclass(frozen=True, slots=True)
class ArbiterSettings:
    """The times of calls to controllers."""

    # Hosts wait for a permit as long; a healthy controller needs milliseconds.
    timeout_seconds: float = 2.0
    # First and longest pause between announcements nobody answered.
    retry_seconds_min: float = 0.1
    retry_seconds_max: float = 2.0


class ArbiterClient:
    """The agent's calls to its controllers: one instance per agent. Calls of several sessions may overlap."""

    def __init__(
        self,
        controller_urls: Sequence[str],
        token: str,
        settings: ArbiterSettings | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """`controller_urls`: the next has its turn after an unknown outcome. `token`: `control_token(key)`.
        `ca_file`: whom https controllers are trusted by.

        :raises TlsFileError: there are no certificates in the file.
        """
        if not controller_urls:
            raise ValueError("at least one controller URL is needed")
        self._urls = [url.rstrip("/") for url in controller_urls]
        self._present = 0  # the URL that calls go to now
        self._settings = settings or ArbiterSettings()
        self._turns = asyncio.Semaphore(CALLS_AT_ONCE)
        # A repetition inside the client would be a second call whose first one's outcome is unknown.
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"},
            timeout=self._settings.timeout_seconds,
            transport=httpx.AsyncHTTPTransport(
                verify=client_context(ca_file),
                retries=0,
                limits=httpx.Limits(max_keepalive_connections=CALLS_AT_ONCE, keepalive_expiry=60.0),
            ),
            follow_redirects=False,
            trust_env=False,
        )

    async def ask(
        self, session_id: str, call: Call, epoch: int, site: str, version: int
    ) -> Row | Refusal | None:
        """Ask once. None: the outcome is unknown, the call may or may not have been carried out."""
        body = {"call": call.value, "epoch": epoch, "site": site, "version": version}
        async with self._turns:
            reply = await self._post(f"/internal/v1/arbiter/{quote(session_id, safe='')}", body)
        answer = None if reply is None else _understand(reply, session_id, call, body)
        if answer is None and reply is not None:
            log.warning("arbiter_answer_unusable", session=session_id, call=call.value, status=reply.status)
            self._go_on()
        return answer

    async def announce(self, site: str, instance: str, boot_id: str) -> None:
        """Tell a controller that this site's agent has started; returns when one has answered."""
        pause = self._settings.retry_seconds_min
        while True:
            reply = await self._post(
                f"/internal/v1/sites/{quote(site, safe='')}/hello", {"instance": instance, "boot_id": boot_id}
            )
            if reply is not None and reply.status == httpx.codes.OK:
                log.info("site_announced", site=site, controller=reply.url)
                return
            if reply is not None:
                log.warning("site_announcement_refused", site=site, controller=reply.url, status=reply.status)
                self._go_on()
            await asyncio.sleep(pause * random.uniform(1.0, 1.5))
            pause = min(pause * 2, self._settings.retry_seconds_max)

    async def aclose(self) -> None:
        """Close the kept connections; calls under way end as unknown."""
        await self._client.aclose()

    async def _post(self, path: str, body: Mapping[str, object]) -> "_Reply | None":
        """One request to the present URL. None: no whole answer came in time; the next URL has its turn."""
        url = self._urls[self._present]
        try:
            # httpx bounds each step, this bounds the whole.
            async with (
                asyncio.timeout(self._settings.timeout_seconds),
                self._client.stream("POST", url + path, json=body) as response,
            ):
                content = bytearray()
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) > _ANSWER_BYTES_MAX:
                        raise httpx.DecodingError("the answer is too long")
                return _Reply(url, response.status_code, bytes(content))
        except _NO_ANSWER as error:
            log.warning("controller_unreachable", controller=url, error=repr(error))
            self._go_on(url)
            return None

    def _go_on(self, url: str | None = None) -> None:
        # Another call may have moved on already: two failures at once are one step.
        if url is None or self._urls[self._present] == url:
            self._present = (self._present + 1) % len(self._urls)


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer, whatever it says."""

    url: str
    status: int
    content: bytes


def _understand(reply: _Reply, session_id: str, call: Call, asked: dict[str, Any]) -> Row | Refusal | None:
    """What the answer says, if it is an answer to what was asked."""
    try:
        said = json.loads(reply.content)
        if reply.status == httpx.codes.CONFLICT:
            return Refusal(said["refusal"])
        if reply.status == httpx.codes.OK:
            row = _row(said["row"])
            return row if _fits(row, session_id, call, asked) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def _row(said: dict[str, Any]) -> Row:
    texts = [said[name] for name in ("session_id", "primary", "secondary")]
    numbers = [said[name] for name in ("epoch", "version")]
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        raise TypeError("a value of the row is of another type")
    session_id, primary, secondary = texts
    epoch, version = numbers
    return Row(session_id, epoch, primary, secondary, RowState(said["state"]), version)


_STATES_AFTER = {
    Call.ATTACH: set(RowState),
    Call.REQUEST_SOLO: {RowState.STALE, RowState.SYNCING},
    Call.REQUEST_VOUCHED_SOLO: {RowState.STALE, RowState.SYNCING},
    Call.REQUEST_RESYNC: {RowState.SYNCING},
    Call.REPORT_IN_SYNC: {RowState.IN_SYNC},
}


def _fits(row: Row, session_id: str, call: Call, asked: dict[str, Any]) -> bool:
    """An accepted call leaves the caller's epoch and site, a higher version, and a state that it leads to."""
    return (
        row.session_id == session_id
        and row.epoch == asked["epoch"]
        and row.primary == asked["site"]
        and row.state in _STATES_AFTER[call]
        and (call is Call.ATTACH or row.version > asked["version"])
    )
