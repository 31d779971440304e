"""Disks that fail on demand: the fault file of a site's agent, and a file system that is too small."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

MIB = 1024**2


class Faults:
    """The faults of one site's disks; none until some are set."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def setting(self) -> str:
        """The lines of the agent's configuration."""
        return f'[testing]\ndisk_fault_file = "{self.file}"'

    def set(self, *faults: dict[str, Any]) -> None:
        """These, from now on; the file appears whole."""
        scratch = self.file.with_suffix(".new")
        scratch.write_text(json.dumps({"faults": list(faults)}))
        scratch.replace(self.file)


class SmallDisk:
    """A tmpfs over a site's volumes. Root alone can mount one."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._mount("-o", f"size={size_bytes}", "-t", "tmpfs", "tmpfs")

    @staticmethod
    def can_be_made() -> bool:
        """Whether this is root."""
        return os.geteuid() == 0

    def grow(self, size_bytes: int) -> None:
        """Someone has made room."""
        self._mount("-o", f"remount,size={size_bytes}")

    def remove(self) -> None:
        """When nobody uses it any more."""
        subprocess.run(["umount", "--lazy", str(self._folder)], check=True)

    def _mount(self, *options: str) -> None:
        subprocess.run(["mount", *options, str(self._folder)], check=True)
