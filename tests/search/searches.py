"""The searches, by name: small ones for every run of the tests, large ones for `make search`, brief ones for
breakages."""

from tests.search.bounds import Bounds

_TWO_VOLUMES = ((0, 0), (1, 0), (0, 1))
_AGAINST_THE_COPYING = ((1, 0), (0, 0))  # a resync copies the later write first

SMALL = {
    "link": Bounds(writes=2, cuts=1),
    "crash": Bounds(writes=1, crashes=1),
    "failover": Bounds(writes=1, failovers=1, quick=True),
    "switchover": Bounds(writes=1, switchovers=1, quick=True),
    "order": Bounds(writes=2, forced=1, places=_TWO_VOLUMES, ordered=True, quick=True),
    "ledger": Bounds(writes=1, ledgers_lost=1, quick=True),
}

LARGE = {
    "failover-crash": Bounds(writes=1, failovers=1, crashes=1, instant=True),
    "switchover-crash": Bounds(writes=1, switchovers=1, crashes=1, instant=True),
    "failover-late": Bounds(writes=1, failovers=2, repeats=1, instant=True),
    "failover-late-crash": Bounds(writes=1, failovers=1, crashes=1, repeats=1, instant=True),
    "switchover-late": Bounds(writes=1, switchovers=1, cuts=1, repeats=1, instant=True),
    "disks": Bounds(writes=2, cuts=1, slow_disks=True, quick=True),
    "unknown": Bounds(writes=1, cuts=1, unknown=1, slow_answers=True, quick=True),
    "power": Bounds(writes=1, power_cuts=1),
    "failover-power": Bounds(writes=1, failovers=1, power_cuts=1, instant=True),
    "stop": Bounds(writes=1, stops=1, go_ons=1, cuts=1, instant=True),
    "intents": Bounds(writes=3, cuts=1, intents_max=1, places=_TWO_VOLUMES, quick=True),
    "fresh": Bounds(writes=2, cuts=1, fresh=True, quick=True),
    "read": Bounds(writes=2, reads=1, cuts=1, quick=True),
    "crash-cut": Bounds(writes=1, crashes=1, cuts=1, quick=True),
    "order-cut": Bounds(writes=2, cuts=1, forced=1, places=_TWO_VOLUMES, ordered=True, instant=True),
    "order-more": Bounds(writes=3, forced=1, places=_TWO_VOLUMES, ordered=True, quick=True),
    "failover-slow": Bounds(writes=1, failovers=1),
    "two-crashes": Bounds(writes=1, crashes=2, instant=True),
    "reprotect": Bounds(writes=1, failovers=1, cuts=1, go_ons=1, instant=True),
    "failover-crash-cut": Bounds(writes=1, failovers=1, crashes=1, cuts=1, instant=True),
    "failover-unknown-crash": Bounds(writes=1, failovers=1, crashes=1, unknown=1, instant=True),
    "failover-power-late": Bounds(writes=1, failovers=1, power_cuts=1, repeats=1, instant=True),
    "switchover-power": Bounds(writes=1, switchovers=1, power_cuts=1, instant=True),
    "ledger-cut": Bounds(writes=1, ledgers_lost=1, cuts=1, instant=True),
    "order-crash": Bounds(writes=2, forced=1, crashes=1, places=_TWO_VOLUMES, ordered=True, instant=True),
    "order-power": Bounds(writes=2, forced=1, power_cuts=1, places=_TWO_VOLUMES, ordered=True, instant=True),
    "order-cut-more": Bounds(writes=3, forced=1, cuts=1, places=_TWO_VOLUMES, ordered=True, instant=True),
    "order-copying": Bounds(
        writes=2, forced=1, places=_AGAINST_THE_COPYING, ordered=True, quick=True, fresh=True
    ),
}

# Each a second at most: every rule of the list of breakages is tried on all of them.
BRIEF = {
    "brief-cut": Bounds(writes=1, cuts=1, quick=True),
    "brief-crash": Bounds(writes=1, crashes=1, instant=True),
    "brief-power": Bounds(writes=1, power_cuts=1, instant=True),
    "brief-ledger": Bounds(writes=1, ledgers_lost=1, instant=True),
    "brief-failover": Bounds(writes=1, failovers=1, instant=True),
    "brief-switchover": Bounds(writes=1, switchovers=1, instant=True),
    "brief-order": Bounds(writes=2, forced=1, places=_TWO_VOLUMES, ordered=True, instant=True),
}
