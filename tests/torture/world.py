"""One seed: an installation of its own, and its rounds of trouble, healing and checking."""

import time
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.postgres import new_database
from tests.real.harness.cluster import Cluster
from tests.real.harness.installation import SITES, Installation
from tests.real.harness.protected import is_in_step, protect
from tests.real.harness.waiting import wait_for
from tests.torture.checks import (
    SETTLED,
    Broken,
    check_one_writer,
    check_possible,
    check_protection_told,
)
from tests.torture.evidence import Trace
from tests.torture.hosts import Writer, Writers
from tests.torture.operator import Operator
from tests.torture.plan import Mix, Plan, Step, plan_of
from tests.torture.stage import Stage

from bilocate.cli.client import Group

CONVERGE_SECONDS = 90.0
SETTLE_SECONDS = 45.0
FIRST_RECORDS, LAST_RECORDS = 50, 100
RETRY_SECONDS = 0.5
STOPPED = ("active-stopped", "inactive")
# What nobody in a controller or an agent expects to happen.
DEFECTS = ('_defect"', '"level": "critical"', "Traceback", '"exception"')


class World:
    """`directory` holds everything: configuration, logs, volumes, diaries, the trace. `server`: PostgreSQL's socket."""

    def __init__(self, seed: int, directory: Path, server: str | None) -> None:
        self.seed, self.directory = seed, directory
        directory.mkdir(parents=True)
        self._trace = Trace(directory / "trace")
        self._opened = ExitStack()
        mix = Mix.of(seed)
        self._installation = self._install(mix.controllers if server else 1, server)
        self._opened.callback(self._installation.end)
        self._told_defects = 0

    def _install(self, controllers: int, server: str | None) -> Installation:
        root = self.directory / "installation"
        if controllers > 1 and server:
            url = new_database(server, f"torture_{self.seed}_{time.monotonic_ns()}")
            return Cluster(root, url, controllers, wired=True)
        return Installation(root, wired=True)

    def begin(self) -> None:
        """Start everything; a group in step."""
        installation = self._installation
        installation.up()
        self._group = protect(installation)
        if isinstance(installation, Cluster):
            addresses = {name: installation.address(name) for name in installation.controllers}
        else:
            addresses = {"controller": installation.api}
        self._first = next(iter(addresses))
        self._operator = Operator(installation, self._group, addresses, self._trace)
        self._opened.callback(self._operator.close)
        self._stage = Stage(installation, self._trace)
        self._writers = Writers(self.directory)
        self._opened.callback(self._writers.end)

    def close(self) -> None:
        """End everything that runs."""
        self._opened.close()

    def round(self, number: int) -> str:
        """Trouble, healing, checks; a few words on how it went.

        :raises AssertionError: a promise was not kept, or it did not heal.
        """
        plan = plan_of(self.seed, number)
        with self._trace.during(f"round {number}"):
            self._writers.begin(number)
            here = list(self._writers.now.values())
            self._connect_all(FIRST_RECORDS)
            self._stage.apart = []
            self._operator.watch()
            self._carry_out(plan)
            self._stage.heal()
            self._stage.wait_ready()
            self._operator.wait()
            if plan.forced:
                with self._trace.during("loss of the production site"):
                    here += self._lose_production(number)
            began = time.monotonic()
            with self._trace.during("converging"):
                self._converge()
            healed = time.monotonic() - began
            self._connect_all(LAST_RECORDS)
            told = self._operator.end_watch()
            with self._trace.during("checks"):
                self._check(here)
            self._writers.end()
        done, kinds = self._operator.done, Counter(step.what for step in plan.steps)
        faults = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        records = sum(len(writer.served()) for writer in here)
        return (
            f"{faults}; calls: {done.accepted} accepted, {done.refused} refused, {done.unknown} unknown; "
            f"{records} writes answered, {len(told)} looks, in step after {healed:.1f} s"
        )

    # --- trouble ---

    def _carry_out(self, plan: Plan) -> None:
        began = time.monotonic()
        for step in plan.steps:
            time.sleep(max(0.0, began + step.at - time.monotonic()))
            if step.what == "move":
                self._operator.later(partial(self._move, step))
            elif step.what.startswith("call"):
                self._operator.later(partial(self._call, step))
            else:
                self._stage.do(step)
        time.sleep(max(0.0, began + plan.seconds - time.monotonic()))

    def _call(self, step: Step) -> None:
        self._operator.call(self._existing(step.who[0]), step.how, step.what == "call blindly")

    def _move(self, step: Step) -> None:
        found = self._operator.connect(self._first)
        if found is not None and self._writers.now[step.who[0]].move(*found):
            self._trace.note(f"{step.who[0]} goes to {found[0]}")

    def _existing(self, controller: str) -> str:
        return controller if controller in self._installation.names else self._first

    def _lose_production(self, number: int) -> list[Writer]:
        """The production site dies for good, as far as anyone knows; the other one must go on."""
        self._settle()
        lost = self._seen()["priority_station"]
        other = next(site for site in SITES if site != lost)
        self._stage.kill(lost)
        asked = self._operator.ask(self._first, "failover")
        forced = asked.startswith("refused") and "allow_data_loss" in asked
        if forced:
            asked = self._operator.ask(self._first, "failover", allow_data_loss=True)
        self._settle()
        if self._seen()["priority_station"] == lost:
            self._trace.note(f"no failover is possible: {asked}")
            self._stage.start(lost)
            return []
        for writer in self._writers.now.values():
            writer.may_lack = forced
        self._writers.end()
        for writer in self._writers.now.values():
            writer.check(self._group.files(other))
        self._writers.replace_all(number)
        self._connect_all(FIRST_RECORDS)
        self._stage.start(lost)
        self._stage.wait_ready()
        return list(self._writers.now.values())

    # --- healing ---

    def _converge(self) -> None:
        """P6: by itself where nobody stopped it; a failed-over group is reprotected, a failed verb repeated.

        What was accepted ends first: a group may be in step, and a stop that was accepted before be about to part it.
        """
        give_up = time.monotonic() + CONVERGE_SECONDS
        while True:
            under_way = self._installation.query("SELECT verb FROM operations WHERE finished_at IS NULL")
            group = self._seen()
            if is_in_step(group) and not under_way:
                return
            if time.monotonic() > give_up:
                raise Broken(f"P6: not in step after {CONVERGE_SECONDS:g} s: {self._group.words()}")
            self._help(group["status"], str(group.get("replication_status")))
            time.sleep(RETRY_SECONDS)

    def _help(self, status: str, replication: str) -> None:
        if status == "failovered":
            lossy = any(writer.may_lack for writer in self._writers.all)
            said = self._operator.ask(
                self._first, "reprotect", **({"allow_data_loss": True} if lossy else {})
            )
            if "allow_data_loss" in said:
                raise Broken(f"P1: a reprotect would lose data, though no failover was forced: {said}")
        elif status == "error_failovering":
            self._operator.ask(self._first, "failover")
        elif status == "error_reversing":
            self._operator.ask(self._first, "reverse")
        elif status == "available" and replication in STOPPED and self._operator.done.stops:
            self._operator.ask(self._first, "sync")

    def _settle(self) -> None:
        """Every operation that was accepted ends."""
        wait_for(
            "end of what was accepted",
            lambda: (
                (group := self._operator.look(self._first)) is not None
                and (group["status"] in SETTLED or group["status"].startswith("error"))
            ),
            SETTLE_SECONDS,
            self._group.words,
            RETRY_SECONDS,
        )

    def _connect_all(self, records: int) -> None:
        """All hosts of now are at the production site, and are answered there."""
        for name, writer in self._writers.now.items():
            found = wait_for(f"connection for {name}", lambda: self._operator.connect(self._first), 20.0)
            assert found is not None
            self._trace.note(f"{name} goes to {found[0]}")
            writer.connect(*found)
        for writer in self._writers.now.values():
            writer.host.wait_acknowledged(records, 30.0)

    def _seen(self) -> Group:
        found = wait_for("sight of the group", lambda: self._operator.look(self._first), 20.0)
        assert found is not None
        return found

    # --- checks ---

    def _check(self, here: list[Writer]) -> None:
        self._stage.check_alive()
        for writer in self._writers.now.values():
            writer.host.pause()
        self._group.assert_equal()
        for writer in self._writers.all:
            for site in SITES:
                writer.check(self._group.files(site))
        answered, told = self._writers.served(here), self._operator.told
        check_one_writer(answered, told, self._operator.done.changes)
        check_protection_told(answered, told, self._stage.apart)
        check_possible(told)
        self._check_logs()

    def _check_logs(self) -> None:
        lines = [
            f"{name}: {line}"
            for name in self._installation.names
            for line in self._installation.log(name).splitlines()
            if any(sign in line for sign in DEFECTS)
        ]
        if len(lines) > self._told_defects:
            new, self._told_defects = lines[self._told_defects :], len(lines)
            raise Broken(f"defects in the logs: {new[:3]}")
