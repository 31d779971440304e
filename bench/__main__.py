"""`python -m bench`: all tables and cases that were asked for, then the report."""

import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from bench import environment
from bench.cases import (
    failover,
    growth_failover,
    growth_ledger,
    growth_load,
    growth_memory,
    growth_outage,
    growth_resync,
    memory,
    resync,
    stall,
)
from bench.cases.figures import CaseResult
from bench.errors import BenchError
from bench.options import Options, parse
from bench.place import Place
from bench.processes import stop_children
from bench.report.results import Results
from bench.report.write import write
from bench.tables import REPLICATED, Table, kind_of, measure_table
from bilocate.domain.errors import BilocateError

QUIET_SHARE_MAX = 0.1
RUNS: dict[str, Callable[[Place, Options], CaseResult]] = {
    "resync": lambda place, options: resync.run(place, options.resync_repetitions),
    "failover": lambda place, options: failover.run(place, options.case_repetitions),
    "stall": lambda place, options: stall.run(place, options.case_repetitions),
    "memory": lambda place, options: memory.run(place),
    "growth-depth": lambda place, options: growth_load.by_depth(place, options.resync_repetitions),
    "growth-connections": lambda place, options: growth_load.by_connections(
        place, options.resync_repetitions
    ),
    "growth-volumes": lambda place, options: growth_load.by_volumes(place, options.resync_repetitions),
    "growth-groups": lambda place, options: growth_load.by_groups(place, options.resync_repetitions),
    "growth-agents": lambda place, options: growth_load.by_agents(place, options.resync_repetitions),
    "growth-memory": lambda place, options: growth_memory.run(place),
    "growth-resync": lambda place, options: growth_resync.run(place, options.resync_repetitions),
    "growth-failover": lambda place, options: growth_failover.run(place, options.resync_repetitions),
    "growth-outage": lambda place, options: growth_outage.run(place, options.resync_repetitions),
    "growth-ledger": lambda place, options: growth_ledger.run(place),
}


def main() -> int:
    """Run; the report is written after every row, so that an aborted run leaves what it has."""
    options = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, _interrupt)
    results = Results(
        environment.record(), options.effort, f"python -m bench {shlex.join(sys.argv[1:])}".rstrip()
    )
    _warn_if_busy(results)
    try:
        _measure(options, results)
    except (BenchError, BilocateError) as error:
        tell(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        tell("interrupted")
        return 130
    finally:
        stop_children()
    return 0


def tell(words: str) -> None:
    """A line for whoever waits."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {words}\n")
    sys.stdout.flush()


def _measure(options: Options, results: Results) -> None:
    for link in options.links:
        for medium in options.media:
            names = options.servers if link == "tcp" else [n for n in options.servers if n in REPLICATED]
            shapes = [s for s in options.shapes if link == "tcp" or s.operation == "write"]
            if not names or not shapes:
                continue
            title = f"{kind_of(medium)}, connections over {link.upper() if link == 'tcp' else 'unix sockets'}"
            tell(title)
            with _place(medium, link, options.volume_gib) as place:
                results.tables.append(table := Table(title, link))
                save = partial(write, results, options.out)
                measure_table(table, place, shapes, names, options.effort, options.tune_seconds, tell, save)
    for case in options.cases:
        tell(case)
        size = options.resync_gib if case == "resync" else options.volume_gib
        with _place(options.media[0], "tcp", size) as place:
            results.cases.append(_run_case(case, place, options))
        write(results, options.out)
    tell(f"the report: {write(results, options.out)}")


def _run_case(name: str, place: Place, options: Options) -> CaseResult:
    found = RUNS[name](place, options)
    found.medium = kind_of(options.media[0])
    for figure in found.figures:
        tell(f"  {figure.name}: {figure.spread.median:.3g} {figure.unit}")
    return found


@contextmanager
def _place(medium: Path, link: str, volume_gib: int) -> Iterator[Place]:
    """Fresh directories, removed with all that was made in them."""
    if not medium.is_dir():
        raise BenchError(f"{medium} is no directory")
    directory = Path(tempfile.mkdtemp(prefix="bilocate-bench-", dir=medium)).resolve()
    sockets = Path(tempfile.mkdtemp(prefix="bilocate-"))
    try:
        yield Place(directory, sockets, link, volume_gib)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(sockets, ignore_errors=True)


def _warn_if_busy(results: Results) -> None:
    share = results.environment["cpu_share_before"]
    if share > QUIET_SHARE_MAX:
        tell(f"warning: {share:.0%} of the CPUs are in use by others: the figures will tell little")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
