"""What a fake agent keeps: volumes and halves of sessions."""

from dataclasses import dataclass, field
from typing import Any

from bilocate.domain.arbiter import Row

Json = dict[str, Any]


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclass
class FakeVolume:
    """A volume at a site, and its ledger's row."""

    size_bytes: int
    room_bytes: int = 0  # how long its disk is, where that is longer
    source: str | None = None  # what it was adopted from
    revision: int = 0
    exports: list[Json] = field(default_factory=list)
    read_only_exports: list[Json] = field(default_factory=list)
    told_session: str | None = None  # what the controller says carries it
    session_id: str | None = None  # what carries it here
    max_epoch: int = 0
    content: int = 0
    generation: str = ""
    consistent: bool = True
    blank: bool = False
    dirty: int = 0
    failed: int = 0


@dataclass
class FakeHalf:
    """One half of a session."""

    session_id: str
    wanted: Json
    row: Row | None = None
    permit: bool = False
    in_step: bool = False
    serving: bool = False
    holds_hello: bool = False
    quiesced: bool = False
    attempt: int = 0  # the newest to change roles that it has heard of
    attempt_over: bool = True
    refusal: str | None = None

    @property
    def epoch(self) -> int:
        return int(self.wanted["epoch"])

    @property
    def primary(self) -> bool:
        return bool(self.wanted["role"] == "primary")
