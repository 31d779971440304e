"""Which branches of the core and of the verbs the seeds take, and how often: what is rare gets a mix that reaches it.

A branch is a conditional jump between two lines, as the compiler made it; lines are counted by a trace function.
"""

import ast
import dis
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.sim.stories import story_of

import bilocate

ROOT = Path(bilocate.__file__).parent
WATCHED = (
    "replication",
    "domain/arbiter.py",
    "operations/verbs",
    "operations/runner.py",
    "operations/journal.py",
)
RARE = 10
# Verbs that no seed calls: an installation's set-up and its taking apart have tests of their own.
LEFT_OUT = frozenset(
    {
        "create_volume",
        "delete_volume",
        "create_pair",
        "delete_pair",
        "create_group",
        "delete_group",
        "extend_volume",
    }
)

# A healthy end never sends such a frame: tests/replication/test_frames.py and test_rules_bounds.py do.
DEFECTS = ("raise MalformedFrame", "raise MalformedWanted")
Arc = tuple[int, int]


def files() -> list[Path]:
    """Those that are looked at."""
    found = [
        path
        for name in WATCHED
        for path in sorted((ROOT / name).rglob("*.py") if "." not in name else [ROOT / name])
    ]
    return [path for path in found if path.stem not in LEFT_OUT]


def arcs_of(code: CodeType) -> Iterator[Arc]:
    """Both ways of every conditional jump, by line numbers; jumps within a line are none."""
    instructions = list(dis.get_instructions(code))
    lines = {
        offset: line or code.co_firstlineno
        for begin, end, line in code.co_lines()
        for offset in range(begin, end, 2)
    }
    for number, instruction in enumerate(instructions[:-1]):
        name = instruction.opname
        if name.startswith(("POP_JUMP", "FOR_ITER", "JUMP_IF")):
            here = lines[instruction.offset]
            for there in (lines[instructions[number + 1].offset], lines[instruction.argval]):
                if there != here:
                    yield here, there
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from arcs_of(constant)


def heads_of(text: str) -> dict[int, int]:
    """By line of a condition that is written over several: the first."""
    heads: dict[int, int] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            for line in range(node.test.lineno, (node.test.end_lineno or node.test.lineno) + 1):
                heads[line] = node.lineno
    return heads


def branches_of(path: Path) -> set[Arc]:
    """All of a file's, but those that only a defect of the other end could lead to."""
    text = path.read_text()
    heads, lines = heads_of(text), text.splitlines()
    found = {
        (heads.get(here, here), heads.get(there, there))
        for here, there in arcs_of(compile(text, str(path), "exec"))
    }
    return {
        (here, there)
        for here, there in found
        if here != there
        and "TYPE_CHECKING" not in lines[here - 1]
        and not lines[there - 1].strip().startswith(DEFECTS)
    }


class Counting:
    """Counts the steps from line to line while seeds run."""

    def __init__(self) -> None:
        self.taken: dict[str, Counter[Arc]] = {str(path): Counter() for path in files()}

    def _call(self, frame: FrameType, event: str, arg: Any) -> Callable[..., Any] | None:
        taken = self.taken.get(frame.f_code.co_filename)
        if taken is None:
            return None
        last = frame.f_lineno

        def step(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal last
            if event == "line":
                taken[last, frame.f_lineno] += 1
                last = frame.f_lineno
            return step

        return step

    def run(self, seeds: Iterator[int] | range) -> None:
        """Take the seeds' branches in."""
        for seed in seeds:
            story = story_of(seed)
            sys.settrace(self._call)
            try:
                story.run()
            finally:
                sys.settrace(None)

    def rare(self) -> list[tuple[str, int, int, int]]:
        """(file, from line, to line, how often): what was taken less often than it should be."""
        out = []
        for path in files():
            heads, taken = heads_of(path.read_text()), Counter[Arc]()
            for (here, there), times in self.taken[str(path)].items():
                taken[heads.get(here, here), heads.get(there, there)] += times
            for here, there in sorted(branches_of(path)):
                if taken[here, there] < RARE:
                    out.append((str(path.relative_to(ROOT)), here, there, taken[here, there]))
        return out

    def total(self) -> int:
        """How many branches there are."""
        return sum(len(branches_of(path)) for path in files())


def report(seeds: range) -> int:
    """Print the rare ones with their lines."""
    counting = Counting()
    counting.run(seeds)
    rare = counting.rare()
    for file, here, there, times in rare:
        text = (ROOT / file).read_text().splitlines()
        print(
            f"{times:3} {file}:{here} -> {there}  {text[here - 1].strip()[:60]}  ->  {text[there - 1].strip()[:50]}"
        )
    print(
        f"{len(rare)} of {counting.total()} branches were taken less than {RARE} times in {len(seeds)} seeds"
    )
    return 0
