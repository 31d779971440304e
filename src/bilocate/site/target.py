"""What the NBD server needs of a volume, and what a volume needs of a host's connection."""

from collections.abc import Callable, Sequence
from typing import Protocol

from bilocate.replication.requests import Request

# (length in bytes, is it a hole, does it read as zeros)
Allocation = tuple[int, bool, bool]


class HostConnection(Protocol):
    """A host's connection to one volume, past negotiation."""

    def disconnect(self, reason: str) -> None:
        """Close it at once; requests that are not answered never will be."""

    def resume_reading(self) -> None:
        """The volume is no longer busy: read on."""


class BlockTarget(Protocol):
    """A volume as the NBD server sees it."""

    @property
    def size_bytes(self) -> int:
        """Its present size; it may grow."""

    @property
    def read_only(self) -> bool:
        """Whether hosts may only read. It does not change while a connection lasts."""

    @property
    def min_block_bytes(self) -> int:
        """Told to hosts; smaller or unaligned requests are taken as well."""

    @property
    def preferred_block_bytes(self) -> int:
        """Told to hosts: what is carried out well."""

    @property
    def takes_unread(self) -> bool:
        """Whether a write's payload may be an `Unread` now."""

    def submit_all(self, requests: Sequence[Request]) -> None:
        """Take requests, in their order; for each `request.done(request, errno)` follows, perhaps at once."""

    def busy(self) -> bool:
        """Whether a bound is reached: the connection stops reading until `resume_reading`."""

    def end_of_batch(self) -> None:
        """No more requests are there right now: what was put off to be sent together goes out."""

    def block_status(self, offset: int, length: int, done: Callable[[int, list[Allocation]], None]) -> None:
        """Tell holes: `done(errno, allocations)`, in order, from `offset`, at most `length` bytes."""

    def zeroes_fast(self, keep_allocated: bool) -> bool:
        """Whether zeroing costs less than writing zeros (NBD_CMD_FLAG_FAST_ZERO)."""

    def opened(self, connection: HostConnection) -> None:
        """A host negotiated the transmission phase."""

    def closed(self, connection: HostConnection) -> None:
        """The connection is gone."""


class ExportSource(Protocol):
    """Where the NBD server finds volumes by export name."""

    def find(self, export_name: str) -> BlockTarget | None:
        """The volume behind an export name, if hosts may connect to it now; else None."""

    def listed(self) -> list[str]:
        """Names shown to NBD_OPT_LIST: none unless a setting allows it (names are secrets)."""
