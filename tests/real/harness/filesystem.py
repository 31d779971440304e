"""A volume as a mounted ext4 file system: nbdfuse makes a file of it, a loop device a disk of the file."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.real.harness.waiting import wait_for

TOOLS = ("nbdfuse", "losetup", "mkfs.ext4", "e2fsck", "mount", "umount")
COMMAND_SECONDS = 60


def require_root_and_devices() -> None:
    """Skip, with the reason, where a file system can't be mounted."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not Path(device).exists():
            pytest.skip(
                f"{device} is not here: the kernel has no such devices, or this is a container without them"
            )
    for tool in TOOLS:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


class Disk:
    """One volume as a loop device, for as long as it is attached."""

    def __init__(self, directory: Path, name: str, uri: str) -> None:
        self._folder = directory / f"{name}.fuse"
        self.mounted_at = directory / f"{name}.mounted"
        for folder in (self._folder, self.mounted_at):
            folder.mkdir()
        self._fuse = subprocess.Popen(["nbdfuse", str(self._folder / "disk"), uri])
        self.device = ""
        file = self._folder / "disk"
        wait_for("nbdfuse's file", file.exists, seen=lambda: f"nbdfuse: {self._fuse.poll()}")
        self.device = run("losetup", "--find", "--show", str(file)).strip()

    def mount(self) -> None:
        """As ext4."""
        run("mount", "-t", "ext4", self.device, str(self.mounted_at))

    def let_go(self) -> None:
        """Whatever state it is in; also when nobody answers behind it any more."""
        run("umount", "--lazy", str(self.mounted_at), check=False)
        if self.device:
            run("losetup", "--detach", self.device, check=False)
        self._fuse.kill()
        self._fuse.wait()
        run("umount", "--lazy", str(self._folder), check=False)


def run(*command: str, check: bool = True) -> str:
    """A command's output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    if check:
        assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def assert_clean(device: str) -> None:
    """The journal is replayed, as a mount would; behind that nothing is wrong."""
    replayed = subprocess.run(
        ["e2fsck", "-p", device], capture_output=True, text=True, timeout=COMMAND_SECONDS
    )
    assert replayed.returncode in (0, 1), (
        f"e2fsck -p: {replayed.returncode}: {replayed.stdout}{replayed.stderr}"
    )
    run("e2fsck", "-f", "-n", device)
