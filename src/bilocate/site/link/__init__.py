"""Links: one authenticated, ordered connection per session between the agents of two sites."""

from bilocate.site.link.dialer import Connected, Dialer
from bilocate.site.link.handshake import Claim, HandshakeRefused
from bilocate.site.link.link import Link, LinkEvents
from bilocate.site.link.listener import Accept, LinkListener
from bilocate.site.link.settings import Address, LinkSettings, parse_address, spell_address

__all__ = [
    "Accept",
    "Address",
    "Claim",
    "Connected",
    "Dialer",
    "HandshakeRefused",
    "Link",
    "LinkEvents",
    "LinkListener",
    "LinkSettings",
    "parse_address",
    "spell_address",
]
