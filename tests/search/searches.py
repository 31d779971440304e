"""The searches, by name: small ones for every run of the tests, large ones for `make search`."""

from tests.search.bounds import Bounds

_TWO_VOLUMES = ((0, 0), (1, 0), (0, 1))

SMALL = {
    "link": Bounds(writes=2, cuts=1),
    "crash": Bounds(writes=1, crashes=1),
    "failover": Bounds(writes=1, failovers=1, quick=True),
    "switchover": Bounds(writes=1, switchovers=1, quick=True),
    "order": Bounds(writes=2, forced=1, places=_TWO_VOLUMES, ordered=True, quick=True),
}

LARGE = {
    "unknown": Bounds(writes=1, cuts=1, unknown=1),
    "power": Bounds(writes=1, power_cuts=1),
    "failover-slow": Bounds(writes=1, failovers=1),
    "order-cut": Bounds(writes=2, cuts=1, forced=1, places=_TWO_VOLUMES, ordered=True, quick=True),
}
