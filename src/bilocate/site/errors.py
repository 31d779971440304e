"""What the agent's control endpoint refuses. Each has the HTTP status and the code that callers decide by."""

from bilocate.domain.errors import BilocateError


class ControlError(BilocateError):
    """A call that was not carried out; nothing changed."""

    status = 409
    code = "refused"


class MalformedBody(ControlError):
    """What came is not what the agreement says; the message names what is wrong."""

    status = 400
    code = "malformed"


class Busy(ControlError):
    """Something that this call needs takes its time, a disk perhaps. Callers may come again."""

    status = 503
    code = "busy"

    def __init__(self) -> None:
        super().__init__("an earlier call for the same session or volume is not through yet: try again")


class UnknownSession(ControlError):
    """The agent has no such session."""

    status = 404
    code = "unknown_session"

    def __init__(self, site: str, session_id: str) -> None:
        super().__init__(f"there is no session {session_id} at {site}: put it first")


class UnknownVolume(ControlError):
    """A session names a volume that was not put here."""

    code = "unknown_volume"

    def __init__(self, site: str, volume_id: str) -> None:
        super().__init__(f"there is no volume {volume_id} at {site}: put it before the session")


class VolumeMissing(ControlError):
    """A volume that was made once is not there, so it is not made again."""

    code = "volume_missing"

    def __init__(self, site: str, volume_id: str) -> None:
        super().__init__(
            f"the disk of volume {volume_id} is not at {site}: bring it back to the state directory's volumes, "
            "or delete the volume"
        )


class VolumeUnusable(ControlError):
    """There is something in the volume's place, but it can't be used as its disk."""

    code = "volume_unusable"

    def __init__(self, volume_id: str, why: object) -> None:
        super().__init__(f"volume {volume_id} can't be used: {why}")


class SourceRefused(ControlError):
    """What is to be adopted can't be: it is not allowed, or is nothing that a volume can be made of."""

    code = "not_adoptable"

    def __init__(self, why: object) -> None:
        super().__init__(str(why))


class SourceInUse(SourceRefused):
    """Somebody has it: another volume, a mount, another program."""

    code = "in_use"


class SourceNotConsistent(ControlError):
    """A secondary's volume that a resync has not ended in, or that may lack what was answered."""

    code = "not_consistent"

    def __init__(self, volume_id: str, site: str) -> None:
        super().__init__(
            f"volume {volume_id} at {site} holds no one moment of its production volume until a resync of it has "
            "ended: copy it then, or copy the production volume"
        )


class SourceNotServed(ControlError):
    """A volume that nobody is answered from right now, so that it can't be told whether its content is the latest."""

    status = 503
    code = "source_not_served"

    def __init__(self, volume_id: str, site: str) -> None:
        super().__init__(f"volume {volume_id} is not served at {site} at this moment: try again")


class SourceLarger(ControlError):
    """A copy has room for all of its source."""

    code = "source_larger"

    def __init__(self, volume_id: str, source_bytes: int, size_bytes: int) -> None:
        super().__init__(f"volume {volume_id} has {source_bytes} bytes, its copy was to have {size_bytes}")


class BeingCopied(ControlError):
    """A volume that a copy is being made of stays."""

    code = "being_copied"

    def __init__(self, volume_id: str) -> None:
        super().__init__(f"a copy of volume {volume_id} is being made: delete it when that is done")


class CopyFailed(ControlError):
    """A copy that was begun could not be made; nothing of it is left."""

    code = "copy_failed"

    def __init__(self, volume_id: str, why: object) -> None:
        super().__init__(f"volume {volume_id} was not made: {why}")


class OlderRevision(ControlError):
    """A wish older than the one known (REV)."""

    code = "older_revision"

    def __init__(self, volume_id: str, given: int, known: int) -> None:
        super().__init__(f"volume {volume_id}: revision {given} was put, {known} is known: read it anew")


class InSession(ControlError):
    """A volume that a session carries is neither deleted nor resized."""

    code = "in_session"

    def __init__(self, volume_id: str, session_id: str) -> None:
        super().__init__(f"volume {volume_id} is in session {session_id}: end the session first")


class ExportTaken(ControlError):
    """Two volumes can't have one export name. The name is a secret, so it is not told."""

    code = "export_taken"

    def __init__(self, volume_id: str, other_id: str) -> None:
        super().__init__(f"an export name put for volume {volume_id} is in use for volume {other_id}")


class SessionFailed(ControlError):
    """A defect stopped this session, so that it does no harm."""

    code = "session_failed"

    def __init__(self, site: str, session_id: str) -> None:
        super().__init__(
            f"session {session_id} was stopped at {site} by an internal error: see the agent's log, "
            "then start the agent again"
        )
