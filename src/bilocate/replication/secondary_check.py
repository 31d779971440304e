"""A failover's check at the secondary: what it has, made durable, and no hello until the outcome is known (rule 22)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bilocate.domain.generations import of_one_moment
from bilocate.domain.secondary_states import SecondaryEvent, SecondaryState
from bilocate.replication.attempts import Attempts
from bilocate.replication.records import PutSession
from bilocate.replication.wanted import NotPossibleNow

if TYPE_CHECKING:
    from bilocate.replication.secondary import SecondaryHalf

S, E = SecondaryState, SecondaryEvent
Answer = Callable[[dict[str, Any] | NotPossibleNow], None]


class Check:
    """The checks of one secondary half; several who ask at once get one answer."""

    def __init__(self, half: "SecondaryHalf", session_row: Callable[[int], PutSession]) -> None:
        self._half = half
        self._session_row = session_row
        self._asked: list[Answer] = []
        self._attempts = Attempts()
        self._flushing = False  # a check is under way that nobody has given up

    def restore(self, attempt: int) -> None:
        """At the start: the attempt for which the ledger says to hold, 0 for none."""
        self._attempts.begin(attempt)

    def begin(self, attempt: int, done: Answer) -> None:
        """PRECHECK: flush, let the link go, flush and drop intents, hold hellos durably, and answer.

        A copy that can't be promoted anyhow is told as it is, and nothing is disturbed.
        """
        half = self._half
        if not self._attempts.begin(attempt):  # LATE
            done(NotPossibleNow("older_attempt", f"attempt {attempt} is over here: begin a new one"))
            return
        if any(not each.record.consistent or each.record.blank for each in half.marks):
            done(self._facts())
            return
        if half.state in (S.SETTLING, S.PROMOTING, S.ENDED):
            done(NotPossibleNow("busy", f"the secondary is {half.state.value}: try again"))
            return
        self._asked.append(done)
        if half.state is S.CHECKING and self._flushing:
            return
        self._flushing = True
        if half.state is S.CHECKING:  # one was given up, and its release is not durable yet
            self._let_go(0)
            return
        following = half.in_step
        half.note_followed()
        half.move(E.CHECK)
        if following:
            half.flush_applied(self._let_go)  # the hosts' hold is short: most is durable before the link goes
        else:
            self._let_go(0)

    def _let_go(self, errno: int) -> None:
        half = self._half
        if half.state is not S.CHECKING or not self._flushing:
            return
        if half.link is not None:
            half.let_link_go("a failover is being checked", failover=True)
        else:
            self.link_gone()

    def link_gone(self) -> None:
        """CHECKING without a link: what the disks have ends, and is made durable; no intent is left."""
        self._half.flush_idle(self._flushed, drop_all=True)

    def _flushed(self, errno: int) -> None:
        half = self._half
        if half.state is not S.CHECKING or not self._flushing:
            return
        if errno:
            self._flushing = False
            half.move(E.RELEASE)
            self.answer(NotPossibleNow("flush_failed", f"the disks can't flush: errno {errno}"))
            return
        attempt = self._attempts.newest

        def persisted(now: float) -> None:  # HOLDHELLO: durable before the answer
            if half.state is not S.CHECKING or not self._flushing:
                return
            if attempt != self._attempts.newest:
                self._flushed(0)  # a newer one has come meanwhile: the hold is to be its own
                return
            self._flushing = False
            half.move(E.CHECKED)
            self.answer(self._facts())

        self.hold(attempt, persisted)

    def hold(self, attempt: int, persisted: Callable[[float], None]) -> None:
        """No hello any more, nor after a restart, until this attempt, or a later one, is over."""
        self._attempts.begin(attempt)
        self._half.holds_hello = attempt
        self._half.commit([self._session_row(attempt)], persisted)

    def release(self, attempt: int, done: Answer) -> None:
        """The failover was refused: hellos are taken again, once that is durable.

        LATE: not if a later one is being checked, or has been; its hold is its own.
        """
        half = self._half
        if not self._attempts.end(attempt):
            done({})
            return
        if half.state is S.CHECKING:
            self._flushing = False
            half.give_up_flushes()
            self.answer(NotPossibleNow("released", "the failover was given up meanwhile"))

        def persisted(now: float) -> None:
            if half.state in (S.HOLDING, S.CHECKING) and self._attempts.newest == attempt:
                half.let_link_go("the failover was given up")  # where the check had not come so far
                half.move(E.RELEASE)
            done({})

        half.holds_hello = 0
        half.commit([self._session_row(0)], persisted)

    def answer(self, answer: dict[str, Any] | NotPossibleNow) -> None:
        """Tell all who asked."""
        asked, self._asked = self._asked, []
        for done in asked:
            done(answer)

    def _facts(self) -> dict[str, Any]:
        half = self._half
        behind = None if half.followed_at is None else round(max(0.0, half.now - half.followed_at), 3)
        return {
            "epoch": half.hello.epoch,
            "role": "secondary",
            "consistent": all(each.record.consistent for each in half.marks),
            "dirty_bytes": sum(each.dirty_bytes + each.failed_bytes for each in half.marks),
            "blank": any(each.record.blank for each in half.marks),
            "one_moment": of_one_moment(each.record.generation for each in half.marks),
            "behind_seconds": behind,
        }
