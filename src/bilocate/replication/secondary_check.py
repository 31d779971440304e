"""A failover's check at the secondary: what it has, made durable, and no hello until the outcome is known (rule 22)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bilocate.domain.secondary_states import SecondaryEvent, SecondaryState
from bilocate.replication.records import PutSession
from bilocate.replication.wanted import NotPossibleNow

if TYPE_CHECKING:
    from bilocate.replication.secondary import SecondaryHalf

S, E = SecondaryState, SecondaryEvent
Answer = Callable[[dict[str, Any] | NotPossibleNow], None]


class Check:
    """The checks of one secondary half; several who ask at once get one answer."""

    def __init__(self, half: "SecondaryHalf", session_row: Callable[[bool], PutSession]) -> None:
        self._half = half
        self._session_row = session_row
        self._asked: list[Answer] = []
        self._number = 0  # of the last check: a release is of those before it

    def begin(self, done: Answer) -> None:
        """PRECHECK: flush, let the link go, flush and drop intents, hold hellos durably, and answer.

        A copy that can't be promoted anyhow is told as it is, and nothing is disturbed.
        """
        half = self._half
        if any(not each.record.consistent or each.record.blank for each in half.marks):
            done(self._facts())
            return
        if half.state in (S.SETTLING, S.PROMOTING, S.ENDED):
            done(NotPossibleNow("busy", f"the secondary is {half.state.value}: try again"))
            return
        self._asked.append(done)
        self._number += 1
        if half.state is S.CHECKING:
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
        if half.state is not S.CHECKING:
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
        if half.state is not S.CHECKING:
            return
        if errno:
            half.move(E.RELEASE)
            self.answer(NotPossibleNow("flush_failed", f"the disks can't flush: errno {errno}"))
            return

        def persisted(now: float) -> None:  # HOLDHELLO: durable before the answer
            if half.state is S.CHECKING:
                half.move(E.CHECKED)
                self.answer(self._facts())

        self.hold(persisted)

    def hold(self, persisted: Callable[[float], None]) -> None:
        """No hello any more, nor after a restart."""
        self._half.holds_hello = True
        self._half.commit([self._session_row(True)], persisted)

    def release(self, done: Answer) -> None:
        """The failover was refused: hellos are taken again, once that is durable."""
        half, number = self._half, self._number
        if half.state is S.CHECKING:
            half.give_up_flushes()
            self.answer(NotPossibleNow("released", "the failover was given up meanwhile"))

        def persisted(now: float) -> None:
            if half.state in (S.HOLDING, S.CHECKING) and self._number == number:
                half.move(E.RELEASE)
            done({})

        half.holds_hello = False
        half.commit([self._session_row(False)], persisted)

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
            "behind_seconds": behind,
        }
