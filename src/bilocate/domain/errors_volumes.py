"""What keeps a volume from being grown or attached, and a project from having more: one class per condition.

They are refused at the call, so no row keeps them as the reason of its error.
"""

from bilocate.domain.errors_operations import Conflict, Invalid, OutOfReach, OverLimit
from bilocate.domain.failures import Failure
from bilocate.domain.geometry import GIB


class NotLarger(Invalid):
    """A volume, or a pair of them, only grows."""

    def __init__(self, kind: str, target_id: str, size_gib: int, asked: int) -> None:
        super().__init__(
            f"{kind} {target_id} has {size_gib} GiB: the new size must be larger, not {asked} GiB"
        )


class NotInGroup(Invalid):
    """A pair that is to grow is not in the group that was asked."""

    def __init__(self, pair_id: str, group_id: str) -> None:
        super().__init__(f"pair {pair_id} is not in group {group_id}: show the group to see its pairs")


class ReplicationFailed(Conflict):
    """A disk of either site failed: first that."""

    def __init__(self, group_id: str, why: str | None) -> None:
        told = f" ({why})" if why else ""
        super().__init__(
            f"replication_status of group {group_id} is error{told}: mend the disk and sync the group, then extend it"
        )


class SourceNotAdoptable(Invalid):
    """A device or file that is to be adopted is none that can be."""

    def __init__(self, source: str, site: str, why: str) -> None:
        super().__init__(f"{source} at {site} can't become a volume: {why}")


class SourceTaken(Conflict):
    """Somebody has the device or file that is to be adopted."""

    def __init__(self, source: str, site: str, why: str) -> None:
        super().__init__(
            f"{source} at {site} is in use ({why}): unmount it, or give back the volume that was made of it"
        )


class SizeNotWhole(Invalid):
    """Sizes are told in whole GiB, and both volumes of a pair must be alike to the byte."""

    def __init__(self, source: str, site: str, size_bytes: int) -> None:
        super().__init__(
            f"{source} at {site} has {size_bytes} bytes, which is not a whole number of GiB: make it "
            f"{-(-size_bytes // GIB)} GiB (a logical volume or a file can be extended), then adopt it"
        )


class SiteUnclear(Invalid):
    """A device is at one site; a zone that has several does not tell which."""

    def __init__(self, zone: str, sites: list[str]) -> None:
        super().__init__(
            f"{zone} has several sites, {', '.join(sites)}: name the one that has the device or file as its host"
        )


class NotAdopted(Conflict):
    """A volume that was made here can't be given back to anyone."""

    def __init__(self, volume_id: str) -> None:
        super().__init__(
            f"volume {volume_id} was not adopted, so it is nobody's to be given back: delete it instead"
        )


class AdoptedNotExtended(Conflict):
    """An adopted volume can't grow in a pair: nobody knows what is beyond its end."""

    def __init__(self, volume_id: str, pair_id: str) -> None:
        super().__init__(
            f"volume {volume_id} of pair {pair_id} was adopted, and what its device has beyond its end is not known "
            "to be equal at both sites: delete the pair, extend both volumes, and pair them again"
        )


class DiskCannotGrow(Conflict):
    """A site has no room, or no such disk."""

    failure = Failure.SECONDARY_STORAGE_ABNORMAL

    def __init__(self, target_id: str, site: str, why: str) -> None:
        super().__init__(f"{target_id} can't grow at site {site}: {why}. Make room there, and repeat")


class ExtensionRefused(Conflict):
    """An extension that was begun could not be carried out."""

    def __init__(self, group_id: str, why: str) -> None:
        super().__init__(f"group {group_id} was not extended: {why}")


class ExtensionInterrupted(OutOfReach):
    """An extension that was begun did not come to its end."""

    def __init__(self, group_id: str, why: str) -> None:
        super().__init__(
            f"group {group_id} is not extended yet: {why}. Hosts have the old size until it is; repeat the call"
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


class OnlyRead(Invalid):
    """A host is to write to a read-only volume."""

    def __init__(self, volume_id: str) -> None:
        super().__init__(
            f"volume {volume_id} is read-only: attach it with the mode 'ro', or take its flag back first "
            "(os-update_readonly_flag)"
        )


class FlagWhileAttached(Conflict):
    """Whether hosts may write is not changed under those that are there."""

    def __init__(self, volume_id: str, host: str | None) -> None:
        whose = f" of host {host}" if host else ""
        super().__init__(
            f"volume {volume_id} has an attachment or a connection{whose}, which keeps what it was told: end it, "
            "then change the flag"
        )


class PairJustMade(Conflict):
    """A volume was paired in the moment in which it was to be changed alone."""

    def __init__(self, volume_id: str, pair_id: str) -> None:
        super().__init__(
            f"volume {volume_id} has just become one of pair {pair_id}: repeat the call, which is for both now"
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
            f"volume {volume_id} is in pair {pair_id}, whose volumes have one size: extend both of them by "
            "os-extend-replication-volumes of the pair's group (bilocate group extend)"
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
