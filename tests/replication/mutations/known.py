"""Reads `known.txt`: every rule, broken on purpose."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).parents[3] / "src"


@dataclass(slots=True)
class Hunk:
    """Lines of one file of the core, and what they are replaced by."""

    file: str  # below src/bilocate
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    def applied(self, text: str) -> str | None:
        """The file's text with it; None unless its lines are there exactly once."""
        old, new = ("".join(f"{line}\n" for line in lines) for lines in (self.old, self.new))
        found = f"\n{text}".count(f"\n{old}")
        return f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:] if found == 1 else None


@dataclass(slots=True)
class Mutation:
    """One breakage; more than one hunk where a rule is kept in two ways."""

    rule: str
    tests: str = ""  # what pytest's -k is given; the rule's name where nothing is said
    where: str = "tests/replication"  # the tests among which those are
    search: str = ""  # the exhaustive searches (tests/search) that are tried on it; all brief ones otherwise
    equivalent: str = ""  # why nothing can notice, if nothing can
    hunks: list[Hunk] = field(default_factory=list)

    @property
    def file(self) -> str:
        """Where it is; for people."""
        return ", ".join(hunk.file for hunk in self.hunks)


def known() -> list[Mutation]:
    """All of them, in the order of the rules."""
    out: list[Mutation] = []
    for line in Path(__file__).with_name("known.txt").read_text().splitlines():
        if line.startswith("# "):
            out.append(Mutation(line[2:]))
        elif line[:1] in ("-", "+", " ") and out:
            hunk = out[-1].hunks[-1]
            if line[0] != "+":
                hunk.old.append(line[2:])
            if line[0] != "-":
                hunk.new.append(line[2:])
        elif line.startswith("file: "):
            out[-1].hunks.append(Hunk(line.removeprefix("file: ")))
        elif ": " in line and out:
            name, value = line.split(": ", 1)
            setattr(out[-1], name, value)
    return out


class NotApplied(Exception):
    """The lines that a breakage replaces are not there, or more than once."""


@contextmanager
def broken_copy(mutation: Mutation) -> Iterator[Path]:
    """A directory, for as long as the block lasts, with a broken `src` in it. NotApplied where that fits no more."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        shutil.copytree(SOURCE, place / "src")
        for hunk in mutation.hunks:
            file = place / "src" / "bilocate" / hunk.file
            broken = hunk.applied(file.read_text())
            if broken is None:
                raise NotApplied(f"the lines of {mutation.rule} are not in {hunk.file}, or more than once")
            file.write_text(broken)
        yield place
