"""Which start of the machine this is."""

from pathlib import Path

_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id() -> str:
    """The kernel's id of this boot: another one means that the page cache was lost in between (rule 19).

    :raises OSError: where the kernel doesn't tell; guessing would make a power cut look like none.
    """
    return _BOOT_ID_FILE.read_text().strip()
