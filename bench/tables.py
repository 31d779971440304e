"""One table: all shapes and servers on one medium over one kind of connection, in one run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import fio, tuning
from bench.own.installation import Installation
from bench.own.servers import OwnReplicated, OwnUnreplicated
from bench.place import Place
from bench.rounds import Effort, Rounds, measure_shape
from bench.server import Server
from bench.shapes import Shape
from bench.tuning import Tried

OWN = (OwnReplicated.name, OwnUnreplicated.name)
PEERS = tuple(tuning.MAKERS)
EVERYONE = (*OWN, *PEERS)
REPLICATED = (OwnReplicated.name, "qemu-mirror")
# Of the volumes' size: two for each of the replicated, one for each of the others.
FILES_MAX = 7


@dataclass
class Table:
    """What was measured in one place."""

    title: str
    link: str
    settings: dict[str, str] = field(default_factory=dict)  # server → how it was run
    tried: dict[str, list[Tried]] = field(default_factory=dict)  # peer → its settings, the best first
    rounds: dict[Shape, Rounds] = field(default_factory=dict)
    verified: bool = False  # at the end: the copies of all that is replicated were equal


def measure_table(
    table: Table,
    place: Place,
    shapes: Sequence[Shape],
    names: Sequence[str],
    effort: Effort,
    tune_seconds: float,
    tell: Callable[[str], None],
    save: Callable[[], object],
) -> None:
    """Start everyone, fill their disks alike, measure, and verify the copies. Leaves nothing running.

    `save` is called whenever a shape has been added to the table.
    """
    place.check_room(FILES_MAX)
    makers = {}
    for name in (each for each in names if each in PEERS):
        tell(f"  finding the best settings of {name}")
        makers[name], table.tried[name] = tuning.best(name, place, effort, tune_seconds)
    servers: list[Server] = []
    try:
        _start_own(place, names, servers)
        for name in makers:
            servers.append(makers[name](place))
        for server in servers:
            table.settings[server.name] = server.settings
            fio.fill(server.uri, effort.working_set_bytes, place.medium, effort.fill_block_bytes)
        for shape in shapes:
            able = [each for each in servers if shape.operation == "write" or not each.replicated]
            if able:
                table.rounds[shape] = measure_shape(able, shape, effort, place.medium, tell)
                save()
        for server in servers:
            server.finish()
        table.verified = True
    finally:
        for server in servers:
            server.stop()


def _start_own(place: Place, names: Sequence[str], servers: list[Server]) -> None:
    """One installation serves both own volumes, so that they compare on the same processes."""
    if not set(names).intersection(OWN):
        return
    installation = Installation(place)
    try:
        if OwnReplicated.name in names:
            servers.append(OwnReplicated(installation))
        if OwnUnreplicated.name in names:
            servers.append(OwnUnreplicated(installation))
    except BaseException:
        installation.stop()
        raise


def kind_of(directory: Path) -> str:
    """The file system a directory is on, such as ext4."""
    best_mount, kind = "", "?"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, found, *_ = line.split()
        if directory.resolve().is_relative_to(mount) and len(mount) >= len(best_mount):
            best_mount, kind = mount, found
    return kind
