"""The site's durable state: a small SQLite database that notices when it was damaged.

`Ledger` is all that others need; `LedgerState` is what it held when it was opened.
"""

from bilocate.site.ledger.errors import LedgerClosed, LedgerError, LedgerInUse, LedgerTooNew, LedgerUnusable
from bilocate.site.ledger.ledger import Ledger, LedgerStats
from bilocate.site.ledger.machine import read_boot_id
from bilocate.site.ledger.state import LedgerState

__all__ = [
    "Ledger",
    "LedgerClosed",
    "LedgerError",
    "LedgerInUse",
    "LedgerState",
    "LedgerStats",
    "LedgerTooNew",
    "LedgerUnusable",
    "read_boot_id",
]
