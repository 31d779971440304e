"""`bilocate bench`: how fast a volume is for a host, measured at its NBD address."""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bilocate.cli import output
from bilocate.cli.errors import UsageProblem
from bilocate.cli.fio import Load, load_of, run_fio

SCHEMES = ("nbd://", "nbds://", "nbd+unix://", "nbds+unix://")
COLUMNS = ("load", "depth", "requests/s", "MB/s", "p50 µs", "p99 µs", "p99.9 µs", "longest µs")
DEPTH_MAX = 1024


def bench(
    uri: Annotated[
        str,
        typer.Option(
            "--uri",
            metavar="NBD-URI",
            help="Of the volume, as `volume connect` prints it: nbd://HOST:PORT/EXPORT.",
        ),
    ],
    overwrite_data: Annotated[
        bool,
        typer.Option(
            "--overwrite-data",
            help="Measure writes too. WHAT THE VOLUME HOLDS IS OVERWRITTEN, at random places.",
        ),
    ] = False,
    blocks: Annotated[
        list[str] | None,
        typer.Option(
            "--block", metavar="SIZE", help="Bytes of a request, such as 4k or 1m. May be given again."
        ),
    ] = None,
    depths: Annotated[
        list[int] | None,
        typer.Option(
            "--depth",
            min=1,
            max=DEPTH_MAX,
            metavar="N",
            help="Requests under way at once. May be given again.",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.2, metavar="S", help="How long each load runs.")
    ] = 5.0,
    mib: Annotated[
        int | None,
        typer.Option(
            "--mib", min=1, metavar="N", help="Only the first N MiB of the volume; all of it if not given."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Measure how fast a volume answers: random reads, and with --overwrite-data random writes.

    It needs fio with its nbd engine, and is a host like any other: hosts at work are slowed down while it runs, and
    slow it down. Without --overwrite-data nothing is written.
    """
    _require_uri(uri)
    loads = list(_loads(blocks or ["4k", "64k"], depths or [1, 16], overwrite_data))
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="bilocate-bench-") as scratch:
        for operation, block, depth in loads:
            output.say(f"{operation} {block}, depth {depth}: {seconds:g} s")
            load = _measure(uri, operation, block, depth, seconds, mib, Path(scratch))
            found.append({"operation": operation, "block": block, "depth": depth, **_figures(load)})
    if as_json:
        output.print_json(found)
    else:
        output.print_rows(map(_row, found), COLUMNS)


def _require_uri(uri: str) -> None:
    if not uri.startswith(SCHEMES):
        raise UsageProblem(f"--uri takes an NBD address such as nbd://127.0.0.1:10809/EXPORT; given: {uri!r}")


def _loads(blocks: list[str], depths: list[int], writes: bool) -> Iterator[tuple[str, str, int]]:
    for block in blocks:
        if not re.fullmatch(r"[1-9]\d{0,3}[kKmM]", block):
            raise UsageProblem(f"--block takes a size such as 4k or 1m; given: {block!r}")
    for operation in ("read", "write") if writes else ("read",):
        for block in blocks:
            for depth in depths:
                yield operation, block.lower(), depth


def _measure(
    uri: str, operation: str, block: str, depth: int, seconds: float, mib: int | None, scratch: Path
) -> Load:
    options = [
        f"--rw=rand{operation}",
        f"--bs={block}",
        f"--iodepth={depth}",
        "--time_based",
        f"--runtime={round(seconds * 1000)}ms",
        "--norandommap",
        *([] if mib is None else [f"--size={mib}m"]),
        *(["--readonly"] if operation == "read" else []),
    ]
    return load_of(run_fio(uri, options, scratch, seconds), operation)


def _figures(load: Load) -> dict[str, float]:
    return {**asdict(load), "requests_per_second": load.iops, "mb_per_second": load.mb_per_second}


def _row(found: dict[str, Any]) -> dict[str, str]:
    values = [found["requests_per_second"], found["mb_per_second"]]
    values += [found[name] for name in ("p50_us", "p99_us", "p999_us", "max_us")]
    cells = [
        f"{found['operation']} {found['block']}",
        str(found["depth"]),
        *(f"{each:,.0f}" for each in values),
    ]
    return dict(zip(COLUMNS, cells, strict=True))
