"""The controller's database rows: one `decide` per call, epochs from one sequence, answers that may get lost."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.sim.world.scheduler import Kind, Scheduler

from bilocate.domain.arbiter import Ask, Call, Refusal, Row, RowState, decide

Answered = Callable[[Row | Refusal | None], None]


@dataclass(slots=True)
class Fate:
    """What happens to one call. `execute`: seconds until it is carried out, None: never.
    `answer`: seconds until its caller hears the outcome. `told`: whether that is the outcome, or "unknown".
    An unknown outcome may be told before the call is carried out: it is still on its way somewhere.
    `late`: the true outcome arrives all the same, so long after it was told as unknown."""

    execute: float | None
    answer: float
    told: bool = True
    late: float | None = None


class Arbiter:
    """All rows of an installation."""

    def __init__(self, scheduler: Scheduler, fate: Callable[[], Fate]) -> None:
        self._scheduler = scheduler
        self._fate = fate
        self.rows: dict[str, Row] = {}
        # What else the controller's database knows: whether an operator's word stands, and when it ends (BLANK).
        self.vouched: Callable[[str], bool] = lambda session_id: False
        self.reported: Callable[[str], None] = lambda session_id: None
        self._epoch = 0

    def next_epoch(self) -> int:
        """The installation's one rising sequence."""
        self._epoch += 1
        return self._epoch

    def create(self, session_id: str, primary: str, secondary: str, state: RowState) -> Row:
        """A new session's row."""
        row = Row(session_id, self.next_epoch(), primary, secondary, state, 1)
        self.rows[session_id] = row
        return row

    def call(self, session_id: str, ask: Ask) -> Row | Refusal:
        """One transaction."""
        row = self.rows.get(session_id)
        if row is None:
            return Refusal.SUPERSEDED  # retired with its session
        said = decide(row, ask)
        if ask.call is Call.REQUEST_VOUCHED_SOLO and isinstance(said, Row) and not self.vouched(session_id):
            said = Refusal.STATE
        if isinstance(said, Row):
            self.rows[session_id] = said
            if ask.call is Call.REPORT_IN_SYNC:
                self.reported(session_id)
        if self._scheduler.trace.on:
            what = (
                f"{said.state.value} v{said.version} e{said.epoch} primary {said.primary}"
                if isinstance(said, Row)
                else f"refused: {said.value}"
            )
            self._scheduler.trace.add(
                self._scheduler.now, "arbiter", f"{ask.call.value} of {ask.site or 'controller'}: {what}"
            )
        return said

    def ask(self, site: str, session_id: str, ask: Ask, answered: Answered) -> None:
        """An agent's call, over a network. `answered` is told once: a row, a refusal, or None for unknown."""
        fate = self._fate()
        told = False
        later = self._scheduler.after

        def tell(outcome: Row | Refusal | None) -> None:
            nonlocal told
            if not told:
                told = True
                answered(outcome)

        def unknown() -> None:
            tell(None)

        def execute() -> None:
            outcome = self.call(session_id, ask)
            if fate.told:
                later(fate.answer, Kind.ANSWER, site, name, lambda: tell(outcome), unknown, outcome)
            elif fate.late is not None:
                delay = fate.answer + fate.late
                later(delay, Kind.ANSWER, site, f"{name}, late", lambda: answered(outcome), None, outcome)

        name = ask.call.name
        if fate.execute is not None:
            later(fate.execute, Kind.ASK, site, name, execute, unknown, ask)
        if not fate.told or fate.execute is None:
            later(fate.answer, Kind.ANSWER, site, name, unknown, unknown, "unknown")
