"""What the ledger keeps, and the changes that the core asks it to commit.

A commit is a list of changes that become durable together, in the order given; commits become durable in the
order asked. "Persisted" in the rules means: the commit was answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from pyroaring import BitMap

# The dirty map is stored in segments, so that one new bit in a large volume does not rewrite its whole map.
SEGMENT_CHUNKS = 4096  # 256 MiB of volume


class Role(Enum):
    """Which half of a session a site is."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


@dataclass(slots=True)
class VolumeRecord:
    """A volume's durable state, as loaded at start and as kept in memory by the core.

    `blank`: the ledger knows nothing of this volume's past (rule 17). `generation` and `pending_generation`
    are empty strings before the first resync. `served_boot_id`: the start of the machine on which a primary
    last served it, empty if none did (rule 19).
    """

    volume_id: str
    size_bytes: int
    max_epoch: int = 0
    generation: str = ""
    pending_generation: str = ""
    consistent: bool = True
    blank: bool = False
    served_boot_id: str = ""
    intents: set[int] = field(default_factory=set)
    dirty: BitMap = field(default_factory=BitMap)
    failed: set[int] = field(default_factory=set)


@dataclass(slots=True)
class SessionRecord:
    """A session's durable state. `wanted` is the last accepted wanted state, as the controller put it (JSON);
    `holds_hello` the attempt for which a secondary takes no hello, 0 if it takes them (HOLDHELLO)."""

    session_id: str
    epoch: int
    role: Role
    wanted: str
    holds_hello: int = 0


@dataclass(frozen=True, slots=True)
class PutSession:
    """The session's epoch, role, wanted state and hold, whole."""

    session_id: str
    epoch: int
    role: Role
    wanted: str
    holds_hello: int


@dataclass(frozen=True, slots=True)
class DropSession:
    """The session ended here; its volumes stay."""

    session_id: str


@dataclass(frozen=True, slots=True)
class PutVolume:
    """A volume's row but for its marks (intents, dirty, failed stay as they are)."""

    volume_id: str
    size_bytes: int
    max_epoch: int
    generation: str
    pending_generation: str
    consistent: bool
    blank: bool
    served_boot_id: str = ""


@dataclass(frozen=True, slots=True)
class DropVolume:
    """The volume was deleted: its row and all its marks go."""

    volume_id: str


@dataclass(frozen=True, slots=True)
class AddIntents:
    """Extents that may be written from now on."""

    volume_id: str
    extents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DropIntents:
    """Extents that are equal and durable at both sites."""

    volume_id: str
    extents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PutDirty:
    """Segments of the dirty map, each whole: segment number -> serialized BitMap (empty bytes: nothing dirty)."""

    volume_id: str
    segments: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class AddFailed:
    """Extents in which a local write failed (STICKY)."""

    volume_id: str
    extents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ClearMarks:
    """All dirty bits and failed extents of a volume go; intents stay (END)."""

    volume_id: str


@dataclass(frozen=True, slots=True)
class PutSiteItem:
    """A value of the agent's own (exports, refused attachments ...): the core does not read it."""

    key: str
    value: str


Change = (
    PutSession
    | DropSession
    | PutVolume
    | DropVolume
    | AddIntents
    | DropIntents
    | PutDirty
    | AddFailed
    | ClearMarks
    | PutSiteItem
)


def dirty_segments(dirty: BitMap, segments: set[int]) -> dict[int, bytes]:
    """The named segments of a dirty map as the ledger stores them; bits are kept absolute."""
    out: dict[int, bytes] = {}
    for segment in sorted(segments):
        first = segment * SEGMENT_CHUNKS
        part = dirty & BitMap(range(first, first + SEGMENT_CHUNKS))
        out[segment] = part.serialize() if part else b""
    return out
