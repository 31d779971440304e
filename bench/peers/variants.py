"""The settings of the peers that are tried: the fastest on this machine and medium is the one that is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MirrorVariant:
    """How the two storage daemons reach their files. All use the page cache, as Bilocate does.

    aio=native is not among them: QEMU allows it with O_DIRECT only.
    """

    aio: str
    iothread: bool

    @property
    def title(self) -> str:
        """For the report."""
        return f"aio={self.aio}" + (", iothread" if self.iothread else "")


MIRROR_VARIANTS = (
    MirrorVariant("threads", False),
    MirrorVariant("io_uring", False),
    MirrorVariant("threads", True),
    MirrorVariant("io_uring", True),
)
QEMU_NBD_AIO = ("threads", "io_uring")
NBDKIT_THREADS = (16, 4, 1)
