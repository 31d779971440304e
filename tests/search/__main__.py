"""`python -m tests.search [NAME...]`: search exhaustively; all large searches where none is named.

`--trace`: where a promise is broken, what every event of the way there did. `--mutations [RULE]`: each rule of
tests/replication/mutations broken in a copy: which search notices?
"""

import argparse
import sys

from tests.search.broken import table
from tests.search.explore import Found, Search, told
from tests.search.searches import BRIEF, LARGE, SMALL


def main() -> int:
    """0 when every search was whole and no promise was broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="of searches; all large ones if none")
    parser.add_argument("--stop", action="store_true", help="at the first broken promise")
    parser.add_argument("--small", action="store_true", help="all small ones")
    parser.add_argument(
        "--seconds", type=float, default=1e9, help="end each after so many seconds, whole or not"
    )
    parser.add_argument("--trace", action="store_true", help="tell what each event of a bad way did")
    parser.add_argument("--mutations", nargs="?", const="", metavar="RULE", help="break the rules, or one")
    args = parser.parse_args()
    if args.mutations is not None:
        return table(args.mutations, args.seconds)
    searches = {**SMALL, **LARGE, **BRIEF}
    bad = False
    states = transitions = 0
    for name in args.names or (SMALL if args.small else LARGE):
        found = Search(searches[name], args.seconds).run()
        states, transitions = states + found.states, transitions + found.transitions
        bad = bad or found.violation is not None or not found.whole
        print(line(name, found), flush=True)
        if found.violation is not None:
            print(*told(searches[name], found.trace, args.trace), found.violation, sep="\n", flush=True)
            if args.stop:
                break
    print(f"{states} states, {transitions} transitions")
    return 1 if bad else 0


def line(name: str, found: Found) -> str:
    """A row of the table in docs/proof.md."""
    end = found.violation or ("clean" if found.whole else "NOT WHOLE")
    bounds = {**SMALL, **LARGE, **BRIEF}[name].text()
    counts = f"{found.states} | {found.transitions} | {found.depth} | {found.seconds:.0f} s"
    return f"| {name} | {bounds} | {counts} | {end} |"


if __name__ == "__main__":
    sys.exit(main())
