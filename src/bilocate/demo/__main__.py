"""Run the demonstration: in a directory of its own, ended and cleaned up whatever happens."""

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from bilocate.cli.errors import CliError
from bilocate.demo.report import CheckFailed, Report
from bilocate.demo.story import Story
from bilocate.demo.world import World

KEPT_LOG_LINES = 15


async def _tell(report: Report, world: World, scratch: Path) -> None:
    task = asyncio.current_task()
    if task is not None:
        # Like Ctrl-C: the story is cancelled, and the way out cleans up.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await Story(report, world, scratch).tell()


def main() -> int:
    """Play the demonstration; 0 when every check held, 1 when one did not, 130 when it was interrupted."""
    report = Report()
    report.console.print(
        "[bold]Bilocate[/]: volumes in two sites at once. Everything here is real and local."
    )
    scratch = Path(tempfile.mkdtemp(prefix="bilocate-demo-"))
    world = World(scratch / "installation")
    began = time.monotonic()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_tell(report, world, scratch))
    except CheckFailed as error:
        _show_logs(report, world)
        report.console.print(f"\n[bold red]A check failed:[/] {error}")
        return 1
    except (CliError, OSError, TimeoutError) as error:
        _show_logs(report, world)
        report.console.print(f"\n[bold red]The demonstration could not go on:[/] {error}")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        report.console.print("\nInterrupted; cleaning up.")
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
        world.end()
        shutil.rmtree(scratch, ignore_errors=True)
    report.console.print(
        f"\n[bold green]All {report.checks} checks held[/] in {time.monotonic() - began:.0f} s. "
        "Everything was stopped and removed."
    )
    return 0


def _show_logs(report: Report, world: World) -> None:
    """The ends of the logs, since they are about to be removed."""
    for name in ("controller", "az1", "az2"):
        words = world.layout.daemon(name).last_words(KEPT_LOG_LINES)
        report.console.print(f"\n{name}.log ends with:\n{words}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
