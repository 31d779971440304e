"""What can happen to a volume while a host writes to it.

A scene is an installation with one group in step. An event is a function of a scene that makes something happen,
blocking, and yields the name of each part of it as the part ends.
"""

import re
import time
from collections.abc import Callable, Iterator

from tests.postgres_server import Server
from tests.real.harness.proxy import Proxy, Wire, Wires

from bench import fio
from bench.errors import BenchError
from bench.own.installation import SITES, Installation
from bench.place import Place
from bench.processes import HOST
from bench.shapes import GIB, KIB
from bilocate.cli import supervise
from bilocate.cli.layout import CONTROLLER, Layout
from bilocate.cli.waiting import judge_failed_over, judge_in_step, judge_reversed, judge_stopped

QUIET_SECONDS, AFTER_SECONDS, LOST_SECONDS = 1.0, 0.5, 3.0
LOOK_SECONDS = 0.02
RESYNC_BYTES = GIB
LARGE_GIB = 1024
CHECKPOINTS = 3

LEDGER_WRITES, LEDGER_ROUNDS = 4_000, 25


class Scene:
    """The group has one pair. `here`: the volume that the host writes to, or is to go to."""

    def __init__(
        self, place: Place, name: str, prepare: Callable[[Layout], None] = lambda layout: None
    ) -> None:
        self.installation = Installation(place.below(name), prepare)
        try:
            self.twin = self.installation.twins(name, 1)[0]
            self.group = self.installation.group(name, [self.twin])
        except BaseException:
            self.installation.stop()
            raise
        self.here = self.twin[0]
        self.size_gib = 1

    def stop(self) -> None:
        """End its processes."""
        self.installation.stop()

    def act(self, verb: str) -> None:
        """Call a verb, and do not wait for it."""
        self.installation.client.act(self.group["id"], verb)

    def copied(self) -> int | None:
        """What the resync under way is through with, in bytes; None: there is none."""
        told = self.installation.session(self.group, SITES[0])["resync"]
        return None if told is None else int(told["done_bytes"])

    def in_step(self) -> bool:
        """As the first site's agent says."""
        return bool(self.installation.session(self.group, SITES[0])["in_step"])


def nothing(scene: Scene) -> Iterator[str]:
    """What the machine itself does."""
    time.sleep(QUIET_SECONDS)
    yield "nothing happens"


def stop_and_sync(scene: Scene) -> Iterator[str]:
    """Replication rests, another host writes a whole GiB, and that is taken in."""
    installation = scene.installation
    installation.act(scene.group, "stop", judge_stopped)
    time.sleep(AFTER_SECONDS)
    yield "stopped by an operator"
    fio.fill(installation.connect(scene.twin[0]), RESYNC_BYTES, installation.place.medium)
    yield "another host writes a GiB"
    scene.act("sync")
    while scene.copied() is None and not scene.in_step():
        time.sleep(LOOK_SECONDS)
    yield "resync begins"
    while (scene.copied() or RESYNC_BYTES) < RESYNC_BYTES * 0.9:
        time.sleep(LOOK_SECONDS)
    yield "resync copies a GiB"
    installation.await_group(scene.group, judge_in_step)
    time.sleep(AFTER_SECONDS)
    yield "resync ends"


def extend(scene: Scene) -> Iterator[str]:
    """Both volumes are a GiB larger."""
    scene.size_gib += 1
    scene.installation.extend(scene.group, scene.size_gib)
    time.sleep(AFTER_SECONDS)
    yield "both volumes extended"


def lose_controller(scene: Scene) -> Iterator[str]:
    """Nobody answers the agents for a while."""
    layout = scene.installation.layout
    layout.daemon(CONTROLLER).kill()
    time.sleep(LOST_SECONDS)
    yield "controller killed"
    supervise.start_missing(layout)
    supervise.await_ready(layout)
    time.sleep(AFTER_SECONDS)
    yield "controller started again"


def lose_secondary(scene: Scene) -> Iterator[str]:
    """The primary is alone, until the group gets back into step by itself."""
    scene.installation.kill(SITES[1])
    time.sleep(LOST_SECONDS)
    yield "secondary killed"
    scene.installation.start(SITES[1])
    scene.installation.await_group(scene.group, judge_in_step)
    time.sleep(AFTER_SECONDS)
    yield "secondary started again, resync begins and ends"


def fail_over_and_back(scene: Scene) -> Iterator[str]:
    """The primary dies; an operator calls for a failover at once, and for a reversal when the old site is in step."""
    installation = scene.installation
    installation.kill(SITES[0])
    scene.here = scene.twin[1]
    installation.act(scene.group, "failover", judge_failed_over)
    time.sleep(AFTER_SECONDS)
    yield "primary killed, failover called, host goes over"
    installation.start(SITES[0])
    installation.act(scene.group, "reprotect", judge_in_step)
    time.sleep(AFTER_SECONDS)
    yield "old primary started again, reprotect"
    scene.here = scene.twin[0]
    installation.disconnect(scene.twin[1])
    installation.act(scene.group, "reverse", judge_reversed(SITES[1]))
    time.sleep(AFTER_SECONDS)
    yield "host detached, reverse, host goes over"


class WiredScene(Scene):
    """Its sites reach each other through wires that can be cut."""

    def __init__(self, place: Place, name: str) -> None:
        self._wires = Wires()
        self._proxies: list[Proxy] = []
        super().__init__(place, name, self._put_wires_in)

    def set(self, wire: Wire) -> None:
        """What gets through from now on."""
        self._wires.set(wire, *self._proxies)

    def stop(self) -> None:
        super().stop()
        self._wires.close()

    def _put_wires_in(self, layout: Layout) -> None:
        text = layout.config(CONTROLLER).read_text()

        def wired(found: re.Match[str]) -> str:
            proxy = self._wires.add((HOST, int(found[1])))
            self._proxies.append(proxy)
            return f'link_address = "{HOST}:{proxy.port}"'

        text, count = re.subn(rf'link_address = "{re.escape(HOST)}:(\d+)"', wired, text)
        if count != len(SITES):
            raise BenchError("the controller's configuration does not tell the links' addresses as it did")
        layout.config(CONTROLLER).write_text(text)


def cut_link(scene: WiredScene) -> Iterator[str]:
    """Once with an end of the connection, once with silence, which only a heartbeat notices."""
    for wire, words in ((Wire.CUT, "link cut, connection reset"), (Wire.SILENT, "link silent")):
        scene.set(wire)
        time.sleep(LOST_SECONDS)
        yield words
        scene.set(Wire.WHOLE)
        scene.installation.await_group(scene.group, judge_in_step)
        time.sleep(AFTER_SECONDS)
        yield f"{words}: there again, resync begins and ends"


class PostgresScene(Scene):
    """Its controller keeps its state in a PostgreSQL server of its own."""

    def __init__(self, place: Place, name: str, server: Server) -> None:
        self.server = server
        super().__init__(place, name, self._use_server)

    def _use_server(self, layout: Layout) -> None:
        url = f"postgresql+psycopg://postgres@/postgres?host={self.server.directory}"
        text = layout.config(CONTROLLER).read_text()
        layout.config(CONTROLLER).write_text(re.sub(r'database_url = ".*"', f'database_url = "{url}"', text))


def restart_database(scene: PostgresScene) -> Iterator[str]:
    """Once in order, once by a crash, with the controller running."""
    for mode, words in (
        ("fast", "PostgreSQL restarted"),
        ("immediate", "PostgreSQL crashed and started again"),
    ):
        scene.server.stop(mode)
        scene.server.start()
        supervise.await_ready(scene.installation.layout)
        time.sleep(LOST_SECONDS)
        yield words


class LedgerScene(Scene):
    """Beside the group there is another one of 1 TiB, in step, at the same agents and in the same ledgers."""

    def __init__(self, place: Place, name: str) -> None:
        super().__init__(place, name)
        (twin,) = self.installation.twins("large", 1)
        large = self.installation.group("large", [twin])
        self.installation.extend(large, LARGE_GIB)
        self.writes = 0
        self.large_uri = self.installation.connect(twin[0])


def fill_ledger(scene: LedgerScene) -> Iterator[str]:
    """Another host writes into one new extent after the other, until the ledger's log was emptied some times."""
    installation = scene.installation
    done = installation.ledger_count(SITES[0], "checkpoints") + CHECKPOINTS
    for _ in range(LEDGER_ROUNDS):
        scene.writes += LEDGER_WRITES
        medium = installation.place.medium
        fio.write_random(scene.large_uri, LARGE_GIB * GIB, 4 * KIB, LEDGER_WRITES, medium, seed=scene.writes)
        if installation.ledger_count(SITES[0], "checkpoints") >= done:
            break
    else:
        raise BenchError(f"the ledger's log was not emptied in {LEDGER_ROUNDS * LEDGER_WRITES} writes")
    yield f"another host writes into new extents, {CHECKPOINTS} checkpoints of the ledger"
