"""Rules broken on purpose in a copy of the core: which search notices, by which promise?"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.replication.mutations.known import Mutation, broken_copy, known
from tests.search.searches import BRIEF

ROOT = Path(__file__).parents[2]


def noticed(mutation: Mutation, names: Sequence[str] = (), seconds: float = 1e9) -> str | None:
    """The search and what it found, None if none of them noticed. All brief ones, if none is named."""
    with broken_copy(mutation) as place:
        environment = {**os.environ, "PYTHONPATH": f"{place / 'src'}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
        words = [sys.executable, "-m", "tests.search", "--stop", "--seconds", str(seconds), *(names or BRIEF)]
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    rows = [row.split(" | ") for row in done.stdout.splitlines() if row.startswith("| ")]
    if not rows:
        raise AssertionError(done.stderr)
    return next(
        (f"{row[0][2:]}: {row[-1][:-2]}" for row in rows if not row[-1].startswith(("clean", "NOT WHOLE"))),
        None,
    )


def table(rule: str, seconds: float) -> int:
    """Tell for every known mutation, or one rule's; those that nothing can notice are left out."""
    count = missed = 0
    for mutation in known():
        if rule in ("", mutation.rule) and not mutation.equivalent:
            found = noticed(mutation, mutation.search.split(), seconds)
            count, missed = count + 1, missed + (found is None)
            print(f"{mutation.rule:12} {mutation.file:32} {found or 'not noticed'}", flush=True)
    print(f"{count - missed} of {count} noticed by a search")
    return 0
