"""What can keep an operation from being begun or carried on: one class per condition.

Five roots, by what a caller can do: `Invalid` (ask for something else), `NotFound`, `Conflict` (change the
state first), `OverLimit` (make room first), `OutOfReach` (try again). `failure` is the reason kept with a row
that ends in error for it.
"""

from collections.abc import Sequence
from enum import Enum

from bilocate.domain.errors import BilocateError
from bilocate.domain.failures import Failure
from bilocate.domain.observed import Replication


class OperationError(BilocateError):
    """A verb can't be begun or carried on."""

    failure: Failure = Failure.INTERNAL


class Invalid(OperationError):
    """The request is wrong in itself, whatever the states are."""


class NotFound(OperationError):
    """An id that does not exist, or is another project's."""

    def __init__(self, kind: str, target_id: str) -> None:
        self.kind, self.target_id = kind, target_id
        super().__init__(f"there is no {kind} {target_id}: list them to see the ids")


class Conflict(OperationError):
    """A state is in the way; the message says what it is, what it must be, and what to do."""


class OverLimit(OperationError):
    """There is no room for what is asked; nothing was changed."""


class OutOfReach(OperationError):
    """Something that is needed does not answer; nothing was changed."""

    failure = Failure.PEER_SITE_OUT_OF_REACH


# --- wrong in itself ---


class UnknownSite(Invalid):
    """A site that this installation does not have."""

    def __init__(self, site: str, known: list[str]) -> None:
        super().__init__(f"there is no availability zone {site!r}: choose one of {', '.join(sorted(known))}")


class SameSite(Invalid):
    """Both volumes of a pair are at one site."""

    def __init__(self, site: str) -> None:
        super().__init__(f"both volumes are in {site}: a pair needs two volumes in two availability zones")


class SizesDiffer(Invalid):
    """The volumes of a pair differ in size."""

    failure = Failure.SIZES_DIFFER

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"the volumes have {first} and {second} GiB: both must have the same size")


class TypesDiffer(Invalid):
    """The volumes of a pair differ in type."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(
            f"the volumes are of the types {first!r} and {second!r}: both must have the same type"
        )


class PriorityElsewhere(Invalid):
    """The wanted production site is none of the pair's two."""

    def __init__(self, site: str, sites: list[str]) -> None:
        super().__init__(f"{site!r} can't be the production site: it must be one of {', '.join(sites)}")


class DirectionsDiffer(Invalid):
    """A pair's production site is not its group's."""

    def __init__(self, pair_id: str, pair_site: str, group_site: str) -> None:
        super().__init__(
            f"production of pair {pair_id} is in {pair_site}, that of the group in {group_site}: "
            "only pairs of the same direction can be in one group. To turn it, make a group of it alone, sync and "
            "reverse that, and remove it from there"
        )


class SitesDiffer(Invalid):
    """A pair's two sites are not its group's: one session has one link."""

    def __init__(self, pair_id: str, sites: list[str], expected: list[str]) -> None:
        super().__init__(
            f"pair {pair_id} is between {' and '.join(sites)}, the others between {' and '.join(expected)}: "
            "all pairs of a group must be between the same two availability zones, and at one site in each of them"
        )


class NotAMember(Invalid):
    """A pair that is to be removed is not in the group."""

    def __init__(self, pair_id: str, group_id: str) -> None:
        super().__init__(f"pair {pair_id} is not in group {group_id}: it can't be removed from it")


# --- a state is in the way ---


class TargetBusy(Conflict):
    """Another operation on the same target is under way."""

    failure = Failure.BUSY

    def __init__(self, kind: str, target_id: str, operation_id: str) -> None:
        self.operation_id = operation_id
        super().__init__(
            f"{kind} {target_id} is busy with operation {operation_id}: wait until that has ended, then repeat"
        )


class Settling(Conflict):
    """An earlier operation left a hold at an agent that did not answer then; it is being taken back."""

    failure = Failure.BUSY

    def __init__(self, group_id: str) -> None:
        super().__init__(
            f"an earlier operation on group {group_id} is being taken back at its sites: repeat in a few seconds"
        )


class WrongStatus(Conflict):
    """The target's status does not allow the verb. The parts are kept, for whoever uses other words."""

    failure = Failure.BUSY

    def __init__(self, kind: str, target_id: str, status: Enum, needed: Sequence[Enum], remedy: str) -> None:
        self.kind, self.target_id, self.remedy = kind, target_id, remedy
        self.status, self.needed = status, list(needed)
        names = " or ".join(str(each.value) for each in needed)
        super().__init__(f"the status of {kind} {target_id} is {status.value}, it must be {names}: {remedy}")


class VolumePaired(Conflict):
    """A volume is in a pair already."""

    def __init__(self, volume_id: str, pair_id: str, failure: Failure) -> None:
        self.failure = failure
        super().__init__(
            f"volume {volume_id} is in pair {pair_id} already: delete that pair first, or choose another volume"
        )


class VolumeInPair(Conflict):
    """A volume can't be deleted while a pair needs it."""

    def __init__(self, volume_id: str, pair_id: str) -> None:
        super().__init__(f"volume {volume_id} belongs to pair {pair_id}: delete the pair first")


class VolumeAttached(Conflict):
    """A host holds a volume that must be free."""

    failure = Failure.DR_VOLUME_ATTACHED

    def __init__(self, volume_id: str, why: str) -> None:
        super().__init__(f"volume {volume_id} is attached to a host: {why}; disconnect or detach it first")


class SecondaryNotServed(Conflict):
    """A volume at the secondary site is not for hosts (rule 2)."""

    def __init__(self, volume_id: str, site: str, primary: str) -> None:
        super().__init__(
            f"volume {volume_id} in {site} is the DR copy, production is in {primary}: connect the production "
            f"volume, or fail the group over to {site} first"
        )


class PairInGroup(Conflict):
    """A pair belongs to a group."""

    def __init__(self, pair_id: str, group_id: str, remedy: str) -> None:
        super().__init__(f"pair {pair_id} is in group {group_id}: {remedy}")


class GroupNotEmpty(Conflict):
    """A group that is to be deleted still has pairs."""

    def __init__(self, group_id: str, count: int) -> None:
        super().__init__(f"group {group_id} still has {count} pairs: remove them from the group first")


class GroupEmpty(Conflict):
    """A group without pairs has nothing to act on."""

    def __init__(self, group_id: str) -> None:
        super().__init__(f"group {group_id} has no pairs: add pairs to it first")


class NotPaused(Conflict):
    """Membership changes only while replication is stopped (MEMBERS)."""

    def __init__(self, group_id: str) -> None:
        super().__init__(
            f"replication of group {group_id} is running: stop it (os-stop-replication-consistency-group), "
            "change the membership, then sync again"
        )


class SecondaryBehind(Conflict):
    """The secondary may lack answered writes, so a failover would lose them."""

    def __init__(self, group_id: str, state: str, primary: str, secondary: str) -> None:
        super().__init__(
            f"the copy in {secondary} may lack writes that {primary} has answered (the session of group "
            f"{group_id} is {state}, it must be in_sync): bring {primary} back and sync, or repeat with "
            '{"allow_data_loss": true} to go on without those writes'
        )


class SecondaryInconsistent(Conflict):
    """The secondary is in the middle of a resync: promoting it would show hosts a mixture."""

    failure = Failure.SECONDARY_STORAGE_ABNORMAL

    def __init__(self, group_id: str, secondary: str) -> None:
        super().__init__(
            f"the copy of group {group_id} in {secondary} is not consistent (a resync has not come to its end): "
            "it can't be promoted, not even with allow_data_loss; bring the production site back"
        )


class MomentsDiffer(Conflict):
    """The secondary's volumes are each consistent, and not together (MOMENT)."""

    def __init__(self, group_id: str, secondary: str) -> None:
        super().__init__(
            f"the copies of group {group_id} in {secondary} are not known to be of one moment: pairs have joined it "
            "since it was last in step, or it never was. Bring the production site back and sync, or repeat with "
            '{"allow_mixed_moments": true} too: then each volume is as it once was, but not all of them together'
        )


class ProductionAlive(Conflict):
    """The primary won the race for the arbiter's row: it is alive and serves its hosts."""

    def __init__(self, group_id: str, primary: str) -> None:
        super().__init__(
            f"failover of group {group_id} was refused: the production site {primary} is alive and changed "
            "the session's row meanwhile. Everything is as it was; repeat, or reverse the group instead"
        )


class NotInStep(Conflict):
    """A switchover needs two equal copies."""

    def __init__(self, group_id: str, status: Replication) -> None:
        self.status = status
        super().__init__(
            f"replication of group {group_id} is {status.value}, it must be active: sync the group and wait until "
            "replication_status is active"
        )


class HostsAttached(Conflict):
    """A switchover takes the production volumes away from hosts."""

    def __init__(self, group_id: str, volume_ids: list[str]) -> None:
        # A few: the message must still be read to its end.
        more = f" and {len(volume_ids) - 3} more" if len(volume_ids) > 3 else ""
        super().__init__(
            f"production volumes of group {group_id} are attached to hosts ({', '.join(volume_ids[:3])}{more}): "
            'disconnect them first, or repeat with {"force": true} to have them disconnected'
        )


class SiteNotBack(Conflict):
    """A reprotect needs the old production site."""

    failure = Failure.PEER_SITE_OUT_OF_REACH

    def __init__(self, group_id: str, site: str, why: str) -> None:
        super().__init__(
            f"group {group_id} can't be reprotected: site {site} is not back ({why}); start it, and repeat "
            "when it answers"
        )


class DataWouldBeLost(Conflict):
    """After a forced failover the old primary alone may hold answered writes (section 9)."""

    def __init__(self, group_id: str, site: str, byte_count: int) -> None:
        self.byte_count = byte_count
        super().__init__(
            f"site {site} may hold up to {byte_count} bytes of group {group_id} that the present production site "
            "never got (the last failover allowed data loss). A reprotect overwrites them: save them first, or "
            'repeat with {"allow_data_loss": true}'
        )


class SwitchoverOvertaken(Conflict):
    """The arbiter's row moved while the primary was quiesced: it lost its link and went on alone."""

    def __init__(self, group_id: str) -> None:
        super().__init__(
            f"reversal of group {group_id} was taken back: the link was lost meanwhile. Everything is as it was; "
            "repeat when replication_status is active again"
        )


class SessionNotReady(Conflict):
    """A site's agent does not know the session as it is now: it has just started, or is being told."""

    failure = Failure.BUSY

    def __init__(self, site: str, session_id: str) -> None:
        super().__init__(
            f"the agent of site {site} has not yet taken up session {session_id} as it is now: repeat shortly"
        )


class PromotionRefused(Conflict):
    """The new primary's agent refuses to serve (inconsistent, or dirty since the check)."""

    failure = Failure.SECONDARY_STORAGE_ABNORMAL

    def __init__(self, site: str, why: str) -> None:
        super().__init__(f"site {site} refuses to be promoted: {why}")


# --- something does not answer ---


class AgentUnavailable(OutOfReach):
    """No connection to a site's agent."""

    def __init__(self, site: str, cause: object) -> None:
        self.site = site
        super().__init__(
            f"the agent of site {site} can't be reached ({cause}): is it running? Try again when it is"
        )


class AgentTimeout(OutOfReach):
    """A site's agent took the call and did not answer in time; it may still carry it out."""

    def __init__(self, site: str, seconds: float) -> None:
        self.site = site
        super().__init__(f"the agent of site {site} did not answer within {seconds:g} s: try again shortly")


class AgentBusy(OutOfReach):
    """A site's agent is in the middle of what an earlier call asked for, and takes no other now."""

    failure = Failure.BUSY

    def __init__(self, site: str, message: str) -> None:
        self.site = site
        super().__init__(f"the agent of site {site} is busy: {message}")


class AgentNonsense(OperationError):
    """A site's agent answered something that is not in the agreement: another release, or a defect."""

    def __init__(self, site: str, what: str) -> None:
        self.site = site
        super().__init__(
            f"the agent of site {site} answered nonsense ({what}): look at its log, and at whether it runs the "
            "same release as the controller"
        )


class AgentRefused(OperationError):
    """A site's agent understood the call and refused it; `code` is its word for why."""

    def __init__(self, site: str, code: str, message: str, status: int = 409) -> None:
        self.site, self.code, self.status = site, code, status
        super().__init__(f"the agent of site {site} refused: {message} ({code})")


class StillInSession(OutOfReach):
    """A volume can't be removed while its agent still carries an ended session with it."""

    failure = Failure.BUSY

    def __init__(self, site: str, volume_id: str) -> None:
        super().__init__(
            f"volume {volume_id} is still in a session at site {site}: it is being ended, repeat"
        )


def failure_named(error_kind: str | None) -> Failure:
    """The reason that goes with an error's class name, as the journal keeps it."""
    found = _class_named(error_kind)
    return Failure.INTERNAL if found is None else found.failure


def is_out_of_reach(error_kind: str | None) -> bool:
    """Whether an error, by its class name, says that something did not answer."""
    found = _class_named(error_kind)
    return found is not None and issubclass(found, OutOfReach)


def _class_named(error_kind: str | None) -> type[OperationError] | None:
    found = globals().get(error_kind or "")
    return found if isinstance(found, type) and issubclass(found, OperationError) else None
