"""A site's agent: ledger, volumes, sessions and the four ways in (NBD, link, control, and out to controllers)."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import structlog

from bilocate import __version__
from bilocate.config import SiteConfig, control_token
from bilocate.replication.limits import INTENTS_AHEAD, Limits
from bilocate.replication.session import Session
from bilocate.site.adoption import Adoptable
from bilocate.site.arbiter_client import ArbiterClient, ArbiterSettings
from bilocate.site.busy_poll import BusyPoll
from bilocate.site.control import AgentFacts, Control
from bilocate.site.control_server import ControlServer, bind
from bilocate.site.disks import Workers
from bilocate.site.ledger import Ledger, read_boot_id
from bilocate.site.link import Address, Claim, Dialer, Link, LinkEvents, LinkListener
from bilocate.site.nbd import Limits as NbdLimits
from bilocate.site.nbd import NbdServer
from bilocate.site.runner import SessionRunner
from bilocate.site.session_ports import SessionPorts
from bilocate.site.sessions import Sessions
from bilocate.site.volumes import Volumes, VolumeSettings

log = structlog.get_logger(__name__)

LEDGER_FILE = "ledger.db"
VOLUMES_DIRECTORY = "volumes"
MARKED_FOR_EACH_AHEAD = 64  # where few intents are kept, few are made in advance


class Agent:
    """One site's agent in this process, from `start` to `stop`. The addresses are those really taken."""

    def __init__(self, config: SiteConfig, key: bytes) -> None:
        self.nbd_address: tuple[str, int] = ("", 0)
        self.link_address: Address = ("", 0)
        self.control_url = ""
        self.facts = AgentFacts(
            config.site, secrets.token_hex(8), config.testing.boot_id or read_boot_id(), __version__
        )
        self._config = config
        self._key = key
        self._token = control_token(key)
        self._limits = session_limits(config)
        self._announcing: asyncio.Task[None] | None = None
        self._ending = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Come back when hosts, peers and controllers are answered. Controllers need not be there.

        :raises OSError: an address is taken, or the state directory can't be used.
        :raises LedgerError: the ledger is held by another process, or can't be used.
        """
        try:
            await self._start()
        except BaseException:
            await self._ending.aclose()
            raise

    async def _start(self) -> None:
        """In an order in which each finds what it needs; `_ending` undoes it from the last to the first."""
        config, ending = self._config, self._ending
        bound = bind(config.control.host, config.control.port)
        ending.callback(bound.close)
        await asyncio.to_thread(config.state_dir.mkdir, 0o700, parents=True, exist_ok=True)
        ledger, state = Ledger.open(config.state_dir / LEDGER_FILE, boot_id=self.facts.boot_id)
        ending.push_async_callback(asyncio.to_thread, ledger.close)
        ending.callback(ledger.end)
        workers = Workers()
        ending.callback(workers.close)
        volumes = Volumes(_volume_settings(config), ledger, workers, fresh=state.fresh is not None)
        ending.callback(volumes.close)
        ending.push_async_callback(volumes.flush)
        arbiter = ArbiterClient(
            config.controller_urls,
            self._token,
            ArbiterSettings(timeout_seconds=config.timeouts.arbiter_timeout_seconds),
            config.controller_ca_file,
        )
        ending.push_async_callback(arbiter.aclose)
        busy_poll = BusyPoll(config.timeouts.busy_poll_seconds)
        runners = self._runners(ledger, arbiter, volumes, busy_poll)
        sessions = Sessions(config.site, volumes, runners, ledger.stats, busy_poll, workers)
        ending.callback(sessions.close)
        nbd = NbdServer(volumes, _nbd_limits(config), busy_poll)
        ending.push_async_callback(nbd.stop)

        await volumes.restore(state)
        await self._listen(nbd, sessions)
        sessions.restore(list(state.sessions.values()))
        volumes.serve_bare_ones()
        await self._take_calls(sessions, bound)
        self._announcing = asyncio.create_task(self._announce(arbiter), name="announce")
        ending.callback(self._announcing.cancel)
        log.info(
            "site_ready",
            site=config.site,
            instance=self.facts.instance,
            control=self.control_url,
            ledger=state.fresh or "as left",
            sessions=len(state.sessions),
            volumes=len(state.volumes),
        )

    async def _take_calls(self, sessions: Sessions, bound: socket.socket) -> None:
        control = ControlServer(Control(self.facts, sessions, self._token).app, bound)
        self._ending.push_async_callback(control.stop)
        await control.start()
        host, port = bound.getsockname()[:2]
        self.control_url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Take nothing more, flush the volumes, close the ledger. Sessions go on where they were at the next start."""
        log.info("site_stopping", site=self._config.site)
        await self._ending.aclose()

    async def _listen(self, nbd: NbdServer, sessions: Sessions) -> None:
        config = self._config
        link = config.link
        listener = LinkListener(
            link.unix_socket or (link.host, link.port), self._key, config.site, sessions.accept
        )
        self._ending.callback(listener.close)
        await listener.start()
        self.link_address = listener.address
        self.nbd_address = await nbd.listen_tcp(config.nbd.host, config.nbd.port)
        if config.nbd.unix_socket:
            await nbd.listen_unix(Path(config.nbd.unix_socket))

    def _runners(
        self, ledger: Ledger, arbiter: ArbiterClient, volumes: Volumes, busy_poll: BusyPoll
    ) -> Callable[[str], SessionRunner]:
        site, facts = self._config.site, self.facts

        def make(session_id: str) -> SessionRunner:
            ports = SessionPorts(session_id, site, ledger, arbiter, volumes)
            session = Session(session_id, site, facts.instance, facts.boot_id, ports, self._limits)
            return SessionRunner(session, ports, self._dialer, busy_poll)

        return make

    def _dialer(
        self, address: Address, peer_site: str, session_id: str, connected: Callable[[Link], LinkEvents]
    ) -> Dialer:
        return Dialer(address, self._key, Claim(self._config.site, peer_site, session_id), connected)

    async def _announce(self, arbiter: ArbiterClient) -> None:
        facts = self.facts
        await arbiter.announce(facts.site, facts.instance, facts.boot_id)
        facts.announced = True


def _volume_settings(config: SiteConfig) -> VolumeSettings:
    return VolumeSettings(
        site=config.site,
        directory=config.state_dir / VOLUMES_DIRECTORY,
        adoptable=Adoptable(config.adopt_from, config.state_dir),
        unanswered_bytes_max=config.limits.unanswered_bytes_max,
        list_exports=config.nbd.list_exports,
        faults_file=config.testing.disk_fault_file,
    )


def _nbd_limits(config: SiteConfig) -> NbdLimits:
    return NbdLimits(
        connections_max=config.limits.connections_max,
        request_bytes_max=config.limits.nbd_request_bytes_max,
    )


def session_limits(config: SiteConfig) -> Limits:
    """What the configuration says of sessions, as their core has it."""
    limits, timeouts = config.limits, config.timeouts
    return Limits(
        unanswered_bytes_max=limits.unanswered_bytes_max,
        intents_max=limits.intents_max,
        intents_ahead=min(INTENTS_AHEAD, limits.intents_max // MARKED_FOR_EACH_AHEAD),
        resync_window_bytes=limits.resync_window_bytes,
        resync_bytes_per_second=limits.resync_bytes_per_second,
        heartbeat_seconds=timeouts.heartbeat_seconds,
        heartbeat_timeout_seconds=timeouts.heartbeat_timeout_seconds,
        resume_wait_seconds=timeouts.resume_wait_seconds,
        restart_wait_seconds=timeouts.restart_wait_seconds,
        arbiter_retry_seconds=timeouts.arbiter_retry_seconds,
        quiesce_timeout_seconds=timeouts.quiesce_timeout_seconds,
        retry_seconds=timeouts.resync_retry_seconds,
    )
