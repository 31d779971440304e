"""Availability zones and their sites.

A site is what one agent has: a process, a ledger, volumes. Usually it is all there is of its zone, and has its name. A
zone may have several, so that more cores or more machines carry it. Clients of the API know zones; everything below
the API knows sites. A session is between one site of one zone and one of another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Zones:
    """Which zone each site is in. Where a name is both a zone's and a site's, the zone is meant."""

    by_site: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """All zones, in order."""
        return sorted(set(self.by_site.values()))

    def of(self, site: str) -> str:
        """A site's zone. A site that is not configured any more is a zone of its own."""
        return self.by_site.get(site, site)

    def sites(self, name: str) -> list[str]:
        """The sites of the zone of that name, in order, or the one site that is called so; none if nothing is."""
        found = sorted(site for site, zone in self.by_site.items() if zone == name)
        return found or [name] * (name in self.by_site)

    def named(self, name: str, sites: Iterable[str]) -> str | None:
        """The one of `sites`, each of another zone, that a zone's or a site's name means; None: it means none."""
        meant = {name, *self.sites(name)}
        return next((site for site in sites if site in meant), None)

    def place(self, name: str, owner: str, used: Mapping[str, int]) -> str:
        """Where in a zone a new volume of `owner`'s goes; `used`: how many of its volumes each site has.

        To where most of them are: volumes that are to be in one group must be at one site. A first one goes by a hash,
        so that two calls at once choose alike and owners are spread. A name that is no zone's stays as it is.
        """
        sites = self.sites(name)
        if not sites:
            return name
        return max(sites, key=lambda site: (used.get(site, 0), _lot(site, owner)))


def _lot(site: str, owner: str) -> bytes:
    """The highest of the sites' lots wins: a site that is added takes owners from all, and none moves elsewhere."""
    return blake2b(f"{owner} {site}".encode(), digest_size=8).digest()
