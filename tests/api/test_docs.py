"""docs/api.md lists what there is: every code, every verb, and everything that answers 501."""

import re
from pathlib import Path

import pytest

from bilocate.api import codes, wire, wire_volumes
from bilocate.api.codes import EVS_CODES, FAILURE_CODES, NAMES
from bilocate.api.identity.routes import NOT_YET
from bilocate.api.not_yet import NONE_OF, PATHS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "api.md").read_text()

CODES = sorted(
    {*EVS_CODES.values(), *(v for v in vars(codes).values() if re.fullmatch(r"EVS\.\d{4}", str(v)))}
)
WORDS = [
    *NAMES.values(),
    *FAILURE_CODES.values(),
    *wire.GROUP_ACTIONS,
    wire.EXTEND_PAIRS,
    *(word for _, opt_ins in wire.GROUP_ACTIONS.values() for word in opt_ins),
    *wire.GROUP_STATUS.values(),
    *wire.PAIR_STATUS.values(),
    *wire.REPLICATION_STATUS.values(),
    *wire_volumes.VOLUME_ACTIONS_NOT_YET,
    *wire_volumes.VOLUME_SOURCES_NOT_YET,
    *NOT_YET,
    *(path.replace("{rest:path}", "").strip("/") for _, path, _ in PATHS),
    *(path.removesuffix("/detail") for _, path, _, _ in NONE_OF),
]


@pytest.mark.parametrize("word", sorted({*CODES, *WORDS}))
def test_it_is_told(word: str) -> None:
    assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", TEXT), f"docs/api.md does not tell of {word}"


def test_nothing_is_told_that_there_is_not() -> None:
    assert set(re.findall(r"EVS\.\d{4}", TEXT)) == set(CODES)
    assert set(re.findall(r"\b37\d{6}\b", TEXT)) == set(FAILURE_CODES.values())


def test_every_status_is_provoked_by_a_test_that_is_there() -> None:
    """The table of causes names, for each status, tests on real processes."""
    rows = re.findall(
        r"^\| (\d{3}) \| [^|`]*(?:`[^`]*`[^|`]*)*\| (`test_\w+\.py` `test_.*) \|$", TEXT, re.MULTILINE
    )
    assert {int(status) for status, _ in rows} == set(NAMES)
    for _, named in rows:
        source = ""
        for name in re.findall(r"`([\w.]+)`", named):
            if name.endswith(".py"):
                source = (ROOT / "tests" / "real" / name).read_text()
            else:
                assert f"def {name}(" in source, f"docs/api.md names {name}, which is not there"
