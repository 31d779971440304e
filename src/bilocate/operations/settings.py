"""The figures that operations run by, each with its unit and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bilocate.config import ControllerConfig
from bilocate.domain.zones import Zones


@dataclass(frozen=True, slots=True)
class SiteAddress:
    """Where a site's agent is reached."""

    name: str
    control_url: str  # http://host:port of the control endpoint
    link_address: str | tuple[str, int]  # what the other sites' agents dial: (host, port), or a unix socket
    nbd_host: str  # what hosts dial
    nbd_port: int
    zone: str = ""  # its availability zone; empty: one of its own, of the same name


@dataclass(frozen=True, slots=True)
class Timing:
    """Times, in seconds."""

    agent_connect_seconds: float = 1.0  # loopback and LAN connect in milliseconds; a dead machine never does
    agent_call_seconds: float = 5.0  # a PUT waits for the agent's disk, which may be slow but not this slow
    precheck_seconds: float = (
        15.0  # a failover's check flushes the secondary's disks: a page cache full of writes
    )
    quiesce_seconds: float = 10.0  # a switchover holds hosts, drains and flushes both sites
    tell_seconds: float = (
        1.0  # for a site that is told what it would hear anyway: it may be just what has died
    )
    observe_every_seconds: float = 0.5  # how old the truth that is shown may be
    observe_timeout_seconds: float = 2.0  # an agent that is silent so long is shown as not answering
    reconcile_every_seconds: float = 2.0  # how long a site may stay other than wanted without anyone noticing
    lease_seconds: float = 5.0  # a controller that is silent so long has its operations taken over
    scan_every_seconds: float = 1.0  # how often a runner looks for operations that nobody carries on
    hand_on_seconds: float = 2.0  # for telling the database, at the end, that operations are others' now
    wait_poll_seconds: float = (
        0.003  # between looks at an agent that an operation waits for; rises by half ...
    )
    wait_poll_most_seconds: float = 0.1  # ... up to this
    backoff_first_seconds: float = 0.02  # before a failed step is tried again; doubles each time ...
    backoff_most_seconds: float = 1.0  # ... up to this
    undo_patience_seconds: float = 2.0  # an undo that needs an agent that does not answer is left to settling
    forward_patience_seconds: float = 60.0  # behind the point of no return, before a verb ends in error
    before_patience_seconds: float = 5.0  # before it, until the verb is undone


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operations of one controller need to know."""

    sites: Mapping[str, SiteAddress]
    control_token: str
    # Stable over restarts: a controller that starts again goes on with its own operations at once. Several
    # controllers on one database need different names.
    controller_name: str = "controller"
    timing: Timing = field(default_factory=Timing)

    @property
    def zones(self) -> Zones:
        """Which availability zone each site is in."""
        return Zones({name: site.zone or name for name, site in self.sites.items()})


def settings_of(config: ControllerConfig, control_token: str) -> Settings:
    """The operations' part of a controller's configuration."""
    sites = {
        name: SiteAddress(name, site.control_url, site.link_target(), site.nbd_host, site.nbd_port, site.zone)
        for name, site in config.sites.items()
    }
    return Settings(sites=sites, control_token=control_token, controller_name=config.controller_name)
