"""Two agents in one event loop: a listener, a dialer, and owners that write down what they are told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from bilocate.replication.frames import Arrival, Kind, header
from bilocate.site.link import Address, Claim, Dialer, Link, LinkEvents, LinkListener, LinkSettings

KEY = bytes(range(32))
CLAIM = Claim("az1", "az2", "ses-1")
WAIT_SECONDS = 10


async def until(condition: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
    """Wait for a condition, however long the machine takes for it."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


def make_frame(number: int, payload: bytes = b"") -> tuple[bytes, bytes]:
    return header(Kind.COPY, length=len(payload), payload=len(payload), seq=number), payload


class Owner:
    """Keeps copies of the frames and of the end of its link."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.frames: list[tuple[int, bytes]] = []
        self.kinds: list[type] = []
        self.batches = 0
        self.lost: list[str] = []
        self.on_frame: Callable[[Arrival], None] | None = None

    def own(self, link: Link) -> LinkEvents:
        self.link = link
        return self

    @property
    def up(self) -> Link:
        assert self.link is not None
        return self.link

    def on_frames(self, link: Link, frames: Sequence[Arrival]) -> None:
        assert link is self.link
        for frame in frames:
            if not link.open:
                break  # as a session does it: it was closed for an earlier one
            payload = frame.payload
            self.frames.append((frame.seq, bytes(payload)))
            self.kinds.append(type(payload))
            if self.on_frame is not None:
                self.on_frame(frame)
        self.batches += 1

    def on_lost(self, link: Link, reason: str) -> None:
        assert link is self.link
        self.lost.append(reason)


class World:
    """Listeners and dialers of one test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.listeners: list[LinkListener] = []
        self.dialers: list[Dialer] = []

    async def listen(
        self,
        accept: Callable[[Link], LinkEvents | str],
        key: bytes = KEY,
        site: str = "az2",
        unix: bool = False,
        settings: LinkSettings | None = None,
    ) -> LinkListener:
        address: Address = str(self.directory / "link.sock") if unix else ("127.0.0.1", 0)
        listener = LinkListener(address, key, site, accept, settings)
        await listener.start()
        self.listeners.append(listener)
        return listener

    def dial(
        self,
        address: Address,
        connected: Callable[[Link], LinkEvents],
        key: bytes = KEY,
        claim: Claim = CLAIM,
        settings: LinkSettings | None = None,
    ) -> Dialer:
        dialer = Dialer(address, key, claim, connected, settings)
        dialer.start()
        self.dialers.append(dialer)
        return dialer

    async def pair(self, unix: bool = False, settings: LinkSettings | None = None) -> tuple[Owner, Owner]:
        """A link that is up: the dialer's owner and the listener's."""
        near, far = Owner(), Owner()
        listener = await self.listen(far.own, unix=unix, settings=settings)
        self.dial(listener.address, near.own, settings=settings)
        await until(lambda: near.link and far.link)
        return near, far


@pytest.fixture
def owner() -> Callable[[], Owner]:
    return Owner


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    for dialer in world.dialers:
        dialer.stop()
    for listener in world.listeners:
        listener.close()
    await asyncio.sleep(0)


@pytest.fixture
def wait() -> Callable[..., object]:
    return until


@pytest.fixture
def frame() -> Callable[..., tuple[bytes, bytes]]:
    """A frame of the core as `send` takes it."""
    return make_frame
