"""The primary half of a session: its states, and the only moves between them."""

from enum import Enum

from bilocate.domain.table import Table


class PrimaryState(Enum):
    """Where the primary half is. Hosts are answered only in the states of `OPEN`."""

    DETACHED = "detached"  # the row is not known yet; nothing is served
    WAITING = "waiting"  # attached; for the secondary, or for the end of the wait
    PULLING = "pulling"  # takes from the secondary what it may lack (rule 18)
    STARTING = "starting"  # may serve; flushes and persists before the first answer (rules 19, 21)
    IN_STEP = "in_step"  # every write is confirmed by the secondary
    TRIPPED = "tripped"  # the link is lost and there is no permit: everything is held
    SOLO = "solo"  # under a permit
    MARKING = "marking"  # solo; the row and the secondary are being told of the resync
    COPYING = "copying"  # solo; the set is compared and copied
    DRAINING = "draining"  # no permit any more; the link is being drained
    SEALING = "sealing"  # END: generation and marks become durable at both sites
    REPORTING = "reporting"  # the row is being told
    QUIESCING = "quiescing"  # hosts are held, writes and intents drain
    QUIESCED = "quiesced"  # nothing is under way and no intent is left at either site
    RETIRED = "retired"  # superseded or demoted: never answers again


class PrimaryEvent(Enum):
    """What moves the primary half."""

    ATTACHED = "attached"
    PULL = "pull"
    PULLED = "pulled"
    SERVE = "serve"
    LINK_LOST = "link_lost"
    RESUME = "resume"
    PERMIT = "permit"
    RESYNC = "resync"
    COPY = "copy"
    COPIED = "copied"
    DRAINED = "drained"
    SEALED = "sealed"
    REPORTED = "reported"
    QUIESCE = "quiesce"
    QUIET = "quiet"
    GO_ON = "go_on"
    RETIRE = "retire"


_S, _E = PrimaryState, PrimaryEvent

OPEN = frozenset({_S.IN_STEP, _S.SOLO, _S.MARKING, _S.COPYING, _S.DRAINING, _S.SEALING, _S.REPORTING})

PRIMARY = Table(
    "primary half",
    PrimaryState,
    PrimaryEvent,
    {
        _S.DETACHED: {_E.ATTACHED: _S.WAITING, _E.LINK_LOST: _S.DETACHED, _E.RETIRE: _S.RETIRED},
        _S.WAITING: {
            _E.ATTACHED: _S.WAITING,
            _E.LINK_LOST: _S.WAITING,
            _E.PULL: _S.PULLING,
            _E.PERMIT: _S.STARTING,
            _E.RETIRE: _S.RETIRED,
        },
        _S.PULLING: {_E.PULLED: _S.STARTING, _E.LINK_LOST: _S.WAITING, _E.RETIRE: _S.RETIRED},
        # A link lost while starting in step leaves a primary that has all there is, but no permit.
        _S.STARTING: {
            _E.SERVE: _S.IN_STEP,
            _E.PERMIT: _S.SOLO,
            _E.LINK_LOST: _S.WAITING,
            _E.RETIRE: _S.RETIRED,
        },
        _S.IN_STEP: {
            _E.LINK_LOST: _S.TRIPPED,
            _E.PERMIT: _S.SOLO,  # stop (rule 26)
            _E.QUIESCE: _S.QUIESCING,
            _E.RETIRE: _S.RETIRED,
        },
        _S.TRIPPED: {
            _E.LINK_LOST: _S.TRIPPED,
            _E.RESUME: _S.IN_STEP,
            _E.PERMIT: _S.SOLO,
            _E.RETIRE: _S.RETIRED,
        },
        _S.SOLO: {_E.LINK_LOST: _S.SOLO, _E.RESYNC: _S.MARKING, _E.RETIRE: _S.RETIRED},
        _S.MARKING: {_E.LINK_LOST: _S.SOLO, _E.COPY: _S.COPYING, _E.RETIRE: _S.RETIRED},
        _S.COPYING: {_E.LINK_LOST: _S.SOLO, _E.COPIED: _S.DRAINING, _E.RETIRE: _S.RETIRED},
        _S.DRAINING: {_E.LINK_LOST: _S.TRIPPED, _E.DRAINED: _S.SEALING, _E.RETIRE: _S.RETIRED},
        _S.SEALING: {_E.LINK_LOST: _S.TRIPPED, _E.SEALED: _S.REPORTING, _E.RETIRE: _S.RETIRED},
        _S.REPORTING: {_E.LINK_LOST: _S.TRIPPED, _E.REPORTED: _S.IN_STEP, _E.RETIRE: _S.RETIRED},
        _S.QUIESCING: {
            _E.LINK_LOST: _S.TRIPPED,
            _E.QUIET: _S.QUIESCED,
            _E.GO_ON: _S.IN_STEP,
            _E.RETIRE: _S.RETIRED,
        },
        _S.QUIESCED: {_E.LINK_LOST: _S.TRIPPED, _E.GO_ON: _S.IN_STEP, _E.RETIRE: _S.RETIRED},
        _S.RETIRED: {_E.LINK_LOST: _S.RETIRED, _E.RETIRE: _S.RETIRED},
    },
)
