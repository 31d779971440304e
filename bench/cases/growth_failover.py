"""How the time of a failover grows with the volumes of the group."""

from bench.cases.failover import Times, fail_over
from bench.cases.figures import CaseResult, Plot
from bench.place import Place
from bench.statistics import Spread

VOLUMES = (1, 2, 4, 8, 16, 32, 64)
NOTES = (
    "As in the row failover, each number of volumes with an installation of its own: one group, written to by a host "
    "on each volume until the primary's agent is killed. From the call of failover."
)


def run(place: Place, repetitions: int) -> CaseResult:
    """The fewest first."""
    times = [fail_over(place.below(f"of-{volumes}"), volumes, repetitions) for volumes in VOLUMES]
    lines = {
        "end of the failover": tuple(_of(each, "failed_over") for each in times),
        "first write": tuple(_of(each, "first_write") for each in times),
        "a write on each volume": tuple(_of(each, "all_written") for each in times),
    }
    plot = Plot(
        "growth-failover", "Failover by volumes", "volumes in the group", VOLUMES, "seconds", lines, cost=True
    )
    return CaseResult("growth-failover", "How a failover grows", str(place.medium), NOTES, plots=[plot])


def _of(times: list[Times], name: str) -> Spread:
    return Spread.of([float(getattr(each, name)) for each in times])
