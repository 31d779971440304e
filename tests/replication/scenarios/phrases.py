"""What a cell of a timeline may say: phrases, each a template with {words} and what it does."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.replication.scenarios.stage import Stage
from tests.sim.world.scheduler import Kind

# Of a site, the values of the words; raises AssertionError where what is expected is not so.
Run = Callable[[Stage, str, dict[str, str]], None]

# Events that can be held back, as a cell calls them.
EVENTS = {
    "disk": Kind.DISK,
    "flush": Kind.FLUSH,
    "chunks": Kind.CHUNKS,
    "commit": Kind.LEDGER,
    "frame": Kind.FRAME,
    "ask": Kind.ASK,
    "answer": Kind.ANSWER,
    "call": Kind.CALL,
}
_PATTERNS = {
    "name": r"[a-z]\w*",
    "other": r"[a-z]\w*",
    "place": r"(?:extent )?\d+(?: of volume \d+)?",
    "event": rf"(?:{'|'.join(EVENTS)})(?: \w+)?(?: answered)?",
    "state": r"[a-z_]+",
    "errno": r"E[A-Z]+",
    "number": r"\d+",
    "seconds": r"\d+(?:\.\d+)?",
    "role": r"primary|secondary",
    "site": r"[AB]",
    "text": r"\"[^\"]+\"",
}


@dataclass(frozen=True, slots=True)
class Phrase:
    """One of them. `where` it may stand: site, between, or any (column)."""

    template: str
    where: str
    run: Run
    pattern: re.Pattern[str]

    def fits(self, site: str) -> bool:
        """Whether it may stand in a site's column, or between (no site)."""
        return self.where == "any" or (self.where == "site") == bool(site)


class Vocabulary:
    """Phrases on one subject."""

    def __init__(self) -> None:
        self.phrases: list[Phrase] = []

    def says(self, *templates: str, where: str = "site") -> Callable[[Run], Run]:
        """What these templates do."""

        def known(run: Run) -> Run:
            for template in templates:
                self.phrases.append(Phrase(template, where, run, _pattern(template)))
            return run

        return known


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile(
        "".join(
            f"(?P<{part}>{_PATTERNS[part]})" if at % 2 else re.escape(part) for at, part in enumerate(parts)
        )
    )
