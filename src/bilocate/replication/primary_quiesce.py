"""The primary's part of a switchover: hosts are held, both sites made equal and clean; or it is undone (rule 23)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bilocate.domain.arbiter import Call
from bilocate.domain.primary_states import PrimaryEvent, PrimaryState
from bilocate.replication.attempts import Attempts
from bilocate.replication.wanted import NotPossibleNow

if TYPE_CHECKING:
    from bilocate.replication.primary import PrimaryHalf

S, E = PrimaryState, PrimaryEvent
Answer = Callable[[dict[str, Any] | NotPossibleNow], None]


class Quiesce:
    """At most one at a time."""

    def __init__(self, half: "PrimaryHalf") -> None:
        self._half = half
        self._attempts = Attempts()
        self._asked: list[Answer] = []  # who waits for the session to be quiet
        self._undo: list[Answer] = []  # who waits for hosts to go on
        self._undoing = False  # the call that raises the version is under way
        self._flushing = False
        self._begun = 0  # how many there were: what is still on its way of an earlier one counts for none
        self.until = 0.0  # hosts are held no longer than that

    def begin(self, attempt: int, now: float, done: Answer) -> None:
        """Hold hosts, drain, flush both sites, drop all intents at both; `done({"version"})` (QVER)."""
        half = self._half
        if not self._attempts.begin(attempt):  # LATE
            done(NotPossibleNow("older_attempt", f"attempt {attempt} is over here: begin a new one"))
            return
        if half.state is S.QUIESCED and half.view.row is not None:
            done({"version": half.view.row.version})
            return
        if half.state is S.QUIESCING:
            self._asked.append(done)
            return
        if half.state is not S.IN_STEP or not half.row_in_sync() or half.view.pending or half.wanted.paused:
            done(
                NotPossibleNow("not_in_step", f"the session is {half.state.value}: wait until it is in step")
            )
            return
        half.move(E.QUIESCE)
        self._begun += 1
        half.path.open = False
        self._asked = [done]
        self._flushing = False
        self.until = now + half.limits.quiesce_timeout_seconds
        self.pursue(now)

    def pursue(self, now: float) -> None:
        """QUIESCING and QUIESCED: on to quiet, or back."""
        half = self._half
        if self._undo or now >= self.until:
            self._undoing = True  # UNDO: the version first, then the hosts
            half.view.ask(Call.ATTACH)
            return
        if half.state is not S.QUIESCING or self._flushing or not half.path.idle or half.flushes.running:
            return
        self._flushing = True
        link, begun = half.link, self._begun

        def flushed(errno: int) -> None:
            if half.state is not S.QUIESCING or half.link != link or begun != self._begun:
                return
            if errno:
                self.until = half.now
                self._answer(NotPossibleNow("flush_failed", f"the disks can't flush: errno {errno}"))
                return
            half.commit([], quiet)  # behind the commit that dropped the intents

        def quiet(now: float) -> None:
            if begun != self._begun:  # it was undone, and the next one has begun
                return
            if half.state is not S.QUIESCING or half.link != link or half.view.row is None:
                return
            half.move(E.QUIET)
            self._answer({"version": half.view.row.version})

        half.flushes.drop_all(flushed)

    def undo(self, attempt: int, done: Answer) -> None:
        """UNDO: raise the row's version, then let hosts go on. LATE: not if a later attempt holds them."""
        if self._attempts.end(attempt) and self._half.state in (S.QUIESCING, S.QUIESCED):
            self._undo.append(done)
        else:
            done({})

    def attached(self) -> None:
        """The version was raised: what was asked with the old one is dead, hosts may go on."""
        if self._undoing and self._half.state in (S.QUIESCING, S.QUIESCED):
            self.fail("undone", "the switchover was undone")
            self._half.move(E.GO_ON)
            self._half.open()

    def fail(self, code: str, message: str) -> None:
        """No quiet will come of it: a trip, or a retirement. The permit that follows a trip moves the version."""
        self._undoing = False
        self._answer(NotPossibleNow(code, message))
        undo, self._undo = self._undo, []
        for done in undo:
            done({})

    def _answer(self, answer: dict[str, Any] | NotPossibleNow) -> None:
        asked, self._asked = self._asked, []
        for done in asked:
            done(answer)
