"""Devices and files that are there already and may become volumes: those that an operator has named, and no others.

They stay their owner's: an agent opens them, and never makes, zeroes, or removes one.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from bilocate.site.disks import DiskError


class NotAdoptable(DiskError):
    """The path is none that a volume may be made of; the message says what would have to change."""


class Adoptable:
    """The site's setting `adopt_from`: directories, and single devices or files."""

    def __init__(self, places: Sequence[Path], own: Path) -> None:
        """`own`: the agent's state, which is never given away."""
        self._places = [Path(os.path.normpath(place)) for place in places]
        self._own = own

    def path_of(self, source: str) -> Path:
        """The path to open. It blocks, for as long as a file system takes to tell what is there.

        :raises NotAdoptable: it is not allowed, or neither a device nor a file.
        """
        path = Path(os.path.normpath(source))
        if not self._places:
            raise NotAdoptable(
                path, "nothing can be adopted at this site: name it in the site's setting adopt_from."
            )
        if not path.is_absolute():
            raise NotAdoptable(path, "must be an absolute path.")
        try:
            real = path.resolve(strict=True)
            mode = real.stat().st_mode
        except (OSError, RuntimeError):
            raise NotAdoptable(path, "there is nothing that can be looked at.") from None
        if not (stat.S_ISBLK(mode) or stat.S_ISREG(mode)):
            raise NotAdoptable(path, "neither a block device nor a regular file.")
        # A device's name may be a link, such as those below /dev/disk. A file is where it really is.
        allowed = self._has(real) or (stat.S_ISBLK(mode) and self._has(path))
        if not allowed or real.is_relative_to(self._own.resolve()):
            raise NotAdoptable(path, "is not below what the site's setting adopt_from names.")
        return path

    def _has(self, path: Path) -> bool:
        return any(path.is_relative_to(form) for place in self._places for form in (place, place.resolve()))
