"""The command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.rounds import Effort
from bench.shapes import ALL, MIB, QUICK, Shape
from bench.tables import EVERYONE

GROWTH = "growth"
GROWTHS = tuple(
    f"{GROWTH}-{what}"
    for what in (
        "depth",
        "connections",
        "volumes",
        "groups",
        "agents",
        "memory",
        "resync",
        "failover",
        "outage",
        "ledger",
    )
)
CASES = ("resync", "failover", "stall", "memory", *GROWTHS)
# Medians of fewer are not worth telling; --quick is for trying things out.
REPETITIONS, QUICK_REPETITIONS = 5, 2
SECONDS, QUICK_SECONDS = 3.0, 1.0
WARM_UP_SECONDS, QUICK_WARM_UP_SECONDS = 1.5, 0.7
WORKING_SET_MIB, QUICK_WORKING_SET_MIB = 512, 128
FILL_KIB = 1024
TUNE_SECONDS, QUICK_TUNE_SECONDS = 1.0, 0.4
CASE_REPETITIONS = 5
RESYNC_REPETITIONS = 3
ROOT = Path(__file__).parent.parent
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory is what is wanted


@dataclass(frozen=True)
class Options:
    """What to measure, where and how long."""

    shapes: tuple[Shape, ...]
    cases: tuple[str, ...]
    servers: tuple[str, ...]
    media: tuple[Path, ...]
    links: tuple[str, ...]
    effort: Effort
    tune_seconds: float
    volume_gib: int
    resync_gib: int
    case_repetitions: int
    resync_repetitions: int
    out: Path


def parse(arguments: Sequence[str]) -> Options:
    """Read the arguments; exits with a message when they make no sense."""
    parser = _parser()
    given = parser.parse_args(arguments)
    quick = given.quick
    effort = Effort(
        given.seconds or (QUICK_SECONDS if quick else SECONDS),
        given.repetitions or (QUICK_REPETITIONS if quick else REPETITIONS),
        QUICK_WARM_UP_SECONDS if quick else WARM_UP_SECONDS,
        (given.working_set_mib or (QUICK_WORKING_SET_MIB if quick else WORKING_SET_MIB)) * MIB,
        given.fill_kib * 1024,
    )
    try:
        shapes, cases = _rows(given.rows, quick)
        servers = _among(given.servers, EVERYONE, "server") if given.servers else EVERYONE
        links = _among(given.links or ("tcp" if quick else "tcp,unix"), ("tcp", "unix"), "kind of link")
    except BenchError as error:
        parser.error(str(error))
    return Options(
        shapes,
        cases,
        servers,
        tuple(given.medium) or _default_media(quick),
        links,
        effort,
        QUICK_TUNE_SECONDS if quick else TUNE_SECONDS,
        given.volume_gib,
        given.resync_gib,
        min(CASE_REPETITIONS, effort.repetitions) if quick else max(CASE_REPETITIONS, effort.repetitions),
        min(RESYNC_REPETITIONS, effort.repetitions),
        given.out,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure Bilocate against QEMU's synchronous mirror, nbdkit, qemu-nbd and itself.",
        epilog="A shape of load has a name such as write-4k-16: operation, block size, depth.",
    )
    names = ", ".join(("write", "read", *CASES, f"{GROWTH} (all of that)"))
    parser.add_argument("--quick", action="store_true", help="a few rows, short, in memory: to try it out")
    parser.add_argument("--rows", metavar="A,B", help=f"only these: {names}, or names of shapes")
    parser.add_argument("--servers", metavar="A,B", help=f"only these: {', '.join(EVERYONE)}")
    parser.add_argument(
        "--links", metavar="A,B", help="tcp, unix (default: both; unix for replicated writes)"
    )
    parser.add_argument(
        "--medium",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help=f"where disks are made; may be given again (default: build/ here, and {SHARED_MEMORY})",
    )
    parser.add_argument("--repetitions", type=int, metavar="N", help=f"default {REPETITIONS}")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help=f"of each measurement, default {SECONDS:g}"
    )
    parser.add_argument("--volume-gib", type=int, default=1, metavar="N", help="size of the disks, default 1")
    parser.add_argument("--working-set-mib", type=int, metavar="N", help=f"default {WORKING_SET_MIB}")
    parser.add_argument(
        "--fill-kib",
        type=int,
        default=FILL_KIB,
        metavar="N",
        help=f"the disks are filled in requests of so much, default {FILL_KIB}",
    )
    parser.add_argument(
        "--resync-gib", type=int, default=8, metavar="N", help="volume of row resync, default 8"
    )
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build" / "bench", metavar="DIR", help="for the report"
    )
    return parser


def _default_media(quick: bool) -> tuple[Path, ...]:
    beside = ROOT / "build"
    beside.mkdir(exist_ok=True)
    return (SHARED_MEMORY,) if quick else (beside, SHARED_MEMORY)


def _rows(given: str | None, quick: bool) -> tuple[tuple[Shape, ...], tuple[str, ...]]:
    if not given:
        return (QUICK, ()) if quick else (ALL, CASES)
    named: dict[str, tuple[Shape, ...]] = {shape.name: (shape,) for shape in ALL}
    for operation in ("write", "read"):
        named[operation] = tuple(shape for shape in (QUICK if quick else ALL) if shape.operation == operation)
    words = _among(given, (*named, *CASES, GROWTH), "row")
    chosen = {shape for word in words if word in named for shape in named[word]}
    cases = tuple(case for case in CASES if case in words or (GROWTH in words and case in GROWTHS))
    return tuple(s for s in ALL if s in chosen), cases


def _among(given: str, known: Sequence[str], what: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in given.split(","))
    for word in words:
        if word not in known:
            raise BenchError(f"{word!r} is no {what}; there is {', '.join(known)}")
    return words
