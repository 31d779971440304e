"""Everything one run found, and its JSON."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.aims import comparisons
from bench.cases.figures import CaseResult
from bench.rounds import Effort
from bench.statistics import ratio
from bench.tables import Table


@dataclass
class Results:
    """Filled while the run goes on, and written after every row: an aborted run leaves what it has."""

    environment: dict[str, Any]
    effort: Effort
    command: str
    tables: list[Table] = field(default_factory=list)
    cases: list[CaseResult] = field(default_factory=list)

    def write_json(self, path: Path) -> None:
        """All single measurements, with the ratios made of them."""
        told = {
            "environment": self.environment,
            "command": self.command,
            "effort": vars(self.effort),
            "tables": [_table(table) for table in self.tables],
            "cases": [case.as_json() for case in self.cases],
        }
        path.write_text(json.dumps(told, indent=1) + "\n")


def _table(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "link": table.link,
        "verified": table.verified,
        "settings": table.settings,
        "tried": {name: [each.as_json() for each in tried] for name, tried in table.tried.items()},
        "shapes": {
            shape.name: {name: [each.as_json() for each in found] for name, found in rounds.items()}
            for shape, rounds in table.rounds.items()
        },
        "ratios": [
            {
                "shape": shape.name,
                "ours": each.ours,
                "theirs": each.theirs,
                "aim": each.aim,
                **ratio(rounds[each.ours], rounds[each.theirs]).as_json(),
            }
            for shape, rounds in table.rounds.items()
            for each in comparisons(shape)
            if each.ours in rounds and each.theirs in rounds
        ],
    }
