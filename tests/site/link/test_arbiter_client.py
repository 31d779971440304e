"""An answer is believed only when it is one; everything else is "unknown", once asked and not again."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from anyio._backends import _asyncio as anyio_asyncio

from bilocate.domain.arbiter import Call, Refusal, Row, RowState
from bilocate.site.arbiter_client import CALLS_AT_ONCE, ArbiterClient, ArbiterSettings

pytestmark = pytest.mark.anyio

FAST = ArbiterSettings(timeout_seconds=0.2, retry_seconds_min=0.005, retry_seconds_max=0.02)
ROW = {
    "session_id": "s/1",
    "epoch": 3,
    "primary": "az1",
    "secondary": "az2",
    "state": "stale",
    "version": 8,
}

Handler = Callable[[str, dict[str, Any]], Awaitable[bytes | None]]


class Controller:
    """A raw HTTP server: a handler gives the whole answer's bytes, or None to close without one."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, Any]]] = []  # path, authorization, body
        self.connections = 0
        self.answer: Handler = self.fine
        self.url = ""

    async def fine(self, path: str, body: dict[str, Any]) -> bytes:
        return reply(200, {"row": ROW})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = head.split("\r\n")
                fields = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])
                }
                body = json.loads(await reader.readexactly(int(fields.get("content-length", "0"))))
                path = lines[0].split(" ")[1]
                self.requests.append((path, fields.get("authorization", ""), body))
                answer = await self.answer(path, body)
                if answer is None:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def reply(status: int, body: object) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(content), content)


@asynccontextmanager
async def controller() -> AsyncIterator[Controller]:
    it = Controller()
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0)
    it.url = "http://{}:{}".format(*server.sockets[0].getsockname())
    yield it
    server.close()


@asynccontextmanager
async def client(*controllers: Controller | str) -> AsyncIterator[ArbiterClient]:
    urls = [one if isinstance(one, str) else one.url for one in controllers]
    it = ArbiterClient(urls, "the-token", FAST)
    yield it
    await it.aclose()


async def ask(it: ArbiterClient, call: Call = Call.REQUEST_SOLO) -> Row | Refusal | None:
    return await it.ask("s/1", call, 3, "az1", 7)


async def test_an_accepted_call_gives_the_row_over_one_kept_connection() -> None:
    async with controller() as it, client(it) as asker:
        for _ in range(3):
            assert await ask(asker) == Row("s/1", 3, "az1", "az2", RowState.STALE, 8)
        assert it.connections == 1
        assert it.requests[0] == (
            "/internal/v1/arbiter/s%2F1",
            "Bearer the-token",
            {"call": "request_solo", "epoch": 3, "site": "az1", "version": 7},
        )


async def test_calls_of_many_sessions_take_turns_and_none_times_out_while_it_waits_for_its_own() -> None:
    async with controller() as it, client(it) as asker:
        one_after_the_other = asyncio.Lock()

        async def slow(path: str, body: dict[str, Any]) -> bytes:
            async with one_after_the_other:
                await asyncio.sleep(0.004)
            return reply(200, {"row": ROW})

        it.answer = slow
        answers = await asyncio.gather(*(ask(asker) for _ in range(100)))  # twice as long as one may take
        assert None not in answers
        assert len(it.requests) == 100
        assert it.connections <= CALLS_AT_ONCE


@pytest.mark.parametrize("refusal", list(Refusal))
async def test_a_refusal_is_a_refusal(refusal: Refusal) -> None:
    async with controller() as it, client(it) as asker:

        async def refuse(path: str, body: dict[str, Any]) -> bytes:
            return reply(409, {"refusal": refusal.value})

        it.answer = refuse
        assert await ask(asker) is refusal


@pytest.mark.parametrize(
    "answer",
    [
        reply(500, {"row": ROW}),
        reply(401, {"error": "unauthorized"}),
        reply(404, {}),
        reply(307, b""),
        reply(200, b"<html>"),
        reply(200, b"\xff\xfe"),
        reply(200, b"[" * 50_000),
        reply(200, [1]),
        reply(200, None),
        reply(200, {"row": None}),
        reply(200, {"row": ROW | {"state": "fine"}}),
        reply(200, {"row": ROW | {"version": "8"}}),
        reply(200, {"row": ROW | {"version": True}}),
        reply(200, {"row": ROW | {"version": 7}}),
        reply(200, {"row": ROW | {"epoch": 4}}),
        reply(200, {"row": ROW | {"primary": "az2"}}),
        reply(200, {"row": ROW | {"session_id": "s/2"}}),
        reply(200, {"row": ROW | {"state": "in_sync"}}),
        reply(200, {"row": {"epoch": 3}}),
        reply(409, {"refusal": "tired"}),
        reply(409, b""),
        reply(200, b" " * 200_000),
        b"SSH-2.0-what\r\n",
        b"HTTP/1.1 200 X\r\ncontent-length: 500\r\n\r\n{",
        None,
    ],
)
async def test_anything_else_is_unknown_and_asked_once(answer: bytes | None) -> None:
    async with controller() as it, client(it) as asker:

        async def odd(path: str, body: dict[str, Any]) -> bytes | None:
            return answer

        it.answer = odd
        assert await ask(asker) is None
        assert len(it.requests) == 1


async def test_the_state_of_an_attach_may_be_any() -> None:
    async with controller() as it, client(it) as asker:
        for state in RowState:

            async def attached(path: str, body: dict[str, Any], state: RowState = state) -> bytes:
                return reply(200, {"row": ROW | {"state": state.value, "version": 2}})

            it.answer = attached
            row = await ask(asker, Call.ATTACH)
            assert isinstance(row, Row)
            assert row.state is state


async def test_a_controller_that_hangs_is_unknown_in_time() -> None:
    async with controller() as it, client(it) as asker:

        async def drip(path: str, body: dict[str, Any]) -> bytes:
            await asyncio.sleep(30)
            return b""

        it.answer = drip
        began = asyncio.get_running_loop().time()
        assert await ask(asker) is None
        assert asyncio.get_running_loop().time() - began < 5
        assert len(it.requests) == 1


async def test_a_kept_connection_that_died_is_unknown_and_the_next_call_works() -> None:
    async with controller() as it, client(it) as asker:
        assert await ask(asker) is not None

        async def die(path: str, body: dict[str, Any]) -> None:
            return None

        it.answer = die  # closes as a killed controller does: after the call may have been carried out
        assert await ask(asker) is None
        assert len(it.requests) == 2
        it.answer = it.fine
        assert isinstance(await ask(asker), Row)
        assert len(it.requests) == 3


async def test_later_calls_go_on_to_the_next_controller_and_stay_there() -> None:
    async with controller() as first, controller() as second, client(first, second) as asker:

        async def broken(path: str, body: dict[str, Any]) -> bytes:
            return reply(503, {})

        first.answer = broken
        assert await ask(asker) is None
        assert (len(first.requests), len(second.requests)) == (1, 0)
        assert isinstance(await ask(asker), Row)
        assert isinstance(await ask(asker), Row)
        assert (len(first.requests), len(second.requests)) == (1, 2)


async def test_nobody_there_is_unknown() -> None:
    async with controller() as it, client("http://127.0.0.1:1", it) as asker:
        assert await ask(asker) is None
        assert isinstance(await ask(asker), Row)


async def test_announce_goes_on_until_it_is_answered() -> None:
    async with controller() as it, client("http://127.0.0.1:1", it) as asker:
        times = 0

        async def late(path: str, body: dict[str, Any]) -> bytes | None:
            nonlocal times
            times += 1
            return [None, reply(503, {}), reply(200, {})][min(times, 3) - 1]

        it.answer = late
        await asyncio.wait_for(asker.announce("az 1", "i-1", "boot-1"), 20)
        assert times == 3
        assert it.requests[-1] == (
            "/internal/v1/sites/az%201/hello",
            "Bearer the-token",
            {"instance": "i-1", "boot_id": "boot-1"},
        )


def test_a_controller_is_needed() -> None:
    with pytest.raises(ValueError, match="controller"):
        ArbiterClient([], "t")


async def test_an_announcement_outlives_a_connection_that_ended_as_it_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """uvloop has closed it already when the HTTP library asks for its socket, and is told that there is none."""
    async with controller() as it, client(it) as asking:
        with monkeypatch.context() as patched:
            patched.setattr(anyio_asyncio.SocketStream, "_raw_socket", None)
            announcing = asyncio.create_task(asking.announce("az1", "i", "b"))
            await asyncio.wait([announcing], timeout=0.1)
            assert not announcing.done()
        await asyncio.wait_for(announcing, 5)
