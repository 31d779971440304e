"""Operators and the controller: what is wanted, and the steps of a change of roles, as the verbs take them."""

from typing import Any

from bilocate.domain.arbiter import Ask, Call, Row, RowState, decide
from bilocate.domain.errors import BilocateError


class Wish:
    """What is wanted of the session beside the row."""

    def __init__(self) -> None:
        self.revision = 1
        self.paused = False
        self.allow_dirty = False
        self.trust_blank = False

    def change(self, paused: bool, allow_dirty: bool, trust_blank: bool = False) -> None:
        """Another wish."""
        self.paused, self.allow_dirty, self.trust_blank = paused, allow_dirty, trust_blank
        self.revision += 1


class Operation:
    """One failover or switchover: ask an agent, then change the row, or take the asking back."""

    def __init__(self, kind: str, row: Row, attempt: int) -> None:
        self.kind = kind  # failover, forced, switchover
        self.row = row  # as read BEFORE the check
        self.attempt = attempt  # and the new epoch
        self.asked_of = ""  # the process that was asked
        self.found: dict[str, Any] | str | None = None
        self.refused = False

    @property
    def site(self) -> str:
        """Who is asked."""
        return self.row.primary if self.kind == "switchover" else self.row.secondary

    @property
    def asks(self) -> tuple[str, str]:
        """What is asked, and what takes it back."""
        return ("quiesce", "resume") if self.kind == "switchover" else ("precheck", "release")

    def answered(self, attempt: int, answer: dict[str, Any] | BilocateError) -> None:
        """An agent's answer; only the first one to this asking counts."""
        if self.found is None and attempt == self.attempt:
            self.found = str(answer) if isinstance(answer, BilocateError) else answer

    def may_commit(self) -> bool:
        """Whether the answer allows it."""
        found = self.found
        if not isinstance(found, dict):
            return False
        if self.kind == "switchover":
            return True
        right = found["epoch"] == self.row.epoch and found["consistent"] and not found["blank"]
        right = right and found["one_moment"]
        return right and (self.kind == "forced" or not found["dirty_bytes"])

    def decide(self, row: Row) -> Row | None:
        """The row after it, None where that is refused."""
        assert isinstance(self.found, dict)
        if self.kind == "switchover":
            ask = Ask(Call.SWITCH_OVER, version=self.found["version"], new_epoch=self.attempt)
        else:
            forced = self.kind == "forced"
            ask = Ask(
                Call.FAIL_OVER, version=self.row.version, new_epoch=self.attempt, allow_data_loss=forced
            )
        said = decide(row, ask)
        return said if isinstance(said, Row) else None

    def is_lossy(self, row: Row) -> bool:
        """Whether the promoted copy may lack something; `row` as it was before."""
        assert isinstance(self.found, dict)
        if self.kind != "forced":
            return False
        return row.state is not RowState.IN_SYNC or bool(self.found["dirty_bytes"])
