"""Why a disk could not be opened or made. What fails later is an errno, answered to the caller."""

import os
from pathlib import Path


class DiskError(Exception):
    """A disk could not be opened or made; the message says which and what to do."""

    def __init__(self, path: str | os.PathLike[str], message: str) -> None:
        super().__init__(f"{Path(path)}: {message}")
        self.path = Path(path)


class DiskNotFound(DiskError):
    """There is nothing at the path. Check the volume directory in the site's settings."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, "no such file or device. Check the site's volume directory.")


class DiskExists(DiskError):
    """A new file was asked for where one is: it is left as it is, since it may hold somebody's data."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, "exists already and is left untouched. Open it, or remove it first.")


class DiskInUse(DiskError):
    """Another process has the disk. Stop it (`bilocate down`, or unmount the device) first."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, "in use by another process. Stop it, or unmount the device, first.")


class DiskKindUnknown(DiskError):
    """Neither a regular file nor a block device."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, "neither a regular file nor a block device.")


class DiskUnavailable(DiskError):
    """The system refused to open or make the disk; `errno` says why."""

    def __init__(self, path: str | os.PathLike[str], error: OSError) -> None:
        super().__init__(path, f"the system refused it: {error.strerror}.")
        self.errno = error.errno
