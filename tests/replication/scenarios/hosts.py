"""Phrases about hosts: what they ask, and what they are answered."""

import errno

from tests.replication.scenarios.phrases import Vocabulary
from tests.replication.scenarios.stage import Stage, place_of

HOSTS = Vocabulary()


@HOSTS.says("connect")
def _connect(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.connect(site)


@HOSTS.says("write {name}", "write {name} at {place}")
def _write(stage: Stage, site: str, given: dict[str, str]) -> None:
    volume, sector = place_of(given.get("place", "0"))
    stage.ops[given["name"]] = stage.host(site, volume).write(sector)


@HOSTS.says("read {name}", "read {name} at {place}")
def _read(stage: Stage, site: str, given: dict[str, str]) -> None:
    volume, sector = place_of(given.get("place", "0"))
    stage.ops[given["name"]] = stage.host(site, volume).read(sector)


@HOSTS.says("{name} is answered", where="any")
def _answered(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.until_answered(stage.op(given["name"]))


@HOSTS.says("{name} waits", where="any")
def _waits(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.run()
    assert not stage.op(given["name"]).ok, "it is answered"


@HOSTS.says("{name} fails with {errno}", where="any")
def _fails(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.run(0.02)
    found = stage.op(given["name"]).errno
    assert found == getattr(errno, given["errno"]), f"its errno is {found}"


@HOSTS.says("{name} shows {other}", where="any")
def _shows(stage: Stage, site: str, given: dict[str, str]) -> None:
    found = stage.scene.until_answered(stage.op(given["name"])).found
    assert found == [stage.number(given["other"])], f"it shows {stage.names(found)}"


@HOSTS.says("hosts are gone")
def _hosts_gone(stage: Stage, site: str, given: dict[str, str]) -> None:
    connected = [host for host in stage.scene.hosts if host.connection and host.connection.site == site]
    assert not connected, "a host is still connected"


@HOSTS.says("hosts of before are refused")
def _refused(stage: Stage, site: str, given: dict[str, str]) -> None:
    attachment = stage.scene.host.attachment
    assert attachment in stage.agent(site).refused, "they are not"
    assert attachment in stage.agent(site).ledger.items.get("refused", "").split(), "it is not durable"


@HOSTS.says("serves nobody")
def _serves_nobody(stage: Stage, site: str, given: dict[str, str]) -> None:
    assert not stage.scene.connects(site), "a host can connect"
