"""Phrases about what is between the sites: the controller's calls and operations, the link, the arbiter's row."""

from dataclasses import replace

from tests.replication.scenarios.phrases import Run, Vocabulary
from tests.replication.scenarios.stage import Stage
from tests.sim.world.world import SESSION, A

from bilocate.domain.arbiter import Ask, Call, Row
from bilocate.domain.errors import BilocateError
from bilocate.replication.records import Role

BETWEEN = Vocabulary()


def _asking(word: str, name: str) -> Run:
    def run(stage: Stage, site: str, given: dict[str, str]) -> None:
        attempt = stage.attempt(given["name"])
        attempt.answers = stage.scene.ask(site, name, attempt=attempt.number)

    return BETWEEN.says(f"{word} of {{name}}")(run)


for _word, _name in (("check", "precheck"), ("release", "release")):
    _asking(_word, _name)


@BETWEEN.says("{name} has passed", where="any")
def _passed(stage: Stage, site: str, given: dict[str, str]) -> None:
    answers = stage.attempt(given["name"]).answers
    assert answers, "there is no answer"
    assert isinstance(answers[0], dict), f"the answer is {answers[0]}"


@BETWEEN.says("failover of {name} changes the row", where="between")
def _row_changes(stage: Stage, site: str, given: dict[str, str]) -> None:
    attempt, world = stage.attempt(given["name"]), stage.scene.world
    said = world.arbiter.call(SESSION, Ask(Call.FAIL_OVER, version=attempt.version, new_epoch=attempt.number))
    assert isinstance(said, Row), f"it is refused: {said.value}"
    world.observers.failed_over(said.primary, False)


@BETWEEN.says("is put what is wanted")
def _put_wanted(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.put(site, stage.scene.world.controller.wanted(SESSION, site))


@BETWEEN.says("is put {name}, late")
def _put_late(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.put(site, stage.wanted[given["name"]])


@BETWEEN.says("what is wanted is called {name}")
def _note_wanted(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.wanted[given["name"]] = stage.scene.world.controller.wanted(SESSION, site)


@BETWEEN.says("what is wanted, with an operator's word, is called {name}")
def _note_vouched(stage: Stage, site: str, given: dict[str, str]) -> None:
    wanted = stage.scene.world.controller.wanted(SESSION, site)
    stage.wanted[given["name"]] = replace(wanted, trust_blank=True)


@BETWEEN.says("is put a promotion")
def _promotion(stage: Stage, site: str, given: dict[str, str]) -> None:
    wanted = stage.scene.world.controller.wanted(SESSION, site)
    stage.put(site, replace(wanted, epoch=wanted.epoch + 1, role=Role.PRIMARY, peer_site=stage.other(site)))


@BETWEEN.says("the put waits")
def _put_waits(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.run(0.2)
    assert not stage.puts, f"it is answered: {stage.puts}"


@BETWEEN.says("the put is refused")
def _put_refused(stage: Stage, site: str, given: dict[str, str]) -> None:
    assert stage.puts, "there is no answer"
    assert isinstance(stage.puts[-1], BilocateError), f"the answer is {stage.puts[-1]}"


@BETWEEN.says("{seconds} s pass", where="any")
def _pass(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.run(float(given["seconds"]))


@BETWEEN.says("link breaks", where="between")
def _breaks(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.world.wire.cut()


@BETWEEN.says("sites are parted", where="between")
def _part(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.part()


@BETWEEN.says("sites are joined", where="between")
def _join(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.join()


@BETWEEN.says("row is {state}", where="between")
def _row_is(stage: Stage, site: str, given: dict[str, str]) -> None:
    found = stage.scene.row()
    assert found == given["state"], f"it is {found}"


@BETWEEN.says("row names {site}", where="between")
def _row_names(stage: Stage, site: str, given: dict[str, str]) -> None:
    primary = stage.scene.world.arbiter.rows[SESSION].primary
    assert (primary == A) == (given["site"] == "A"), f"it names {primary}"


@BETWEEN.says("controller puts nothing by itself", where="between")
def _rests(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.world.controller.reconciling = False


@BETWEEN.says("failover {name}", where="between")
def _failover(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.operations[given["name"]] = stage.scene.world.controller.failover(SESSION)


@BETWEEN.says("failover {name}, allow data loss", where="between")
def _forced(stage: Stage, site: str, given: dict[str, str]) -> None:
    controller = stage.scene.world.controller
    stage.operations[given["name"]] = controller.failover(SESSION, allow_data_loss=True)


@BETWEEN.says("reversal {name}", where="between")
def _reverse(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.operations[given["name"]] = stage.scene.world.controller.reverse(SESSION)


@BETWEEN.says("{name} is done", where="between")
def _done(stage: Stage, site: str, given: dict[str, str]) -> None:
    operation = stage.ended(given["name"])
    assert operation.done, f"it failed: {operation.error}"


@BETWEEN.says("{name} fails", where="between")
def _failed(stage: Stage, site: str, given: dict[str, str]) -> None:
    assert not stage.ended(given["name"]).done, "it is done"


@BETWEEN.says("operator's word: the primary's copy is the truth", where="between")
def _trust(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.world.controller.set_paused(SESSION, False, trust_blank=True)


@BETWEEN.says("all is well", where="between")
def _all_well(stage: Stage, site: str, given: dict[str, str]) -> None:
    stage.scene.until_in_step()
