"""What the controller wants a session to be: one whole state, put again and again (REV)."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from bilocate.domain.errors import BilocateError
from bilocate.replication.records import Role

_NUMBER_MAX = 2**63 - 1  # of a ledger's column


class MalformedWanted(BilocateError):
    """A wanted state that can't be understood; nothing was taken from it."""


class OlderWanted(BilocateError):
    """An epoch or revision lower than the one known (EPOCH, REV). `code` is older_epoch or older_revision."""

    def __init__(self, session_id: str, what: str, given: int, known: int) -> None:
        self.code = f"older_{what}"
        super().__init__(
            f"session {session_id}: {what} {given} was put, {known} is known: read the state anew and put that"
        )


class CannotPromote(BilocateError):
    """This site's copy may not be served (rule 22)."""

    code = "cannot_promote"


class NotPossibleNow(BilocateError):
    """A step of an operation that the session's state does not allow. `code` tells which."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Member:
    """One pair of the session and this site's volume of it. Its index is the volume's number on the link."""

    pair_id: str
    volume_id: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wanted state of one session at one site; `peer_address` is the agent's business."""

    epoch: int
    revision: int
    role: Role
    peer_site: str
    peer_address: Any
    paused: bool
    members: tuple[Member, ...]
    trust_blank: bool = False
    allow_dirty: bool = False

    @classmethod
    def from_json(cls, content: Any) -> "Wanted":
        """:raises MalformedWanted: naming what is wrong."""
        try:
            members = tuple(
                Member(_text(m["pair_id"]), _text(m["volume_id"]), _whole(m["size_bytes"]))
                for m in content["members"]
            )
            wanted = cls(
                epoch=_whole(content["epoch"]),
                revision=_whole(content["revision"]),
                role=Role(content["role"]),
                peer_site=_text(content["peer"]["site"]),
                peer_address=content["peer"]["address"],
                paused=bool(content["paused"]),
                members=members,
                trust_blank=bool(content.get("trust_blank", False)),
                allow_dirty=bool(content.get("allow_dirty", False)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedWanted(f"the wanted state is not right at {error}") from error
        if wanted.epoch == 0 or any(m.size_bytes == 0 for m in members):
            raise MalformedWanted("epochs and sizes are positive")
        if [m.pair_id for m in members] != sorted({m.pair_id for m in members}):
            raise MalformedWanted(
                "members are sorted by pair id, each once: their order is their number on the link"
            )
        return wanted

    def to_text(self) -> str:
        """As the ledger keeps it."""
        content = asdict(self)
        content["role"] = self.role.value
        content["peer"] = {"site": content.pop("peer_site"), "address": content.pop("peer_address")}
        return json.dumps(content, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> "Wanted":
        """Back from the ledger.

        :raises MalformedWanted: as `from_json`.
        """
        try:
            content = json.loads(text)
        except ValueError as error:
            raise MalformedWanted(f"the wanted state is not JSON: {error}") from error
        return cls.from_json(content)


def _whole(value: Any) -> int:
    # What no column keeps would end the agent at the commit.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _NUMBER_MAX:
        raise ValueError("a number that is not whole, negative or too large")
    return value


def _text(value: Any) -> str:
    text = str(value)
    text.encode()  # half a surrogate pair is a ValueError
    return text
