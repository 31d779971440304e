"""The states of a volume, and every move between them."""

from enum import Enum

from bilocate.domain.table import Table


class VolumeStatus(Enum):
    """What is going on with a volume. A bare connection does not change it; an attachment does."""

    CREATING = "creating"
    AVAILABLE = "available"
    RESERVED = "reserved"
    ATTACHING = "attaching"
    IN_USE = "in_use"
    DETACHING = "detaching"
    EXTENDING = "extending"
    DELETING = "deleting"
    ERROR = "error"
    ERROR_EXTENDING = "error_extending"
    ERROR_DELETING = "error_deleting"


class VolumeEvent(Enum):
    """A verb begins, ends or can't go on; or a compute service tells what it does with the volume."""

    CREATE_DONE = "create_done"
    CREATE_FAILED = "create_failed"
    RESERVE = "reserve"
    UNRESERVE = "unreserve"
    BEGIN_ATTACH = "begin_attach"
    ATTACH = "attach"
    BEGIN_DETACH = "begin_detach"
    ROLL_DETACHING = "roll_detaching"
    DETACH_ONE = "detach_one"  # others stay attached (multiattach)
    DETACH_LAST = "detach_last"
    EXTEND = "extend"
    EXTEND_DONE = "extend_done"  # nobody is attached
    EXTEND_DONE_IN_USE = "extend_done_in_use"
    EXTEND_FAILED = "extend_failed"
    DELETE = "delete"
    DELETE_FAILED = "delete_failed"
    # An admin's word.
    FORCE_DELETE = "force_delete"
    RESET_AVAILABLE = "reset_available"
    RESET_IN_USE = "reset_in_use"
    RESET_ERROR = "reset_error"


_S, _E = VolumeStatus, VolumeEvent

# What an admin's word may make of a volume that is whole; which of it is true depends on its attachments.
_BY_WORD = {
    _E.FORCE_DELETE: _S.DELETING,
    _E.RESET_AVAILABLE: _S.AVAILABLE,
    _E.RESET_IN_USE: _S.IN_USE,
    _E.RESET_ERROR: _S.ERROR,
}

VOLUME = Table(
    "volume",
    VolumeStatus,
    VolumeEvent,
    {
        _S.CREATING: {_E.CREATE_DONE: _S.AVAILABLE, _E.CREATE_FAILED: _S.ERROR},
        _S.AVAILABLE: {
            **_BY_WORD,
            _E.RESERVE: _S.RESERVED,
            _E.BEGIN_ATTACH: _S.ATTACHING,
            _E.ATTACH: _S.IN_USE,
            _E.EXTEND: _S.EXTENDING,
            _E.DELETE: _S.DELETING,
        },
        _S.RESERVED: {
            **_BY_WORD,
            _E.UNRESERVE: _S.AVAILABLE,
            _E.BEGIN_ATTACH: _S.ATTACHING,
            _E.ATTACH: _S.IN_USE,
            _E.DETACH_LAST: _S.AVAILABLE,
        },
        _S.ATTACHING: {
            **_BY_WORD,
            _E.UNRESERVE: _S.AVAILABLE,
            _E.ATTACH: _S.IN_USE,
            _E.DETACH_LAST: _S.AVAILABLE,
        },
        _S.IN_USE: {
            **_BY_WORD,
            _E.RESERVE: _S.IN_USE,
            _E.UNRESERVE: _S.IN_USE,
            _E.ATTACH: _S.IN_USE,
            _E.BEGIN_DETACH: _S.DETACHING,
            _E.DETACH_ONE: _S.IN_USE,
            _E.DETACH_LAST: _S.AVAILABLE,
            _E.EXTEND: _S.EXTENDING,
        },
        _S.DETACHING: {
            **_BY_WORD,
            _E.ROLL_DETACHING: _S.IN_USE,
            _E.DETACH_ONE: _S.IN_USE,
            _E.DETACH_LAST: _S.AVAILABLE,
        },
        _S.EXTENDING: {
            _E.EXTEND_DONE: _S.AVAILABLE,
            _E.EXTEND_DONE_IN_USE: _S.IN_USE,
            _E.EXTEND_FAILED: _S.ERROR_EXTENDING,
        },
        _S.DELETING: {_E.DELETE_FAILED: _S.ERROR_DELETING},
        _S.ERROR: {
            _E.DELETE: _S.DELETING,
            _E.FORCE_DELETE: _S.DELETING,
            _E.RESET_AVAILABLE: _S.AVAILABLE,
            _E.RESET_ERROR: _S.ERROR,
        },
        _S.ERROR_EXTENDING: {
            _E.FORCE_DELETE: _S.DELETING,
            _E.RESET_AVAILABLE: _S.AVAILABLE,
            _E.RESET_IN_USE: _S.IN_USE,
            _E.EXTEND: _S.EXTENDING,
            _E.DELETE: _S.DELETING,
            # Whoever is attached can leave; only an extension that is done ends the error.
            _E.DETACH_ONE: _S.ERROR_EXTENDING,
            _E.DETACH_LAST: _S.ERROR_EXTENDING,
        },
        # Its data may be gone: no word brings it back.
        _S.ERROR_DELETING: {_E.DELETE: _S.DELETING, _E.FORCE_DELETE: _S.DELETING},
    },
)
