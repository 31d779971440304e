"""The NBD server: `server.NbdServer` serves the volumes that an ExportSource finds.

The way of a connection: `negotiation.py` (its protocol, `handshake.py`, is free of I/O), then
`transmission.py`, the hot path. `limits.py` has every bound.
"""

from bilocate.site.nbd.limits import Limits
from bilocate.site.nbd.server import NbdServer

__all__ = ["Limits", "NbdServer"]
