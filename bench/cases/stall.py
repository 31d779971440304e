"""The longest time that a host's write waits for its answer while something happens to its volume."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.cases import hosts
from bench.cases.figures import CaseResult, Figure
from bench.own.installation import SITES, Installation
from bench.place import Place
from bilocate.cli import supervise
from bilocate.cli.client import Group, Volume
from bilocate.cli.layout import CONTROLLER
from bilocate.cli.waiting import judge_in_step, judge_stopped

AIM_MS = 500.0
QUIET_SECONDS, AFTER_SECONDS, LOST_SECONDS = 1.0, 0.5, 3.0
NOTES = (
    "A host writes 4 KiB blocks one after the other, without a pause. For each event, the longest time between a write "
    "and its answer, from the event's beginning until half a second behind its end. Kills are SIGKILL. A resync copies "
    "what was written since it was stopped, or since the secondary was killed."
)


@dataclass(frozen=True)
class Event:
    """What happens, blocking until it is over; `aim` in milliseconds, where there is one."""

    name: str
    happen: Callable[["Scene"], object]
    aim: float | None = None


class Scene:
    """An installation with one group in step, and what can be done to it."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.twin: tuple[Volume, Volume] = (
            installation.volume("stall-az1", 1, SITES[0]),
            installation.volume("stall-az2", 1, SITES[1]),
        )
        self.group: Group = installation.group("stall", [self.twin])
        self._size_gib = 1

    def stop(self) -> None:
        """Replication rests."""
        self.installation.act(self.group, "stop", judge_stopped)

    def sync(self) -> None:
        """And goes on."""
        self.installation.act(self.group, "sync", judge_in_step)

    def extend(self) -> None:
        """Both volumes are a GiB larger."""
        self._size_gib += 1
        pairs = self.installation.client.group(self.group["id"])["replication_ids"]
        self.installation.client.extend_group(self.group["id"], dict.fromkeys(pairs, self._size_gib))

    def kill_controller(self) -> None:
        """Nobody answers the agents for a while."""
        self.installation.layout.daemon(CONTROLLER).kill()
        time.sleep(LOST_SECONDS)

    def start_controller(self) -> None:
        """It is there again."""
        supervise.start_missing(self.installation.layout)
        supervise.await_ready(self.installation.layout)

    def kill_secondary(self) -> None:
        """The primary is alone."""
        self.installation.kill(SITES[1])
        time.sleep(LOST_SECONDS)

    def start_secondary(self) -> None:
        """The group gets back into step by itself."""
        self.installation.start(SITES[1])
        self.installation.await_group(self.group, judge_in_step)


EVENTS = (
    Event("nothing happens", lambda scene: time.sleep(QUIET_SECONDS)),
    Event("stopped by an operator", Scene.stop),
    Event("resync begins and ends", Scene.sync),
    Event("both volumes extended", Scene.extend),
    Event("controller killed", Scene.kill_controller),
    Event("controller started again", Scene.start_controller),
    Event("secondary killed", Scene.kill_secondary, AIM_MS),
    Event("secondary started again, resync begins and ends", Scene.start_secondary),
)


def run(place: Place, repetitions: int) -> CaseResult:
    """All events one after the other, so many times; the group is in step between the times."""
    installation = Installation(place)
    try:
        scene = Scene(installation)
        rounds = [asyncio.run(_round(scene)) for _ in range(repetitions)]
    finally:
        installation.stop()
    figures = [
        Figure(f"longest write: {event.name}", "ms", tuple(each[number] for each in rounds), event.aim)
        for number, event in enumerate(EVENTS)
    ]
    return CaseResult("stall", "Stalls that a host sees", str(place.medium), NOTES, figures)


async def _round(scene: Scene) -> list[float]:
    (client,) = await hosts.connect(scene.installation, [scene.twin[0]])
    writer = hosts.Writer(client)
    writing = asyncio.create_task(writer.run())
    longest = []
    try:
        for event in EVENTS:
            writer.longest_seconds = 0.0
            await asyncio.to_thread(event.happen, scene)
            await asyncio.sleep(AFTER_SECONDS)
            longest.append(writer.longest_seconds * 1000)
    finally:
        writer.end()
        await writing
        await client.close()
    return longest
