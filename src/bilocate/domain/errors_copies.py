"""What keeps a volume from being copied, and one of which a copy is made from being changed: a class per condition.

They are refused at the call, so no row keeps them as the reason of its error.
"""

from bilocate.domain.errors_operations import Conflict, Invalid


class CopySmaller(Invalid):
    """A copy has room for all of its source."""

    def __init__(self, source_id: str, source_gib: int, size_gib: int) -> None:
        super().__init__(
            f"volume {source_id} has {source_gib} GiB: a copy of it can't have {size_gib} GiB. Name no size, "
            "or a larger one"
        )


class CopyElsewhere(Invalid):
    """Copies are made at the site of their source."""

    def __init__(self, source_id: str, site: str, wanted_site: str) -> None:
        super().__init__(
            f"volume {source_id} is in {site}, and a copy of it can't be made in {wanted_site}: name no availability "
            "zone; to have the data there, pair the volume with one that is there"
        )


class SourceNotCopyable(Conflict):
    """What the source holds right now is no state to copy; the agent says why."""

    def __init__(self, source_id: str, why: str) -> None:
        super().__init__(f"volume {source_id} can't be copied now: {why}")


class VolumeBeingCopied(Conflict):
    """A source stays as it is until its copy is made."""

    def __init__(self, volume_id: str, copy_id: str) -> None:
        super().__init__(
            f"volume {copy_id} is being made as a copy of volume {volume_id}: wait until that is done, or delete "
            "the copy once it is in error"
        )
