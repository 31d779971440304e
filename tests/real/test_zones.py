"""Two agents in each zone, as real processes: each carries its groups, and a lost one takes no others with it."""

from tests.real.conftest import MakeHost, MakeInstallation
from tests.real.harness.checker import check
from tests.real.harness.events import Kind
from tests.real.harness.protected import is_in_step, protect


def test_a_lost_agent_takes_its_own_groups_alone(
    make_installation: MakeInstallation, make_host: MakeHost
) -> None:
    """One of az1's two agents is killed. Its group goes on at az2 and comes back; the other one never notices."""
    installation = make_installation(agents=2)
    assert installation.layout.site_names() == ["az1-1", "az1-2", "az2-1", "az2-2"]
    hit = protect(installation, at={"az1": "az1-1", "az2": "az2-2"})
    spared = protect(installation, at={"az1": "az1-2", "az2": "az2-1"})
    hosts = make_host(), make_host()
    hosts[0].start(hit.connect("az1"))
    hosts[1].start(spared.connect("az1"))
    for host in hosts:
        host.wait_acknowledged(50)

    killed = installation.kill("az1-1")
    hosts[0].connect(hit.fail_over("az2"))
    hosts[0].wait_acknowledged(50)
    hosts[1].wait_acknowledged(50)
    assert is_in_step(spared.seen()), spared.words()
    assert not hosts[1].count(Kind.FAILED, since=killed)
    assert not hosts[1].count(Kind.LOST, since=killed)
    assert spared.row()["primary_site"] == "az1-2"
    assert hit.row()["primary_site"] == "az2-2"

    installation.start("az1-1")
    hit.reprotect()
    for host, group in zip(hosts, (hit, spared), strict=True):
        host.pause()
        group.assert_equal()
        check(host, group.files("az2"))


def test_each_agent_has_volumes_of_its_own(make_installation: MakeInstallation) -> None:
    """What the installation's parts tell of where a volume is agrees: the API, the agents, the disks."""
    installation = make_installation(agents=2)
    client = installation.client
    volume = client.create_volume("somewhere", 1, "az2")
    site = volume["bilocate:site"]
    assert volume["availability_zone"] == "az2"
    assert site in ("az2-1", "az2-2")
    found = protect(installation, pairs=1, at={"az1": "az1-2", "az2": site})
    assert found.seen()["priority_station"] == "az1"
    assert [file.parent.parent.name for file in found.files("az2", 1)] == [site]
    uri = found.connect("az1")[0]
    ports = {name: installation.layout.config(name).read_text() for name in installation.layout.site_names()}
    port = uri.split(":")[2].partition("/")[0]
    assert [name for name, text in ports.items() if f"port = {port}" in text] == ["az1-2"]
