"""`python -m tests.replication.mutations [RULE]`: break the rules one by one, and see which named test notices.

`--seeds N`: which of the simulation's checkers does, within so many seeds, as the table of docs/proof.md has it.
Each broken copy of the core is made in a temporary directory; the project's own files are not touched.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.replication.mutations.known import Mutation, NotApplied, broken_copy, known
from tests.replication.mutations.seeds import first_noticed

ROOT = Path(__file__).parents[3]
SECONDS = 120


def main() -> int:
    """0 when every mutation was noticed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rule", nargs="?", default="")
    parser.add_argument(
        "--seeds", type=int, default=0, help="run so many seeds on each, instead of the tests"
    )
    args = parser.parse_args()
    missed = 0
    for mutation in known():
        if args.rule and args.rule != mutation.rule:
            continue
        said = _try(mutation, args.seeds)
        missed += said.startswith("NOT")
        if args.seeds:
            print(f"| {mutation.rule} | `{mutation.file}` | {said} |", flush=True)
        else:
            print(f"{mutation.rule:12} {mutation.file:32} {said}", flush=True)
    print(f"{missed} not noticed")
    return 1 if missed else 0


def _try(mutation: Mutation, seeds: int) -> str:
    try:
        with broken_copy(mutation) as place:
            if not seeds:
                return _noticed_by_tests(mutation, str(place))
            if mutation.equivalent:
                return f"equivalent: {mutation.equivalent}"
            return first_noticed(place, seeds)
    except NotApplied as error:
        return f"NOT APPLIED: {error}"


def _noticed_by_tests(mutation: Mutation, place: str) -> str:
    words = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=20", mutation.where]
    done = _run(place, [*words, "-k", mutation.tests or mutation.rule])
    if done is not None and done.returncode == 0:
        return f"equivalent: {mutation.equivalent}" if mutation.equivalent else "NOT NOTICED"
    if done is not None and done.returncode != 1:
        return f"NOT RUN: {done.stdout[-300:]}"
    failed = [line for line in (done.stdout if done else "").splitlines() if line.startswith("FAILED")]
    return f"noticed by {failed[0].split('::')[1].split(' ')[0]}" if failed else "noticed: it hangs"


def _run(place: str, words: list[str]) -> "subprocess.CompletedProcess[str] | None":
    environment = {**os.environ, "PYTHONPATH": str(Path(place) / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None


if __name__ == "__main__":
    sys.exit(main())
