"""A process that commits is killed at any moment: no acknowledged commit is lost, and nothing looks damaged."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KILLS = int(os.environ.get("LEDGER_KILLS", "5"))

CHILD = """
import asyncio, itertools, sys
from pathlib import Path
from bilocate.replication.records import AddIntents, PutVolume
from bilocate.site.ledger import Ledger

async def main():
    ledger, state = Ledger.open(Path(sys.argv[1]), boot_id="boot-1")
    first = max(state.volumes["v"].intents, default=-1) + 1 if "v" in state.volumes else 0
    ledger.commit([PutVolume("v", 1 << 40, 1, "", "", True, False)], lambda: None)
    loop = asyncio.get_running_loop()
    for number in itertools.count(first, 40):
        done = loop.create_future()
        ledger.commit([AddIntents("v", tuple(range(number, number + 40)))], lambda: done.set_result(None))
        await done
        print(number + 39, flush=True)

asyncio.run(main())
"""


def test_killed_again_and_again(tmp_path: Path, reopen: Any) -> None:
    path, rng = tmp_path / "ledger.db", random.Random(7)
    last = -1
    for _ in range(KILLS):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()  # a line of the log or a number: it may be killed while it opens, too
        time.sleep(rng.uniform(0, 0.05))
        child.send_signal(signal.SIGKILL)
        told = [int(line) for line in child.stdout.read().split("\n") if line.isdecimal()]
        child.wait()
        last = max([last, *told])
        if rng.random() < 0.5:
            continue  # killed twice without a look in between
        state = reopen(path)
        if last < 0 and "v" not in state.volumes:
            assert state.fresh in (None, "missing")
            continue
        assert state.fresh is None
        found = state.volumes["v"].intents
        assert found == set(range(len(found))), "a commit is there whole or not at all"
        assert len(found) > last
    assert reopen(path).fresh is None
