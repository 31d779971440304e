"""The installation the demonstration plays in: processes, volumes, hosts' connections."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx

from bilocate.cli import supervise
from bilocate.cli.client import Client, Group, Volume
from bilocate.cli.credentials import find_credentials
from bilocate.cli.errors import CliError
from bilocate.cli.installation import configure, control_of
from bilocate.cli.layout import Layout
from bilocate.cli.waiting import Outcome, group_copied, judge_available, wait_until
from bilocate.demo.compare import Comparison, compare
from bilocate.demo.nbd_client import NbdClient

SIZE_GIB = 1
DEPTH = 16
SITES = ("az1", "az2")
WAIT_SECONDS = 60.0
HOST = "demo-host"

T = TypeVar("T")


@dataclass(frozen=True)
class Twin:
    """Two volumes that become a pair: the same content at two sites."""

    name: str
    at: dict[str, Volume]


class World:
    """Everything the story acts on. Calls that block run in a thread: hosts go on writing meanwhile."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout.of(root)
        self._client: Client | None = None
        self._connections: list[NbdClient] = []

    @property
    def client(self) -> Client:
        """The HTTP API's client; there once `start` is done."""
        if self._client is None:
            raise RuntimeError("the installation was not started")
        return self._client

    async def start(self) -> None:
        """Bring up the controller and both agents, and wait until they are linked."""

        def work() -> None:
            with supervise.locked(self.layout):
                configure(self.layout, None, list(SITES))
                supervise.start_missing(self.layout)
                supervise.await_ready(self.layout)

        await asyncio.to_thread(work)
        self._client = Client(find_credentials(self.layout.root))

    def end(self) -> None:
        """Stop every process that was started. Blocks; safe to call at any point of the story."""
        supervise.stop_all(self.layout, timeout_seconds=3)
        if self._client is not None:
            self._client.close()

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """A blocking call, in a thread."""
        return await asyncio.to_thread(function, *arguments)

    async def kill(self, site: str) -> None:
        """SIGKILL a site's agent."""
        await asyncio.to_thread(self.layout.daemon(site).kill)

    async def start_site(self, site: str) -> None:
        """Start a site's agent again and wait until the controller knows."""

        def work() -> None:
            self.layout.daemon(site).start()
            supervise.await_site(self.layout, site)

        await asyncio.to_thread(work)

    async def make_twin(self, name: str) -> Twin:
        """A volume of the same size at each site."""

        def make(site: str) -> Volume:
            volume = self.client.create_volume(f"{name}-{site}", SIZE_GIB, site)
            return wait_until(
                f"create {volume['name']}",
                lambda: self.client.volume(volume["id"]),
                judge_available,
                WAIT_SECONDS,
            )

        return Twin(name, {site: await asyncio.to_thread(make, site) for site in SITES})

    async def make_group(self, name: str, twins: list[Twin], primary: str) -> Group:
        """Pair the twins and put the pairs into one group."""

        def work() -> Group:
            client = self.client
            pairs = [
                client.create_pair(twin.name, [twin.at[site]["id"] for site in SITES], primary)
                for twin in twins
            ]
            for pair in pairs:
                wait_until(
                    f"pair {pair['name']}",
                    partial(client.pair, pair["id"]),
                    judge_available,
                    WAIT_SECONDS,
                )
            group = client.create_group(name, [pair["id"] for pair in pairs], primary)
            return wait_until(
                f"group {name}", lambda: client.group(group["id"]), judge_available, WAIT_SECONDS
            )

        return await asyncio.to_thread(work)

    async def act(self, group: Group, verb: str, judge: Callable[[Group], Outcome]) -> float:
        """Call a verb and wait for its end; the seconds that took."""

        def work() -> float:
            began = time.monotonic()
            self.client.act(group["id"], verb)
            wait_until(
                f"{verb} {group['name']}",
                lambda: self.client.group(group["id"]),
                judge,
                WAIT_SECONDS,
                lambda _: group_copied(self.client, group["id"]) if verb in ("sync", "reprotect") else None,
            )
            return time.monotonic() - began

        return await asyncio.to_thread(work)

    async def refusal(self, group: Group, verb: str) -> str | None:
        """The message with which a verb is refused, None if it was accepted."""
        try:
            await asyncio.to_thread(self.client.act, group["id"], verb)
        except CliError as error:
            return str(error)
        return None

    async def connect(self, twins: list[Twin], site: str) -> list[NbdClient]:
        """Connect a host to the volumes of one site."""
        opened: list[NbdClient] = []
        for twin in twins:
            info = await asyncio.to_thread(self.client.connect_volume, twin.at[site]["id"], HOST)
            opened.append(await NbdClient.connect(info["data"]["uri"], DEPTH))
        self._connections += opened
        return opened

    async def disconnect(self, twins: list[Twin], site: str) -> None:
        """Hang up, and end the host's attachments at a site."""
        for connection in self._connections:
            await connection.close()
        self._connections.clear()
        for twin in twins:
            await asyncio.to_thread(self.client.disconnect_volume, twin.at[site]["id"], HOST)

    async def resync_of(self, group: Group, site: str) -> dict[str, Any]:
        """What the last resync moved, as the agent of the primary site counted it."""
        control = control_of(self.layout, site)

        def work() -> dict[str, Any]:
            url = f"{control.url}/v1/sessions/{group['id']}"
            answer = (
                httpx.get(url, headers=control.headers, timeout=10, trust_env=False).raise_for_status().json()
            )
            return dict(answer["last_resync"] or {})

        return await asyncio.to_thread(work)

    async def compare(self, twin: Twin) -> Comparison:
        """Compare the two sites' files of a volume, byte by byte."""
        one, two = (self.layout.data(site) / "volumes" / str(twin.at[site]["id"]) for site in SITES)
        return await asyncio.to_thread(compare, one, two)
