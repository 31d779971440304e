"""Where a volume's bytes are: sparse files and block devices behind one interface (`base.Disk`).

Open them by `factory.open_disk`. A backend without a file descriptor implements `Disk` and passes
tests/site/disks/contract.py; nothing else knows which kind it has.
"""

from bilocate.site.disks.base import Disk
from bilocate.site.disks.copied import CopiedDisk
from bilocate.site.disks.errors import DiskError, DiskInUse
from bilocate.site.disks.factory import create_file, delete_file, open_disk, publish_file
from bilocate.site.disks.missing import MissingDisk
from bilocate.site.disks.standalone import DiskTarget
from bilocate.site.disks.workers import Workers

__all__ = [
    "CopiedDisk",
    "Disk",
    "DiskError",
    "DiskInUse",
    "DiskTarget",
    "MissingDisk",
    "Workers",
    "create_file",
    "delete_file",
    "open_disk",
    "publish_file",
]
