"""Takes a scenario's rule out, in a copy of the core: does the scenario notice?"""

import os
import subprocess
import sys
from pathlib import Path

from tests.replication.mutations.known import Mutation, broken_copy, known
from tests.replication.scenarios.format import load, scenarios

ROOT = Path(__file__).parents[3]
SECONDS = 60


def noticed(name: str, mutation: Mutation) -> str | None:
    """What the scenario says about a core that is broken so; None if it goes on as if nothing were."""
    with broken_copy(mutation) as place:
        environment = {
            **os.environ,
            "PYTHONPATH": f"{place / 'src'}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        words = [sys.executable, "-m", "tests.replication.scenarios", name]
        try:
            done = subprocess.run(
                words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return "it hangs"
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


def breakages(name: str) -> list[Mutation]:
    """All of the rule that the scenario is about."""
    rule = load(scenarios()[name]).without
    return [mutation for mutation in known() if mutation.rule == rule and not mutation.equivalent]


def table(names: list[str]) -> int:
    """Tell of each; 0 when each notices one breakage at least."""
    deaf = 0
    for name in names:
        found = [(each, noticed(name, each)) for each in breakages(name)]
        deaf += not any(said for _, said in found)
        for each, said in found:
            print(f"{name:20} {each.rule} in {each.file:44} {said or 'not noticed'}"[:180], flush=True)
    print(f"{len(names) - deaf} of {len(names)} notice that their rule is taken out")
    return 1 if deaf else 0
