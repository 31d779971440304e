"""Reads a scenario: a heading, and a timeline of three columns whose cells are the steps. README.md has the form."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from tests.replication.scenarios.between import BETWEEN
from tests.replication.scenarios.hosts import HOSTS
from tests.replication.scenarios.phrases import Phrase
from tests.replication.scenarios.sites import SITES
from tests.sim.world.world import A, B

PHRASES = (*HOSTS.phrases, *SITES.phrases, *BETWEEN.phrases)
COLUMNS = {"A": A, "between": "", "B": B}
_WORDS = ("promise", "rule", "without")
_SHAPE = {"volumes": 1, "extents": 0, "intents": 4}
PLACE = Path(__file__).parent


class NotAScenario(Exception):
    """A text that can't be read: the file, the line, what was expected."""

    def __init__(self, file: str, line: int, expected: str) -> None:
        super().__init__(f"{file}, line {line}: {expected}")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done or expected. `site` is empty for what is between the sites."""

    line: int
    column: str
    site: str
    text: str
    phrase: Phrase
    given: dict[str, str]


@dataclass(slots=True)
class Scenario:
    """One file: what it tells, and its steps by rows of the timeline."""

    name: str
    title: str
    promise: str = ""
    rule: str = ""
    without: str = ""  # the breakages of ../mutations/known.txt one of which it must notice
    volumes: int = 1
    extents: int = 0  # the size of each volume; 0: a small one
    intents: int = 4  # how many a site keeps
    rows: list[tuple[str, list[Step]]] = field(default_factory=list)


def scenarios() -> dict[str, Path]:
    """All of them, by name; races by their numbers."""
    return {path.stem: path for path in sorted(PLACE.glob("*.txt"), key=lambda path: _order(path.stem))}


def _order(name: str) -> tuple[int, str]:
    number = name.partition("_")[2].partition("_")[0]
    return (int(number) if name.startswith("race_") and number.isdigit() else 1000, name)


def load(path: Path) -> Scenario:
    """Read a file. NotAScenario where it is none."""
    return parse(path.read_text(), path.name)


def parse(text: str, file: str) -> Scenario:
    """Read a text. NotAScenario where it is none."""
    lines = text.splitlines()
    if not lines or not lines[0].strip() or "|" in lines[0]:
        raise NotAScenario(file, 1, "a title is expected")
    out = Scenario(file.removesuffix(".txt"), lines[0].strip())
    table = next((at for at, line in enumerate(lines) if "|" in line), len(lines))
    _heading(out, lines[1:table], file)
    if table == len(lines):
        raise NotAScenario(file, table, "a timeline is expected, which begins with: A | between | B")
    columns = [cell.strip() for cell in lines[table].split("|")]
    if sorted(columns) not in (["A", "B"], ["A", "B", "between"]):
        raise NotAScenario(
            file, table + 1, f"the columns A, B and perhaps between are expected, not {columns}"
        )
    for number, line in enumerate(lines[table + 1 :], table + 2):
        if line.strip(" -|+"):
            out.rows.append((line.rstrip(), list(_row(file, number, line, columns))))
    if not any(steps for _, steps in out.rows):
        raise NotAScenario(file, len(lines), "steps are expected below the columns")
    return out


def _heading(out: Scenario, lines: list[str], file: str) -> None:
    """`word: value` until the first blank line; what follows is prose."""
    for number, line in enumerate(lines, 2):
        if not line.strip():
            break
        word, colon, value = line.partition(":")
        word, value = word.strip(), value.strip()
        if not colon or not value or word not in (*_WORDS, *_SHAPE):
            raise NotAScenario(
                file, number, f"one of {', '.join((*_WORDS, *_SHAPE))}, a colon and a value are expected"
            )
        if word in _SHAPE and not value.isdigit():
            raise NotAScenario(file, number, f"{word} is a number, not {value!r}")
        setattr(out, word, int(value) if word in _SHAPE else value)
    for word in _WORDS:
        if not getattr(out, word):
            raise NotAScenario(file, 1, f"`{word}: ...` is expected below the title")


def _row(file: str, number: int, line: str, columns: list[str]) -> Iterator[Step]:
    cells = line.split("|")
    if len(cells) > len(columns):
        raise NotAScenario(file, number, f"{len(columns)} columns are expected, not {len(cells)}")
    for column, cell in zip(columns, cells, strict=False):
        for text in cell.split(";"):
            if (said := text.strip()) and not (said.startswith("(") and said.endswith(")")):
                yield _step(file, number, column, said)


def _step(file: str, number: int, column: str, said: str) -> Step:
    site = COLUMNS[column]
    known = [phrase for phrase in PHRASES if phrase.fits(site)]
    for phrase in known:
        if (found := phrase.pattern.fullmatch(said)) is not None:
            return Step(number, column, site, said, phrase, found.groupdict())
    if any(phrase.pattern.fullmatch(said) for phrase in PHRASES):
        where = "between the sites" if site else "in a site's column"
        raise NotAScenario(file, number, f"{said!r} stands {where}, not in column {column}")
    templates = [phrase.template for phrase in known]
    close = get_close_matches(said, templates, 3, 0.3) or templates
    raise NotAScenario(
        file, number, f"column {column} has {said!r}; expected is, for example: {' / '.join(close)}"
    )
