"""Item 14. Hostile input at both ports of both agents, while hosts write: the connection ends, nothing else does."""

import contextlib
import resource
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from tests.real.harness import attacks
from tests.real.harness.attacks import Address
from tests.real.harness.checker import check
from tests.real.harness.events import Kind
from tests.real.harness.host import Host
from tests.real.harness.installation import SITES, Installation
from tests.real.harness.late_write import NbdSocket
from tests.real.harness.protected import SIZE_GIB, Protected, protect

from bilocate.config import load_site_config, read_key
from bilocate.site.link.handshake import Claim, HandshakeRefused
from bilocate.site.nbd import Limits

pytestmark = pytest.mark.timed

MIB = 1024**2
SIZE_BYTES = SIZE_GIB * 1024**3
SLOW_READERS = 8
# What one agent may grow by: all bounds that these attacks can fill (rule 27), and as much as they need themselves.
GROWTH_BYTES_MAX = Limits().receiving_bytes_max + SLOW_READERS * Limits().unsent_bytes_max + 64 * MIB
CROWD = 1000
# Two cores serve the attacks too; a stall that someone could make longer would be much longer than this.
STALL_SECONDS = 2.0

Tell = Callable[..., None]


@pytest.fixture
def many_files() -> Iterator[None]:
    """A crowd needs more open sockets than a process usually may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Watch:
    """What must stay as it is, whatever is sent."""

    def __init__(self, group: Protected, host: Host) -> None:
        self.group, self.host = group, host
        self.began = time.monotonic()
        self.row = group.row()
        self.memory = {site: group.installation.resident_bytes(site) for site in SITES}
        self.growth = dict.fromkeys(SITES, 0)

    def look(self, what: str) -> None:
        """Hosts are answered, and nobody has grown too much."""
        self.host.wait_acknowledged(50)
        for site in SITES:
            now = self.group.installation.resident_bytes(site) - self.memory[site]
            self.growth[site] = max(self.growth[site], now)
            assert now < GROWTH_BYTES_MAX, f"{what}: {site} has grown by {now / MIB:.0f} MiB"

    def assert_undisturbed(self) -> None:
        """No host was disconnected, the link never broke, no agent met what it did not expect."""
        assert not self.host.count(Kind.DISCONNECTED, self.began), "hosts were disconnected"
        stall = self.host.longest_stall(self.began)
        assert stall <= STALL_SECONDS, f"hosts stalled for {stall:.2f} s"
        row = self.group.row()
        assert (row["version"], row["state"]) == (self.row["version"], "in_sync"), "the link was disturbed"
        for site in SITES:
            assert "Traceback" not in self.group.installation.log(site), f"a defect in the log of {site}"


def ports(installation: Installation, site: str) -> dict[str, Address]:
    config = load_site_config(installation.layout.config(site))
    return {"nbd": (config.nbd.host, config.nbd.port), "link": (config.link.host, config.link.port)}


@pytest.mark.slow
@pytest.mark.usefixtures("many_files")
def test_whoever_has_no_secret_only_loses_the_own_connection(
    installation: Installation, host: Host, tell: Tell
) -> None:
    """Noise, lies about lengths, wrong magic, messages out of turn; then a thousand connections that say nothing, or
    half a word, at each port, while a new host finds its way in past them."""
    group = protect(installation)
    uris = group.connect("az1")
    host.start(uris)
    watch = Watch(group, host)
    for site in SITES:
        for name, address in ports(installation, site).items():
            for attack in (attacks.noise, attacks.wrong_options, attacks.wrong_links):
                attack(address)
                watch.look(f"{attack.__name__} at {name} of {site}")
            for word in (b"", b"BILOLI" if name == "link" else attacks.CLIENT_FLAGS):
                clients = attacks.crowd(address, CROWD, word)
                watch.look(f"a crowd at {name} of {site}")
                NbdSocket(uris[0]).close()
                close_all(clients)
    watch.assert_undisturbed()
    group.wait_in_step()
    host.pause()
    group.assert_equal()
    check(host, group.files("az2"))
    tell(**{f"growth_mib_{site}": growth / MIB for site, growth in watch.growth.items()})


@pytest.mark.slow
@pytest.mark.usefixtures("many_files")
def test_a_host_with_bad_manners_harms_nobody_else(
    installation: Installation, host: Host, tell: Tell
) -> None:
    """With an export's secret: requests out of bounds, of no kind, of impossible length; hosts that ask for
    gigabytes and take nothing; hosts that announce writes and don't send them."""
    group = protect(installation)
    uris = group.connect("az1")
    host.start(uris)
    watch = Watch(group, host)
    attacks.wrong_requests(uris[0], SIZE_BYTES)
    watch.look("wrong requests")
    held: list[Any] = attacks.slow_readers(uris[0], count=SLOW_READERS, asked_bytes=512 * MIB)
    watch.look("slow readers")
    close_all(held)
    held = attacks.announced_writes(uris[0], count=16)
    watch.look("announced writes")
    bounded = installation.resident_bytes("az1")
    held += attacks.announced_writes(uris[0], count=48)
    watch.look("three times as many announced writes")
    assert installation.resident_bytes("az1") < bounded + 64 * MIB
    close_all(held)
    watch.look("hosts that have gone")
    watch.assert_undisturbed()
    group.wait_in_step()
    host.pause()
    group.assert_equal()
    tell(**{f"growth_mib_{site}": growth / MIB for site, growth in watch.growth.items()})


@pytest.mark.slow
def test_a_peer_that_talks_nonsense_loses_its_link_and_nothing_else(
    installation: Installation, host: Host
) -> None:
    """With the installation's key even: a session that is not there or not for this peer is refused; frames that
    are none end the link. The true peer comes back by itself, and nothing is lost."""
    group = protect(installation)
    host.start(group.connect("az1"))
    watch = Watch(group, host)
    key = read_key(installation.layout.key_file)
    address = ports(installation, "az2")["link"]
    for claim in (
        Claim("az1", "az2", "no-such-session"),
        Claim("az9", "az2", group.group_id),
        Claim("az2", "az2", "x"),
    ):
        with pytest.raises(HandshakeRefused):
            attacks.greet_as_peer(address, key, claim)
    with pytest.raises(HandshakeRefused):
        attacks.greet_as_peer(address, bytes(32), Claim("az1", "az2", group.group_id))
    watch.assert_undisturbed()
    attacks.wrong_frames(partial(attacks.greet_as_peer, address, key, Claim("az1", "az2", group.group_id)))
    watch.look("wrong frames")
    assert not host.count(Kind.DISCONNECTED, watch.began)
    group.wait_in_step()
    host.pause()
    group.assert_equal()
    check(host, group.files("az2"))
    assert "Traceback" not in installation.log("az2") + installation.log("az1")


def close_all(clients: list[Any]) -> None:
    for client in clients:
        with contextlib.suppress(OSError):
            client.close()
