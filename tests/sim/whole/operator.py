"""An operator who calls any controller at any moment, and afterwards puts things in order, by the API's own verbs."""

import asyncio
import json
from random import Random
from typing import Any

from tests.sim.checkers.violation import Violation
from tests.sim.whole.controllers import PROJECT, Controller
from tests.sim.whole.world import WholeWorld
from tests.sim.world.world import SESSION

from bilocate.domain.errors import BilocateError

MOST_GIB = 3
# Calls that are refused whatever the state of a group is. MEMBER: one of its pairs.
BLUNDERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("update_group", {"add": ["nobody"]}),
    ("update_group", {"remove": ["nobody"]}),
    ("update_group", {"add": ["MEMBER"]}),
    ("extend_group", {"sizes_gib": {"nobody": 2}}),
    ("extend_group", {"sizes_gib": {"MEMBER": 1}}),
)
REGROUP, MOVES = "update_group", frozenset({"failover", "reverse"})
END_SECONDS = 30.0  # an operation that was accepted ends in a healed world within this


class WholeOperator:
    """Several calls may be under way: the controllers say which of them can't be now."""

    def __init__(self, world: WholeWorld, rng: Random) -> None:
        self.world = world
        self.rng = rng
        self.asked: int = 0
        self.defects: list[str] = []
        self._calls: list[asyncio.Task[None]] = []
        self._regroupings: list[asyncio.Task[None]] = []  # those that change members
        self._moves: list[asyncio.Task[None]] = []  # those that change production's site

    @property
    def busy(self) -> bool:
        """Whether an operation is under way, or a call is."""
        self._calls = _under_way(self._calls)
        return bool(self._calls) or bool(self.unfinished())

    @property
    def _may_be_split(self) -> bool:
        """Whether a pair is out of the group, or may be soon.

        The judges know of one site in production, for all volumes: nobody moves a part of them.
        """
        members = self.world.database.wishes[SESSION].members
        self._regroupings = _under_way(self._regroupings)
        asked = bool(self._regroupings) or any(verb == REGROUP for verb, *_ in self.unfinished())
        return asked or len(members) < len(self.world.sizes)

    def unfinished(self) -> list[tuple[Any, ...]]:
        """Operations that the journal has, and whose end it has not."""
        return self.world.file.read(
            "SELECT verb, status, step, error FROM operations WHERE finished_at IS NULL"
        )

    def look(self) -> None:
        """:raises Violation: something ended as nothing should."""
        for controller in self.world.controllers:
            if controller.up:
                self.defects += controller.loop.problems
        if self.defects:
            raise Violation("API", self.defects[0])

    def act(self, kinds: list[str]) -> None:
        """One call."""
        self.look()
        self.asked += 1
        verb, args = self._choose(self.rng.choice(kinds))
        if verb is not None and not (verb in MOVES and self._may_be_split) and not self._may_move(args):
            self._call(verb, args)

    def _may_move(self, args: dict[str, Any]) -> bool:
        """Whether a pair is to leave while production may be about to move: that call may be slow, and come after."""
        self._moves = _under_way(self._moves)
        return "remove" in args and bool(self._moves)

    def _choose(self, kind: str) -> tuple[str | None, dict[str, Any]]:
        match kind:
            case "failover":
                return "failover", {}
            case "forced":
                return "failover", {"allow_data_loss": True}
            case "reverse":
                return "reverse", {"force": True}
            case "reprotect":
                return "reprotect", {"allow_data_loss": self.rng.random() < 0.5}
            case "extend":
                return self._extend()
            case "members":
                return self._members()
            case "split" | "join":
                return REGROUP, {"remove" if kind == "split" else "add": [self._last_pair()]}
            case "rename":
                return REGROUP, {
                    "name": f"name {self.asked}",
                    "description": self.rng.choice((None, "what it is for")),
                }
            case "next":
                return self._next()
            case "wise":
                return self._wise()
            case "blunder":
                return self._blunder()
            case _:
                return kind, {}

    def _blunder(self) -> tuple[str, dict[str, Any]]:
        """What nobody can have: it is refused, and changes nothing."""
        member = self.world.database.wishes[SESSION].members[0]
        verb, args = self.rng.choice(BLUNDERS)
        return verb, json.loads(json.dumps(args).replace("MEMBER", f"pair{member}"))

    def _next(self) -> tuple[str | None, dict[str, Any]]:
        """Whatever leads to the next change of roles without a loss."""
        wish = self.world.database.wishes[SESSION]
        match wish.status:
            case "available" if wish.paused:
                return "sync", {}
            case "available" | "error_reversing" | "error_failing_over":
                return self._choose(self.rng.choice(("failover", "reverse")))
            case "failed_over":
                return "reprotect", {}
            case _:
                return None, {}

    def _wise(self) -> tuple[str | None, dict[str, Any]]:
        """What is not refused now, as far as an operator can see."""
        wish = self.world.database.wishes[SESSION]
        told = self.world.told(self.world.arbiter.rows[SESSION].primary)
        match wish.status:
            case "available" if wish.paused:
                kinds = ["sync", "sync", "sync", "members", "forced"]
            case "available" if told.get("in_step"):
                kinds = ["failover", "failover", "reverse", "reverse", "stop", "extend", "sync"]
            case "available":
                kinds = ["forced", "stop", "sync", "failover"]
            case "failed_over":
                kinds = ["reprotect", "reprotect", "reprotect", "forced", "failover"]
            case "error_failing_over":
                kinds = ["failover", "forced"]
            case "error_reversing":
                kinds = ["reverse", "failover", "forced", "sync"]
            case _ if self.rng.random() < 0.2:
                kinds = ["failover", "reverse"]
            case _:
                return None, {}  # something is under way
        return self._choose(self.rng.choice(kinds))

    def _extend(self) -> tuple[str | None, dict[str, Any]]:
        read = self.world.file.read
        sizes = dict(
            read("SELECT id, size_gib FROM pairs WHERE group_id = ? AND size_gib < ?", SESSION, MOST_GIB)
        )
        return (
            ("extend_group", {"sizes_gib": {key: size + 1 for key, size in sizes.items()}})
            if sizes
            else (None, {})
        )

    def _members(self) -> tuple[str | None, dict[str, Any]]:
        """The last pair leaves, or comes back, while all is paused."""
        wish = self.world.database.wishes[SESSION]
        if len(self.world.sizes) < 2:
            return None, {}
        if not wish.paused:
            return "stop", {}
        return self._choose("split" if len(wish.members) == len(self.world.sizes) else "join")

    def _last_pair(self) -> str:
        return f"pair{len(self.world.sizes) - 1}"

    # --- in a healed world ---

    def put_in_order(self) -> None:
        """Whatever only an operator can mend, one call at a time."""
        self.look()
        if self.busy:
            return
        wish = self.world.database.wishes[SESSION]
        told = self.world.told(self.world.arbiter.rows[SESSION].primary)
        away = [f"pair{number}" for number in range(len(self.world.sizes)) if number not in wish.members]
        uneven = self._uneven()
        match wish.status:
            case "failed_over":
                self._call("reprotect", {"allow_data_loss": True})
            case "error_failing_over":
                self._call("failover", {"allow_data_loss": True})
            case "error_reversing" if self._is_blank(told):
                self._call("sync", {"trust_primary": True})
            case "error_reversing":
                self._call("reverse", {"force": True})
            case "available" if away and not wish.paused:
                self._call("stop", {})
            case "available" if away:
                self._call(REGROUP, {"add": away})
            case "available" if uneven:
                self._call("extend_group", {"sizes_gib": uneven})
            case "available" if self._is_blank(told):
                self._call("sync", {"trust_primary": True})
            case "available" if wish.paused:
                self._call("sync", {})
            # Not while it is being mended: another sync would begin the resync anew.
            case "available" if told.get("in_step") and any(
                volume["failed_bytes"] for volume in told.get("volumes", ())
            ):
                self._call("sync", {})

    def _is_blank(self, told: dict[str, Any]) -> bool:
        blank = any(volume["blank"] for volume in told.get("volumes", ()))
        return blank and "nothing of this volume's past" in str(told["refusal"])

    def _uneven(self) -> dict[str, int]:
        """By pair: the larger size, where an extension did not come to its end."""
        found = self.world.file.read(
            "SELECT pair_id, MAX(size_gib) FROM volumes GROUP BY pair_id HAVING MAX(size_gib) > MIN(size_gib)"
        )
        return dict(found)

    # --- calls ---

    def _call(self, verb: str, args: dict[str, Any]) -> None:
        running = [controller for controller in self.world.controllers if controller.up]
        if running:
            controller = self.rng.choice(running)
            call = controller.run(self._do(controller, verb, args))
            self._calls.append(call)
            if verb == REGROUP:
                self._regroupings.append(call)
            if verb in MOVES:
                self._moves.append(call)

    async def _do(self, controller: Controller, verb: str, args: dict[str, Any]) -> None:
        self._note(f"{verb} {args} at {controller.name}")
        try:
            operation_id = await controller.operations.perform(
                verb, SESSION, args, project_id=PROJECT, requested_by="operator"
            )
            status = await controller.operations.finished(operation_id, END_SECONDS)
            self._note(f"{verb}: {'no end' if status is None else status.value}")
        except BilocateError as error:
            self._note(f"{verb} refused: {type(error).__name__}: {error}")
        except Exception as error:
            self.defects.append(f"{verb} raised {type(error).__name__}: {error}")

    def _note(self, what: str) -> None:
        if self.world.trace.on:
            self.world.trace.add(self.world.scheduler.now, "operator", what)


def _under_way(calls: list[asyncio.Task[None]]) -> list[asyncio.Task[None]]:
    """A killed controller's are not."""
    return [call for call in calls if not call.done() and not call.get_loop().is_closed()]
