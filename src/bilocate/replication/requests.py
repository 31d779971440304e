"""A host's request, from the socket to its answer. One object, no copies, no task."""

from collections.abc import Callable
from enum import IntEnum


class Op(IntEnum):
    """What a host asks for. TRIM is carried out as a zeroing that may punch: both sites then read the same."""

    READ = 0
    WRITE = 1
    FLUSH = 2
    ZERO = 3


class Unread:
    """A payload that the kernel holds and this process never had: it can be written to one disk, once, and that is all.

    So a primary never gets one from a host: it sends each write as well, perhaps twice (RESUME). Abstract, but not by
    `abc`: every write is asked whether it is one, and that takes ten times as long then.
    """

    __slots__ = ()

    def __len__(self) -> int:
        """Its bytes."""
        raise NotImplementedError

    def write_to(self, fd: int, offset: int) -> int:
        """Write all of it to an open file, blocking, from any thread; an errno. It is gone then, failed or not."""
        raise NotImplementedError


class Request:
    """One request of a host to one volume.

    The NBD server fills the upper fields and gives the request to the volume's target; `done(request, errno)`
    is called exactly once, errno 0 for success. A READ finds its bytes in `data` then. The lower fields belong
    to the core. `data` of a WRITE must stay unchanged until the answer (it may be sent twice: RESUME).
    """

    __slots__ = (
        "arrival",
        "blockers",
        "confirmed",
        "cookie",
        "copied",
        "data",
        "done",
        "errno",
        "flags",
        "followers",
        "fua",
        "keep_allocated",
        "length",
        "local",
        "offset",
        "op",
        "seq",
        "volume",
    )

    def __init__(
        self,
        op: Op,
        offset: int,
        length: int,
        done: "Callable[[Request, int], None]",
        data: bytes | bytearray | memoryview | Unread = b"",
        cookie: int = 0,
        fua: bool = False,
        keep_allocated: bool = False,
    ) -> None:
        self.op = op
        self.offset = offset
        self.length = length
        self.done = done
        self.data = data
        self.cookie = cookie
        self.fua = fua
        self.keep_allocated = keep_allocated  # ZERO without punching (NBD_CMD_FLAG_NO_HOLE)
        self.flags = 0  # free for the NBD server
        # --- the core's own ---
        self.volume = 0  # index within the session
        self.arrival = 0  # place among the requests of its session, 0 for one that no host sent
        self.seq = 0  # position on the link, 0 before it is sent
        self.local = False  # written here
        self.copied = False  # a chunk of a resync or pull: no host waits for it
        self.confirmed = False  # the secondary has it, on the present connection
        self.errno = 0  # of the local write
        self.blockers = 0  # overlapping earlier requests that are not answered yet
        self.followers: list[Request] | None = None  # later ones that wait for this one

    @property
    def payload(self) -> bytes | bytearray | memoryview:
        """`data` where it is known to be in memory."""
        assert not isinstance(self.data, Unread)
        return self.data

    def renew(self) -> None:
        """As it came from the host: what one half began and could not answer, another carries out anew."""
        self.arrival = self.seq = self.errno = self.blockers = 0
        self.local = self.confirmed = False
        self.followers = None

    def __repr__(self) -> str:
        return f"<{self.op.name} vol{self.volume} {self.offset}+{self.length} seq={self.seq}>"


def to_nobody(request: Request, errno: int) -> None:
    """`done` of what came over the link: no host waits for it."""
