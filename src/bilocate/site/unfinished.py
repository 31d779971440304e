"""The files of volumes that are being made as copies, until they have their volumes' names."""

from pathlib import Path

import structlog

from bilocate.site.disks import delete_file

log = structlog.get_logger(__name__)

# No volume's id begins so: see bodies.checked_id.
_PREFIX = ".copy-"


def unfinished(directory: Path, volume_id: str) -> Path:
    """Where a copy is while it is none yet. `directory`: of the volumes' files."""
    return directory / f"{_PREFIX}{volume_id}"


def remove_unfinished(directory: Path) -> None:
    """At the start, before anything is made: of the copies of an earlier life none can be gone on with.

    :raises DiskError: one can't be removed.
    """
    for path in directory.glob(f"{_PREFIX}*"):
        log.info("unfinished_copy_removed", volume=path.name.removeprefix(_PREFIX))
        delete_file(path)
