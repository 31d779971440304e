"""`python -m tests.replication.scenarios [NAME]`: play one with all that happens; or tell which there are.

`--broken`: each with its rule taken out, by every breakage of ../mutations/known.txt of that name. It must notice one.
"""

import argparse
import sys

from tests.replication.scenarios.broken import table
from tests.replication.scenarios.format import NotAScenario, load, scenarios
from tests.replication.scenarios.play import NotSo, play


def main() -> int:
    """0 when all that was played went as its text says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", nargs="?", default="", help="of a scenario, or how it begins")
    parser.add_argument("--broken", action="store_true", help="take each one's rule out: does it notice?")
    args = parser.parse_args()
    found = {name: path for name, path in scenarios().items() if name.startswith(args.name)}
    if not found:
        print(f"no scenario begins with {args.name!r}; there are: {', '.join(scenarios())}", file=sys.stderr)
        return 1
    if args.broken:
        return table(list(found))
    try:
        for name, path in found.items():
            scenario = load(path)
            print(f"{name}: {scenario.title} ({scenario.promise}, rule {scenario.rule})")
            if args.name:
                for row, happened in play(scenario, trace=True):
                    print(f"\n{row}", *(f"    {line}" for line in happened), sep="\n")
    except (NotAScenario, NotSo) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
