"""What keeps a volume from being grown or attached, and a project from having more: one class per condition.

They are refused at the call, so no row keeps them as the reason of its error.
"""

from bilocate.domain.errors_operations import Conflict, Invalid, OverLimit
from bilocate.domain.failures import Failure


class NotLarger(Invalid):
    """A volume only grows."""

    def __init__(self, volume_id: str, size_gib: int, asked: int) -> None:
        super().__init__(
            f"volume {volume_id} has {size_gib} GiB: the new size must be larger, not {asked} GiB"
        )


class AttachedAlready(Conflict):
    """A second attachment of a volume that may have one."""

    def __init__(self, volume_id: str, attachment_id: str) -> None:
        super().__init__(
            f"volume {volume_id} has attachment {attachment_id} already, and is not multiattach: end that first"
        )


class ManyAttachments(Conflict):
    """It must be said which attachment is meant."""

    def __init__(self, volume_id: str, attachment_ids: list[str]) -> None:
        named = ", ".join(attachment_ids[:3])
        super().__init__(
            f"volume {volume_id} has {len(attachment_ids)} attachments ({named}): name one with attachment_id"
        )


class AttachmentNotReady(Conflict):
    """An attachment's status does not allow what is asked."""

    def __init__(self, attachment_id: str, status: str, needed: str, remedy: str) -> None:
        super().__init__(
            f"the status of attachment {attachment_id} is {status}, it must be {needed}: {remedy}"
        )


class PairedNotExtended(Conflict):
    """One volume of a pair can't grow alone."""

    def __init__(self, volume_id: str, pair_id: str) -> None:
        super().__init__(
            f"volume {volume_id} is in pair {pair_id}, whose volumes have one size: delete the pair, extend both "
            "volumes, and pair them again"
        )


class QuotaExceeded(OverLimit):
    """A project would have more than it may."""

    def __init__(self, project_id: str, resource: str, used: int, more: int, limit: int) -> None:
        super().__init__(
            f"project {project_id} may have {limit} {resource}, it has {used}, and {more} more are asked for: delete "
            "what is not needed, or have an admin raise the quota"
        )


class GroupQuotaExceeded(OverLimit):
    """A project would have more groups in an availability zone than it may."""

    def __init__(self, project_id: str, site: str, used: int, limit: int, failure: Failure) -> None:
        self.failure = failure
        super().__init__(
            f"project {project_id} may have {limit} replication consistency groups in {site}, it has {used}: delete "
            "one that is not needed, or have an admin raise the quota"
        )
