"""Phrases about a site: its disk, its ledger, its process, and events that are held back there."""

import errno

from tests.replication.scenarios.phrases import EVENTS, Vocabulary
from tests.replication.scenarios.stage import Stage
from tests.sim.world.disk import ZERO, Failure
from tests.sim.world.scheduler import Event, Kind
from tests.sim.world.world import SESSION

SITES = Vocabulary()


@SITES.says("disk has {name}")
def _disk_has(stage: Stage, site: str, given: dict[str, str]) -> None:
    op = stage.op(given["name"])
    found = stage.scene.writer(site, op.first, op.volume)
    assert found == op.number, f"it has {stage.names([found])}"


@SITES.says("disk lacks {name}")
def _disk_lacks(stage: Stage, site: str, given: dict[str, str]) -> None:
    op = stage.op(given["name"])
    assert stage.scene.writer(site, op.first, op.volume) != op.number, "it has it"


@SITES.says("disk as the other's")
def _equal(stage: Stage, site: str, given: dict[str, str]) -> None:
    mine, other = (stage.scene.world.disk(0, each).cache for each in (site, stage.other(site)))
    different = sorted(s for s in {*mine, *other} if mine.get(s, ZERO) != other.get(s, ZERO))
    assert not different, f"sectors {different} differ"


@SITES.says("writes fail with {errno}")
def _writes_fail(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.world.disk(0, site).failures.append(Failure("write", getattr(errno, given["errno"]), 0, 512))


@SITES.says("writes work again")
def _writes_work(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.world.disk(0, site).failures.clear()


@SITES.says("an older disk in place of this one")
def _older_disk(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.world.disk(0, site).cache.clear()


@SITES.says("ledger is lost")
def _ledger_lost(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.agent(site).ledger.lose()


@SITES.says("intent of {name} is durable")
def _intent(stage: Stage, site: str, given: dict[str, str]) -> None:
    op = stage.op(given["name"])
    intents = stage.scene.durable(site, op.volume).intents
    assert stage.extent(op) in intents, f"durable are {sorted(intents)}"


@SITES.says("no intents")
def _no_intents(stage: Stage, site: str, given: dict[str, str]) -> None:
    intents = stage.scene.durable(site).intents
    assert not intents, f"durable are {sorted(intents)}"


@SITES.says("less than {number} intents")
def _few_intents(stage: Stage, site: str, given: dict[str, str]) -> None:
    intents = stage.scene.durable(site).intents
    assert len(intents) < int(given["number"]), f"durable are {sorted(intents)}"


@SITES.says("is {role} in the ledger")
def _role(stage: Stage, site: str, given: dict[str, str]) -> None:
    found = stage.agent(site).ledger.sessions[SESSION].role
    assert found.value == given["role"], f"it is {found.value}"


@SITES.says("process ends")
def _ends(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.agent(site).kill()


@SITES.says("process starts")
def _starts(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.agent(site).start()


@SITES.says("process restarts")
def _restarts(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.restart(site)


@SITES.says("power cut")
def _power_cut(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.agent(site).cut_power()


@SITES.says("controller is out of reach")
def _out_of_reach(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.agent(site).controller_in_reach = False


@SITES.says("is {state}")
def _is(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.wait(site, given["state"])


@SITES.says("stays {state}")
def _stays(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.run(0.3)
    assert (found := stage.scene.state(site)) == given["state"], f"it is {found}"


@SITES.says("tells {text}")
def _tells(stage: Stage, site: str, given: dict[str, str]) -> None:
    found = str(stage.scene.told(site).get("refusal"))
    assert given["text"].strip('"') in found, f"it tells {found}"


@SITES.says("has no past")
def _blank(stage: Stage, site: str, given: dict[str, str]) -> None:
    assert stage.scene.told(site)["volumes"][0]["blank"], "it has one"


@SITES.says("hold {event}")
def _hold(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.holds[site, given["event"]] = stage.scene.hold(*_event(site, given))


@SITES.says("let {event} go")
def _let_go(stage: Stage, site: str, given: dict[str, str]) -> None:
    hold = stage.holds.pop((site, given["event"]), None)
    assert hold is not None, "nothing holds it"
    stage.scene.release(hold)
    stage.scene.run(0.01)


@SITES.says("{event} is held")
def _held(stage: Stage, site: str, given: dict[str, str]) -> None:
    _parked(stage, site, given)


@SITES.says("{event} happens")
def _happens(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.world.scheduler.deliver(_parked(stage, site, given)[0])


@SITES.says("newest {event} happens")
def _newest(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.world.scheduler.deliver(_parked(stage, site, given)[-1])


@SITES.says("{event} is lost")
def _lost(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.world.scheduler.drop(_parked(stage, site, given)[0])


def _event(site: str, given: dict[str, str]) -> tuple[Kind, str, str]:
    kind, _, name = given["event"].partition(" ")
    return EVENTS[kind], site, name


def _parked(stage: Stage, site: str, given: dict[str, str]) -> list[Event]:
    """Those that are held now, the first of them at least; a little time goes by for it to come."""
    stage.scene.world.run_until(lambda: bool(stage.scene.parked(*_event(site, given))), 1.0)
    found = stage.scene.parked(*_event(site, given))
    assert found, "there is none"
    return found
