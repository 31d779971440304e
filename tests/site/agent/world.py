"""Agents in this process on free ports, a controller that is an arbiter and nothing else, and hosts."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import uvloop

from bilocate.config import LinkListener as LinkConfig
from bilocate.config import Listener, NbdListener, SiteConfig, SiteTesting, SiteTimeouts, control_token
from bilocate.demo.nbd_client import NbdClient
from bilocate.domain.arbiter import Ask, Call, Refusal, Row, RowState, decide
from bilocate.site.agent import Agent

Json = dict[str, Any]
KEY = bytes(range(32))
MIB = 1024 * 1024
WAIT_SECONDS = 20.0

FAST = SiteTimeouts(
    heartbeat_seconds=0.05,
    heartbeat_timeout_seconds=1.0,
    resume_wait_seconds=0.05,
    restart_wait_seconds=1.5,  # longer than a busy machine takes to dial: some tests are about not copying
    arbiter_timeout_seconds=1.0,
    arbiter_retry_seconds=0.05,
    resync_retry_seconds=0.05,
)


async def until(condition: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
    """Wait for a condition, however long the machine takes for it."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


class Controller:
    """Answers arbiter calls from rows in memory, and hellos."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.hellos: list[str] = []
        self.calls: list[tuple[str, str]] = []
        self.deaf = False  # takes calls, answers none
        self.url = ""
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = "http://{}:{}".format(*self._server.sockets[0].getsockname())

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._connections:
            writer.close()

    def make_row(self, session_id: str, epoch: int = 1, state: RowState = RowState.STALE) -> None:
        self.rows[session_id] = Row(session_id, epoch, "az1", "az2", state, 1)

    def change(self, session_id: str, call: Call, new_epoch: int) -> None:
        """What a verb does: FAIL_OVER or SWITCH_OVER with the version that is there."""
        row = self.rows[session_id]
        changed = decide(row, Ask(call, version=row.version, new_epoch=new_epoch))
        assert isinstance(changed, Row), changed
        self.rows[session_id] = changed

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                fields = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])
                }
                body = json.loads(await reader.readexactly(int(fields.get("content-length", "0"))))
                if self.deaf:
                    continue
                status, answer = self._answer(lines[0].split(" ")[1], body)
                content = json.dumps(answer).encode()
                head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n\r\n"
                writer.write(head.encode() + content)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    def _answer(self, path: str, body: Json) -> tuple[int, Json]:
        words = path.split("/")
        if words[3] == "sites":
            self.hellos.append(words[4])
            return 200, {}
        row = self.rows.get(words[4])
        if row is None:
            return 404, {"error": "not_found"}
        self.calls.append((body["site"], body["call"]))
        answer = decide(row, Ask(Call(body["call"]), body["epoch"], body["site"], body["version"]))
        if isinstance(answer, Refusal):
            return 409, {"refusal": answer.value}
        self.rows[words[4]] = answer
        return 200, {"row": {**vars_of(answer), "state": answer.state.value}}


def vars_of(row: Row) -> Json:
    names = ("session_id", "epoch", "primary", "secondary", "state", "version")
    return {name: getattr(row, name) for name in names}


class Site:
    """One site: its agent's configuration, the running agent if there is one, and a client of its control."""

    def __init__(self, directory: Path, site: str, controller: Controller) -> None:
        self.state_dir = directory / site
        self.faults = directory / f"{site}-faults.json"
        self.config = SiteConfig(
            site=site,
            state_dir=self.state_dir,
            key_file=directory / "key",
            controller_urls=(controller.url,),
            nbd=NbdListener(),
            # A peer finds it again after a restart; a TCP port would have to be kept free for it.
            link=LinkConfig(unix_socket=str(directory / f"{site}.sock")),
            control=Listener(),
            timeouts=FAST,
            testing=SiteTesting(disk_fault_file=self.faults, boot_id="boot-1"),
        )
        self.agent: Agent | None = None
        self.http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {control_token(KEY)}"}, trust_env=False, timeout=WAIT_SECONDS
        )

    @property
    def up(self) -> Agent:
        assert self.agent is not None
        return self.agent

    async def start(self) -> "Site":
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)  # an agent's own kind
        agent = Agent(self.config, KEY)
        await agent.start()
        self.agent = agent
        return self

    async def stop(self) -> None:
        agent, self.agent = self.agent, None
        if agent is not None:
            await agent.stop()

    async def restart(self, boot_id: str | None = None) -> None:
        await self.stop()
        if boot_id is not None:
            self.config = replace(self.config, testing=replace(self.config.testing, boot_id=boot_id))
        await self.start()

    async def close(self) -> None:
        await self.stop()
        await self.http.aclose()

    def file(self, volume_id: str) -> Path:
        return self.state_dir / "volumes" / volume_id

    def bytes_at(self, volume_id: str, offset: int, length: int) -> bytes:
        with self.file(volume_id).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def fail(self, operation: str, code: str = "EIO") -> None:
        self.faults.write_text(json.dumps({"faults": [{"operation": operation, "errno": code}]}))

    # --- control ---

    async def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        return await self.http.request(method, self.up.control_url + path, json=body)

    async def ask(self, method: str, path: str, body: object = None) -> Json:
        answer = await self.call(method, path, body)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def refused(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        answer = await self.call(method, path, body)
        assert not answer.is_success, answer.text
        assert answer.json()["message"]
        return answer.status_code, answer.json()["error"]

    async def put_volume(
        self,
        volume_id: str,
        exports: tuple[str, ...] = (),
        create: bool = True,
        revision: int = 1,
        session_id: str | None = None,
        size_bytes: int = 8 * MIB,
        **more: object,
    ) -> Json:
        body = {**volume_body(exports, create, revision, session_id, size_bytes), **more}
        return await self.ask("PUT", f"/v1/volumes/{volume_id}", body)

    async def put_session(self, session_id: str, body: Json) -> Json:
        return await self.ask("PUT", f"/v1/sessions/{session_id}", body)

    async def session(self, session_id: str) -> Json:
        return await self.ask("GET", f"/v1/sessions/{session_id}")

    async def volume(self, volume_id: str) -> Json:
        found: Json = (await self.ask("GET", "/v1/status"))["volumes"][volume_id]
        return found

    async def until_session(self, session_id: str, condition: Callable[[Json], object]) -> Json:
        found: Json = {}
        async with asyncio.timeout(WAIT_SECONDS):
            while not (found and condition(found)):
                await asyncio.sleep(0.005)
                found = await self.session(session_id)
        return found

    # --- hosts ---

    async def connect(self, name: str) -> NbdClient:
        host, port = self.up.nbd_address
        return await NbdClient.connect(f"nbd://{host}:{port}/{name}")

    async def connect_soon(self, name: str) -> NbdClient:
        """As soon as it is served."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                try:
                    return await self.connect(name)
                except OSError:
                    await asyncio.sleep(0.005)

    async def findable(self, name: str) -> bool:
        try:
            client = await self.connect(name)
        except OSError:
            return False
        await client.close()
        return True


def volume_body(
    exports: tuple[str, ...] = (),
    create: bool = True,
    revision: int = 1,
    session_id: str | None = None,
    size_bytes: int = 8 * MIB,
) -> Json:
    return {
        "size_bytes": size_bytes,
        "create": create,
        "revision": revision,
        "exports": [{"name": name, "attachment_id": f"att-{name}"} for name in exports],
        "session_id": session_id,
    }


def session_body(peer: Site, role: str, volumes: tuple[str, ...], epoch: int = 1, **more: object) -> Json:
    return {
        "epoch": epoch,
        "revision": 1,
        "role": role,
        "peer": {"site": peer.config.site, "address": peer.config.link.unix_socket},
        "paused": False,
        "members": [
            {"pair_id": f"pair-{number}", "volume_id": volume_id, "size_bytes": 8 * MIB}
            for number, volume_id in enumerate(volumes)
        ],
        **more,
    }
