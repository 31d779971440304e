"""The longest time that a host's write waits for its answer while something happens to its volume."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from tests.postgres_server import NoServer, started_server

from bench.cases import hosts, stall_scenes
from bench.cases.figures import CaseResult, Figure
from bench.cases.stall_scenes import LedgerScene, PostgresScene, Scene, WiredScene
from bench.place import Place
from bilocate.cli.errors import CliError
from bilocate.demo.nbd_client import NbdClient

AIMS_MS = {"secondary killed": 500.0}
AGAIN_SECONDS = 0.02
CONNECT_SECONDS = 30.0
NOTES = (
    "A host writes 4 KiB blocks one after the other, without a pause. For each event, the longest time between a write "
    "and its answer, from the event's beginning until half a second behind its end. Kills are SIGKILL. A host whose "
    "connection ends asks for one at the site where its volume is to be served, every 20 ms, and writes again: its "
    "time is that from the first attempt to the answer at the other site. Links, PostgreSQL and the ledger have "
    "installations of their own."
)

Event = Callable[[Any], Iterator[str]]  # of the kind of scene that it is for
EVENTS: tuple[Event, ...] = (
    stall_scenes.nothing,
    stall_scenes.stop_and_sync,
    stall_scenes.extend,
    stall_scenes.lose_controller,
    stall_scenes.lose_secondary,
    stall_scenes.fail_over_and_back,
)


def run(place: Place, repetitions: int) -> CaseResult:
    """All events of a scene one after the other, so many times; the group is in step between the times."""
    longest = _measured(lambda: Scene(place, "stall"), EVENTS, repetitions)
    longest |= _measured(lambda: WiredScene(place, "link"), (stall_scenes.cut_link,), repetitions)
    longest |= _measured(lambda: LedgerScene(place, "ledger"), (stall_scenes.fill_ledger,), repetitions)
    notes = NOTES
    with ExitStack() as opened:
        try:
            server = opened.enter_context(started_server())
        except NoServer as reason:
            notes += f" PostgreSQL's restart is left out: {reason}."
        else:
            restart = (stall_scenes.restart_database,)
            longest |= _measured(lambda: PostgresScene(place, "database", server), restart, repetitions)
    figures = [
        Figure(f"longest write: {name}", "ms", tuple(values), AIMS_MS.get(name))
        for name, values in longest.items()
    ]
    return CaseResult("stall", "Stalls that a host sees", str(place.medium), notes, figures)


def _measured(make: Callable[[], Scene], events: Sequence[Event], repetitions: int) -> dict[str, list[float]]:
    """By part of an event: the longest write of each round, in milliseconds."""
    scene = make()
    longest: dict[str, list[float]] = {}
    try:
        for _ in range(repetitions):
            for name, value in asyncio.run(_round(scene, events)).items():
                longest.setdefault(name, []).append(value)
    finally:
        scene.stop()
    return longest


async def _round(scene: Scene, events: Sequence[Event]) -> dict[str, float]:
    writer = hosts.Writer(await _connect(scene), lambda: _connect(scene))
    writing = asyncio.create_task(writer.run())
    longest = {}
    try:
        for event in events:
            parts = event(scene)
            while (name := await asyncio.to_thread(next, parts, None)) is not None:
                longest[name] = writer.take_longest() * 1000
    finally:
        writer.end()
        await writing
        await writer.client.close()
    return longest


async def _connect(scene: Scene) -> NbdClient:
    """To where the host is to be; asked for until it is granted."""
    async with asyncio.timeout(CONNECT_SECONDS):
        while True:
            try:
                (client,) = await hosts.connect(scene.installation, [scene.here])
            except (CliError, OSError):
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return client
