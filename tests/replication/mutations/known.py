"""Reads `known.txt`: every rule, broken on purpose."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Mutation:
    """Lines of one file of the core, and what they are replaced by."""

    rule: str
    file: str = ""  # below src/bilocate
    tests: str = ""  # what pytest's -k is given; the rule's name where nothing is said
    equivalent: str = ""  # why nothing can notice, if nothing can
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    def applied(self, text: str) -> str | None:
        """The file's text with it; None unless its lines are there exactly once."""
        old, new = ("".join(f"{line}\n" for line in lines) for lines in (self.old, self.new))
        found = f"\n{text}".count(f"\n{old}")
        return f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:] if found == 1 else None


def known() -> list[Mutation]:
    """All of them, in the order of the rules."""
    out: list[Mutation] = []
    for line in Path(__file__).with_name("known.txt").read_text().splitlines():
        if line.startswith("# "):
            out.append(Mutation(line[2:]))
        elif line[:1] in ("-", "+", " ") and out:
            if line[0] != "+":
                out[-1].old.append(line[2:])
            if line[0] != "-":
                out[-1].new.append(line[2:])
        elif ": " in line and out:
            name, value = line.split(": ", 1)
            setattr(out[-1], name, value)
    return out
