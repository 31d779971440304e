"""Calling agents over real sockets: what is no answer, what is none in time, and what is nonsense."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from anyio._backends import _asyncio as anyio_asyncio
from tests.operations.place import QUICK, SETTINGS
from tests.real.harness.odd_agent import Manner, OddAgent

from bilocate.domain.errors_operations import (
    AgentBusy,
    AgentNonsense,
    AgentRefused,
    AgentTimeout,
    AgentUnavailable,
    OperationError,
    UnknownSite,
)
from bilocate.operations.agents import AgentClient
from bilocate.operations.settings import SiteAddress

SESSION = {"epoch": 1, "revision": 1, "role": "primary", "volumes": []}
Work = Callable[[AgentClient, list[bytes]], Awaitable[None]]


def answer(status: int, body: Any) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(content), content)


def with_agent(
    answers: Sequence[bytes | None], work: Work, call_seconds: float = 5.0, hang_up: bool = False
) -> None:
    """An agent that answers with these in turn, whatever it is asked; None hangs up instead, `hang_up` after each."""
    left = list(answers)
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = next(
                (int(w[16:]) for w in head.split(b"\r\n") if w.lower().startswith(b"content-length: ")), 0
            )
            asked.append(head + await reader.readexactly(length))
            given = left.pop(0)
            if given is None:
                break
            writer.write(given)
            if hang_up:
                break
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        site = SiteAddress("az1", f"http://127.0.0.1:{port}", "/l", "127.0.0.1", 1)
        timing = replace(QUICK, agent_call_seconds=call_seconds)
        agents = AgentClient(replace(SETTINGS, sites={"az1": site}, timing=timing))
        await work(agents, asked)
        await agents.close()
        server.close()

    asyncio.run(run())


def test_every_call_carries_the_control_token() -> None:
    async def work(agents: AgentClient, asked: list[bytes]) -> None:
        await agents.put_session("az1", "s", {"epoch": 1})
        head, _, body = asked[0].partition(b"\r\n\r\n")
        assert head.startswith(b"PUT /v1/sessions/s ")
        assert b"authorization: bearer t" in head.lower()
        assert json.loads(body) == {"epoch": 1}

    with_agent([answer(200, SESSION)], work)


def test_a_connection_that_the_agent_had_just_closed_is_opened_anew() -> None:
    """A kept connection of an agent that was started again: the call is repeated, once."""

    async def work(agents: AgentClient, asked: list[bytes]) -> None:
        await agents.health("az1")
        assert await agents.health("az1") == {"site": "az1"}
        assert len(asked) == 3
        with pytest.raises(AgentUnavailable):
            await agents.health("az1")

    with_agent([answer(200, {}), None, answer(200, {"site": "az1"}), None, None], work)


def test_a_connection_that_ended_as_it_began_is_an_agent_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """uvloop has closed it already when the HTTP library asks for its socket, and is told that there is none."""

    async def work(agents: AgentClient, asked: list[bytes]) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(anyio_asyncio.SocketStream, "_raw_socket", None)
            with pytest.raises(AgentUnavailable, match="ended as it began"):
                await agents.health("az1")
        assert await agents.health("az1") == {"site": "az1"}

    with_agent([answer(200, {"site": "az1"})], work)


def test_nobody_there_is_told_at_once_and_silence_in_time() -> None:
    async def work(agents: AgentClient, asked: list[bytes]) -> None:
        began = time.monotonic()
        with pytest.raises(AgentTimeout, match=r"0\.2 s"):
            await agents.health("az1")
        assert 0.1 < time.monotonic() - began < 5
        with pytest.raises(UnknownSite, match="az1"):
            await agents.health("az9")

    with_agent([b"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\n", answer(200, {})], work, call_seconds=0.2)

    async def nobody() -> None:
        site = SiteAddress("az1", "http://127.0.0.1:9", "/l", "127.0.0.1", 1)
        agents = AgentClient(replace(SETTINGS, sites={"az1": site}))
        with pytest.raises(AgentUnavailable, match="is it running"):
            await agents.health("az1")
        await agents.close()

    asyncio.run(nobody())


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (answer(200, b"{"), AgentNonsense),
        (answer(200, []), AgentNonsense),
        (answer(200, {"epoch": 1}), AgentNonsense),
        (answer(200, {**SESSION, "epoch": True}), AgentNonsense),
        (answer(200, {**SESSION, "volumes": None}), AgentNonsense),
        (answer(500, {"error": "x"}), AgentNonsense),
        (answer(404, b"not here"), AgentNonsense),
        (b"nonsense\r\n\r\n", AgentNonsense),
        (b"HTTP/1.1 200 X\r\nContent-Length: many\r\n\r\n", AgentNonsense),
        (b"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nzip?", AgentNonsense),
        (answer(503, {"error": "starting", "message": "reading its ledger"}), AgentUnavailable),
        (answer(409, {"error": "busy", "message": "flushing"}), AgentBusy),
        (answer(409, {"error": "older_epoch", "message": "epoch 4 is known"}), AgentRefused),
    ],
)
def test_what_an_answer_means(given: bytes, error: type[OperationError]) -> None:
    async def work(agents: AgentClient, asked: list[bytes]) -> None:
        with pytest.raises(error, match="az1"):
            await agents.session("az1", "s")

    with_agent([given, given], work)


def test_a_session_that_the_agent_does_not_know_is_none() -> None:
    async def work(agents: AgentClient, asked: list[bytes]) -> None:
        assert await agents.session("az1", "s") is None

    with_agent([answer(404, {"error": "unknown_session", "message": "?"})], work)


@pytest.mark.parametrize("given", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{"])
def test_an_agent_that_ends_in_the_midst_of_its_answer_is_none(given: bytes) -> None:
    """It was killed: that is no nonsense, and the call may be repeated elsewhere or later."""

    async def work(agents: AgentClient, asked: list[bytes]) -> None:
        with pytest.raises(AgentUnavailable):
            await agents.health("az1")
        assert len(asked) == 2

    with_agent([given, given], work, hang_up=True)


def test_an_agent_that_tells_no_end_of_things_is_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bilocate.operations.agents.ANSWER_BYTES_MAX", 1000)

    async def work(agents: AgentClient, asked: list[bytes]) -> None:
        with pytest.raises(AgentNonsense, match="more than 1000 bytes"):
            await agents.health("az1")

    with_agent([b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n" + b" " * 2000], work)


def test_deep_json_of_an_agent_is_nonsense() -> None:
    async def work(agents: AgentClient, asked: list[bytes]) -> None:
        with pytest.raises(AgentNonsense, match="without JSON"):
            await agents.health("az1")

    with_agent([answer(200, b"[" * 100_000)], work)


def test_an_agent_that_answers_a_byte_at_a_time_has_no_more_time_than_others() -> None:
    odd = OddAgent()
    odd.manner = Manner.DRIPS

    async def work() -> None:
        site = SiteAddress("az1", odd.url, "/l", "127.0.0.1", 1)
        timing = replace(QUICK, agent_call_seconds=0.3, agent_connect_seconds=0.3)
        agents = AgentClient(replace(SETTINGS, sites={"az1": site}, timing=timing))
        async with asyncio.timeout(5):
            with pytest.raises(AgentTimeout):
                await agents.health("az1")
        await agents.close()

    try:
        asyncio.run(work())
    finally:
        odd.close()


@pytest.mark.parametrize(
    ("told", "known"), [({}, True), ({"one_moment": True}, True), ({"one_moment": False}, False)]
)
def test_MOMENT_an_agent_of_an_older_version_does_not_tell(told: dict[str, bool], known: bool) -> None:
    found = {"epoch": 7, "consistent": True, "dirty_bytes": 0, "blank": False, **told}

    async def work(agents: AgentClient, asked: list[bytes]) -> None:
        assert (await agents.precheck("az1", "ses", 7, 8)).one_moment is known

    with_agent([answer(200, found)], work)
