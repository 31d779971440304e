"""What can keep a ledger from being opened. Damage is not among them: it makes a new ledger (rule 17)."""

from pathlib import Path

from bilocate.domain.errors import BilocateError


class LedgerError(BilocateError):
    """The ledger can't be used; the message says which file and what to do."""


class LedgerInUse(LedgerError):
    """Another process holds the ledger: two agents on one state directory would spoil each other's truth."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the ledger {path} is held by another process: stop the other agent of this site, "
            "or give this one a state directory of its own"
        )


class LedgerUnusable(LedgerError):
    """The directory, a permission or the disk is in the way. That says nothing about what the ledger holds,
    so it is not replaced by a new one."""

    def __init__(self, path: Path, cause: object) -> None:
        super().__init__(
            f"the ledger {path} can't be used: {cause}. Is the state directory mounted and writable by this "
            "user, and is there space left? Nothing was changed"
        )


class LedgerTooNew(LedgerError):
    """A later release wrote it; an older one must not guess what it means."""

    def __init__(self, path: Path, version: int, known: int) -> None:
        super().__init__(
            f"the ledger {path} has format {version}, this release knows up to {known}: "
            "start the release that wrote it, or a later one"
        )


class LedgerClosed(LedgerError):
    """A commit was asked of a ledger that was closed already."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the ledger {path} is closed: nothing more can be committed")


class DamageFound(Exception):
    """A byte is not as it was written, or something is missing. Stays inside this package: rule 17."""
